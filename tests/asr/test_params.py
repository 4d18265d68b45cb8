"""Every mistake in `params.yaml` is named with its file, line, parameter and remedy, before anything runs."""

from pathlib import Path

import pytest

from asr.errors import UserError
from asr.params import Section
from asr.params_file import Params, read_params

SAMPLE = Path(__file__).resolve().parents[2] / "params.yaml"


@pytest.fixture
def changed(tmp_path):
    """Write the sample's params with one text replaced by another; return the file and the line of the change."""

    def change(*replacements: tuple[str, str]) -> tuple[Path, list[int]]:
        text, lines = SAMPLE.read_text(encoding="utf-8"), []
        for old, new in replacements:
            assert old in text
            lines.append(text[: text.index(old)].count("\n") + 1 + (old.startswith("\n")))
            text = text.replace(old, new, 1)
        (file := tmp_path / "params.yaml").write_text(text, encoding="utf-8")
        return file, lines

    return change


def mistakes(file: Path) -> list[str]:
    with pytest.raises(UserError) as caught:
        read_params(file)
    return str(caught.value).splitlines()


def test_the_sample_is_right_and_means_what_yaml_1_2_says(tmp_path):
    params = read_params(SAMPLE)
    assert params.train_german_model.learning_rate == 1.5e-3
    assert params.merge_lora.tolerance == 1e-4
    text = SAMPLE.read_text(encoding="utf-8").replace("learning_rate: 1.5e-3", "learning_rate: 3e-06")
    (file := tmp_path / "params.yaml").write_text(text.replace("language: de", "language: no"), encoding="utf-8")
    assert read_params(file).train_german_model.learning_rate == 3e-6  # PyYAML would read a string
    assert next(iter(read_params(file).prepare_audio.sources.values())).language == "no"  # and False


def test_misspelt_parameter_is_named_with_the_right_one(changed):
    file, (line,) = changed(("\n  learning_rate: 1.5e-3", "\n  lerning_rate: 1.5e-3"))
    unknown, missing = sorted(mistakes(file), key=lambda text: "missing" in text)
    assert unknown == f"{file}:{line}: train_german_model.lerning_rate: unknown parameter; did you mean learning_rate?"
    assert missing.endswith(": train_german_model.learning_rate: missing; add it")


def test_misspelt_parameter_of_a_group_and_of_a_source(changed):
    file, lines = changed(
        ("full_share:", "ful_share:"),
        ("min_seconds:", "min_secs:"),
        ("noise: {corpus: common_voice, path", "noise: {corpus: common_voice, pth"),
    )
    found = "\n".join(mistakes(file))
    assert (
        f"{file}:{lines[0]}: train_german_model.windows.ful_share: unknown parameter; did you mean full_share?" in found
    )
    assert f"{file}:{lines[1]}: prepare_audio.min_secs: unknown parameter; did you mean min_seconds?" in found
    assert f"{file}:{lines[2]}: prepare_audio.sources.noise.pth: unknown parameter; did you mean path?" in found
    assert f"{file}:{lines[2]}: prepare_audio.sources.noise.path: missing; add it" in found


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("steps: 1000", "steps: many", "train_german_model.steps: Input should be a valid integer, unable to parse string as an integer, got 'many'"),
        ("schedule: cosine", "schedule: cosin", "train_german_model.schedule: Input should be 'linear', 'cosine' or 'constant_with_warmup', got 'cosin'"),
        ("full_share: 0.15", "full_share: 1.5", "train_german_model.windows.full_share: Input should be less than or equal to 1, got 1.5"),
        ("quantizations: [float32, int8]", "quantizations: [float32, int7]", "convert_to_faster.quantizations.1: Input should be 'float32',"),
        ("corpus: common_voice", "corpus: comon_voice", "prepare_audio.sources.general: "),
        ("decoder_layers: 3", "decoder_layers: 2", "base_model.new: decoder_layers: 2 makes whisper.cpp"),
        ("eval_steps: 250", "eval_steps: 300", "train_german_model: steps: 1000 is not a multiple of eval_steps: 300"),
        ("language: de", "language: German", "prepare_audio.sources.general.language: String should match pattern"),
    ],
)  # fmt: skip
def test_wrong_value_is_named_with_what_is_allowed(changed, old, new, message):
    file, (line,) = changed((old, new))
    (found,) = mistakes(file)
    assert message in found
    assert found.startswith(f"{file}:")
    section_line = found.startswith(f"{file}:{line}:") or "base_model.new: " in found or "is not a multiple" in found
    assert section_line, f"{found}: not line {line}"


def test_unknown_section_and_every_mistake_at_once(changed):
    file, _ = changed(
        ("\nmerge_lora:", "\nmerge_lorra:"),
        ("batch_seconds: 120", "batch_seconds: -1"),
        ("beam_size: 5", "beam_size: five"),
    )
    found = "\n".join(mistakes(file))
    assert "merge_lorra: unknown parameter; did you mean merge_lora?" in found
    assert "extract_features.batch_seconds: Input should be greater than 0, got -1" in found
    assert "evaluation.beam_size: " in found


def test_no_file_no_yaml_and_an_empty_section(tmp_path):
    assert mistakes(tmp_path / "none.yaml")[0].endswith(
        "no such file; run a stage in the folder that holds its params.yaml"
    )
    (file := tmp_path / "params.yaml").write_text("a: [1\nb: 2")
    assert mistakes(file)[0].startswith(f"{file}: not YAML: ")
    file.write_text("merge_lora:\n")
    assert read_params(file).merge_lora is None
    file.write_text("- a\n- b\n")
    assert mistakes(file)[0].startswith(f"{file}:")


def test_params_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        read_params(SAMPLE).train_german_model.steps = 1


def test_values_never_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("STEPS", "7")
    monkeypatch.setenv("OUTPUT_DIR", "/elsewhere")
    params = read_params(SAMPLE).train_german_model
    assert params.steps == 1000 and params.output_dir == Path("outputs/train_german_model")


def test_every_parameter_is_described():
    def undescribed(model: type) -> list[str]:
        return [f"{model.__name__}.{name}" for name, field in model.model_fields.items() if not field.description]

    assert [name for section in Section.__subclasses__() for name in undescribed(section)] == []
    assert all(field.annotation for field in Params.model_fields.values())
