"""What is planned: each model on its test sets, each export in every way of its engine."""

import pytest

from asr.errors import UserError
from asr.judged import SILENCE, Sets, figures_of, planned

SETS = Sets(["read", SILENCE, "read"], ["read"], ["talks"], ["read"], ["read"])


@pytest.fixture
def folders(tmp_path):
    for name in (
        "base",
        "convert_to_faster/int8",
        "convert_to_ggml/f16",
        "convert_to_ggml/f32",
        "convert_to_onnx/int8",
    ):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "convert_to_faster/notes.txt").touch()
    return tmp_path


def exports(folders):
    return {stage: folders / stage for stage in ("convert_to_faster", "convert_to_ggml", "convert_to_onnx")}


def test_every_model_and_every_way_of_every_export_that_computes(folders):
    plan = {judged.model: judged for judged in planned({"base": folders / "base"}, exports(folders), SETS)}
    assert {name: judged.test_sets for name, judged in plan.items()} == {
        "base": ("read", SILENCE, "talks"),
        "convert_to_faster/int8": ("read", SILENCE),
        "faster_whisper/int8": ("read",),
        "faster_whisper_without_timestamps/int8": ("read",),
        "faster_whisper_batched/int8": ("talks",),
        "convert_to_ggml/f16": ("read", SILENCE),
        "whisper_cpp/f16": ("read",),
        "convert_to_onnx/int8": ("read", SILENCE),
    }
    assert plan["whisper_cpp/f16"].decoding == "default"


def test_figures_are_those_that_are_asked_for(folders):
    base, *_, batched = planned({"base": folders / "base"}, {"convert_to_faster": folders / "convert_to_faster"}, SETS)
    assert {"language_accuracy", "valid_timestamps"} <= {*figures_of(base, "read")}
    assert "lost_sentences" in figures_of(base, "talks") and "lost_sentences" in figures_of(batched, "talks")
    assert not {"language_accuracy", "valid_timestamps"} & {*figures_of(base, "talks")}
    assert figures_of(base, SILENCE) == ("clips", "with_text", "phantom", "no_speech_probability")


def test_without_exports_and_sets_of_a_kind_nothing_is_planned_for_them(folders):
    assert [judged.model for judged in planned({"base": folders / "base"}, {}, Sets(["read"]))] == ["base"]


@pytest.mark.parametrize(
    ("made", "message"), [([], "no export in it; run the stage convert_to_ggml first"), (["f32"], "holds f32 alone")]
)
def test_a_folder_without_an_export_to_judge_is_named(tmp_path, made, message):
    for name in made:
        (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=message):
        planned({}, {"convert_to_ggml": tmp_path}, Sets(["read"]))
