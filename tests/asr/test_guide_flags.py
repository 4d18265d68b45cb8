"""The Chinese guide's flags are ours in other words."""

import pytest

from asr.errors import UserError
from asr.guide_flags import ADAPTER, FREEZE_ENCODER, guide_flags


@pytest.mark.parametrize(
    ("given", "switches", "expected"),
    [
        (["--freeze_encoder"], FREEZE_ENCODER, ["--trainable.what=encoder_frozen"]),
        (["--freeze_encoder=True"], FREEZE_ENCODER, ["--trainable.what=encoder_frozen"]),
        (["--freeze_encoder", "False", "--seed=1"], FREEZE_ENCODER, ["--trainable.what=all", "--seed=1"]),
        (["--use_8bit=True", "--use_adalora=True"], ADAPTER, ["--adapter.quantize=8bit", "--adapter.method=adalora"]),
        (["--use_8bit", "--use_adalora=false"], ADAPTER, ["--adapter.quantize=8bit", "--adapter.method=lora"]),
        (["--output_dir=output/", "--steps", "7", "--help"], ADAPTER, ["--output_dir=output/", "--steps", "7", "--help"]),
        (["--freeze_encoder"], ADAPTER, ["--freeze_encoder"]),  # the adapter's stage has none: it will be refused
    ],
)  # fmt: skip
def test_flags(given, switches, expected):
    assert guide_flags(given, switches) == expected


def test_a_base_that_is_a_folder(tmp_path):
    for given in ([f"--base_model={tmp_path}"], ["--base_model", str(tmp_path)]):
        assert guide_flags(given, {}) == [f"--model_dir={tmp_path}"]


def test_a_base_of_the_hub_is_fetched_at_its_revision(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr("asr.hub.download", lambda *given, names: asked.append(given) or tmp_path)
    assert guide_flags(["--base_model=openai/whisper-tiny@abc123"], {}) == [f"--model_dir={tmp_path}"]
    guide_flags(["--base_model=openai/whisper-tiny"], {})
    assert asked == [("openai/whisper-tiny", "abc123"), ("openai/whisper-tiny", "main")]


def test_what_is_neither_is_named():
    with pytest.raises(UserError, match="--base_model=none/of/these: neither a folder nor a model of the Hub"):
        guide_flags(["--base_model=none/of/these"], {})
    with pytest.raises(UserError, match="--use_8bit=maybe: give True or False"):
        guide_flags(["--use_8bit=maybe"], ADAPTER)
