"""Every mistake in `params.yaml` is named with its file, line, parameter and remedy, before anything runs."""

from pathlib import Path

import pytest

import evaluation
from asr.errors import UserError
from asr.params import Section
from asr.params_file import BATCHED, WAYS, Params, read_params

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
        ("ctc_weight: 0.3", "ctc_weight: -1", "train_german_model.ctc_weight: Input should be greater than or equal to 0, got -1"),
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


@pytest.mark.parametrize(
    ("old", "new", "place", "problem"),
    [
        ("  sources: {general: 0.98,", "  sources: {generall: 0.98,", "train_german_model.sources.generall", "no source is called generall; prepare_audio has general, domain, noise, long"),
        ("eval_sources: [domain, general]", "eval_sources: [domain, kitchen]", "finetune_whisper.eval_sources.1", "no source is called kitchen;"),
        ("long_test_sets: [long]", "long_test_sets: [long, longer]", "evaluation.long_test_sets.1", "no source is called longer;"),
        ("figure: train_german_model general", "figure: train_german general", "evaluation.gates.0.figure", "no model is called train_german; there are base_model, train_german_model, merge_lora, convert_to_faster/float32, "),
        ("figure: train_german_model general", "figure: faster_whisper/int8_float16 general", "evaluation.gates.0.figure", "no model is called faster_whisper/int8_float16; "),
        ("ratio_to: train_german_model domain", "ratio_to: train_german_model kitchen", "evaluation.gates.1.ratio_to", "train_german_model is not judged on kitchen, but on general, domain"),
        ("faster_whisper/* general wer, at_most", "faster_whisper_batched/* general wer, at_most", "evaluation.gates.", "faster_whisper_batched/* is not judged on general, but on long"),
        ("minus: train_german_model general wer", "minus: train_german_model general", "evaluation.gates.2.minus", "String should match pattern"),
        ("gap_seconds: [0.1, 1.0]", "gap_seconds: [1.0, 0.1]", "train_german_model.windows", "gap_seconds: 1 is more than 0.1; give the lower one first"),
        ("warmup_steps: 10\n", "warmup_steps: 100000\n", "finetune_whisper", "warmup_steps: 100000 must be fewer than steps: "),
        ("log_steps: 10", "log_steps: 100000", "train_german_model", "log_steps: 100000 must be at most steps: "),
        ("max_tokens: 440", "max_tokens: 441", "prepare_audio.max_tokens", "Input should be less than or equal to 440, got 441"),
        ("  shard_megabytes: 500", "  speaker_split: {seed: 0, dev_share: 0.5, test_share: 0.5}\n  shard_megabytes: 500", "prepare_audio.speaker_split", "dev_share: 0.5 and test_share: 0.5 leave no speaker to train on"),
        ("domain: general, splits: official}", "domain: general, splits: speaker}", "prepare_audio", "speaker_split: missing; add it, since general has splits: speaker"),
    ],
)  # fmt: skip
def test_contradictions_are_named_with_their_place(changed, old, new, place, problem):
    file, _ = changed((old, new))
    (found,) = mistakes(file)
    assert f": {place}" in found and f": {problem}" in found


def test_every_contradiction_at_once_each_with_its_line(changed):
    file, lines = changed(
        ("eval_sources: [general]", "eval_sources: [a]"), ("  test_sets: [general,", "  test_sets: [b, general,")
    )
    assert [found.split(": ")[0] for found in mistakes(file)] == [f"{file}:{line}" for line in lines]


def test_exports_that_are_not_made_here_may_have_any_name(changed):
    elsewhere = ("exports_dir: outputs/convert_to_faster", "exports_dir: elsewhere")
    file, _ = changed(elsewhere, ("figure: train_german_model general", "figure: faster_whisper/own general"))
    assert read_params(file).evaluation.gates[0].figure == "faster_whisper/own general wer"


def test_ways_to_decode_are_called_as_the_evaluation_calls_them():
    assert {*WAYS, BATCHED} == {*evaluation.DECODINGS}
    assert evaluation.DECODINGS[BATCHED] == "batched"


def test_a_file_that_cannot_be_read_is_one_message(tmp_path):
    (file := tmp_path / "params.yaml").write_bytes("# größer\n".encode("latin-1"))
    assert mistakes(file)[0].startswith(f"{file}: not UTF-8 ")
    (message,) = mistakes(tmp_path)
    assert message.startswith(f"{tmp_path}: cannot be read: Is a directory; ")


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
