"""Every mistake in `params.yaml` is named with its file, line, parameter and remedy, before anything runs."""

import re
from functools import reduce
from operator import getitem
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from asr.errors import UserError
from asr.judged import WAYS, Sets
from asr.params import Evaluation, Exports, Group, Section
from asr.params_file import EXPORTED, TEST_SETS, Params, read_params

SAMPLE = Path(__file__).resolve().parents[2] / "params.yaml"
YAML_1_2 = YAML()
YAML_1_2.width, YAML_1_2.default_flow_style = 1000, None  # a list that a test writes is on one line


@pytest.fixture
def changed(tmp_path):
    """Write the sample's params with some set, added or renamed, each by its place, whatever the sample says there."""

    def change(values: dict[str, object], renamed: dict[str, str] | None = None) -> Path:
        params = YAML_1_2.load(SAMPLE)
        for place, value in values.items():
            section, name = section_of(params, place)
            section[name] = value
        for place, new in (renamed or {}).items():
            section, name = section_of(params, place)
            section.insert(list(section).index(name), new, section.pop(name))
        YAML_1_2.dump(params, file := tmp_path / "params.yaml")
        return file

    return change


def section_of(params: dict, place: str) -> tuple[dict, str]:
    """What holds the parameter at a place such as `merge_lora.tolerance`, and the parameter's name in it."""
    *parents, name = place.split(".")
    return reduce(getitem, parents, params), name


def at(file: Path, place: str) -> str:
    """The beginning of a message about a place: file, line and place. Items of lists are on the line of their list."""
    lines, number = file.read_text(encoding="utf-8").splitlines(), 0
    for name in (name for name in place.split(".") if not name.isdecimal()):
        number = next(i for i in range(number, len(lines)) if re.search(rf"(^|[ {{]){name}:", lines[i]))
    return f"{file}:{number + 1}: {place}: "


def mistakes(file: Path) -> list[str]:
    with pytest.raises(UserError) as caught:
        read_params(file)
    return str(caught.value).splitlines()


def test_the_sample_is_right_and_whole():
    assert {name for name, section in read_params(SAMPLE) if section is None} == {"pseudo_label"}  # all is transcribed


def test_values_mean_what_yaml_1_2_says(changed):
    file = changed({"train_german_model.learning_rate": 3e-6, "prepare_audio.sources.general.language": "no"})
    assert "learning_rate: 3e-06" in file.read_text() and "language: no," in file.read_text()
    assert read_params(file).train_german_model.learning_rate == 3e-6  # PyYAML would read a string
    assert read_params(file).prepare_audio.sources["general"].language == "no"  # and False


def test_misspelt_parameter_is_named_with_the_right_one(changed):
    file = changed({}, {"train_german_model.learning_rate": "lerning_rate"})
    unknown, missing = sorted(mistakes(file), key=lambda text: "missing" in text)
    place = at(file, "train_german_model.lerning_rate")
    assert unknown == f"{place}unknown parameter; did you mean learning_rate?"
    assert missing.endswith(": train_german_model.learning_rate: missing; add it")


def test_misspelt_parameter_of_a_group_and_of_a_source(changed):
    misspelt = {
        "train_german_model.windows.kind": "knd",
        "prepare_audio.min_seconds": "min_secs",
        "prepare_audio.sources.noise.path": "pth",
    }
    found = mistakes(file := changed({}, misspelt))
    for right, wrong in misspelt.items():
        parents, _, name = right.rpartition(".")
        assert f"{at(file, f'{parents}.{wrong}')}unknown parameter; did you mean {name}?" in found
        assert any(message.endswith(f": {right}: missing; add it") for message in found)


def gate(**figures: str) -> dict[str, object]:
    return {"evaluation.gates": [{"figure": "merge_lora general wer", "at_most": 1.0} | figures]}


@pytest.mark.parametrize(
    ("values", "place", "problem"),
    [
        # a value that is wrong by itself
        ({"train_german_model.steps": "many"}, "train_german_model.steps", "Input should be a valid integer, unable to parse string as an integer, got 'many'"),
        ({"train_german_model.schedule": "cosin"}, "train_german_model.schedule", "Input should be 'linear', 'cosine' or 'constant_with_warmup', got 'cosin'"),
        ({"train_german_model.ctc_weight": -1}, "train_german_model.ctc_weight", "Input should be greater than or equal to 0, got -1"),
        ({"convert_to_faster.quantizations": ["float32", "int7"]}, "convert_to_faster.quantizations.1", "Input should be 'float32',"),
        ({"prepare_audio.sources.general.corpus": "comon_voice"}, "prepare_audio.sources.general", "Input tag 'comon_voice'"),
        ({"prepare_audio.sources.general.language": "German"}, "prepare_audio.sources.general.language", "String should match pattern"),
        ({"prepare_audio.sources.general.language": "dt"}, "prepare_audio.sources.general.language", "Whisper knows no language dt; it has af am ar "),
        ({"prepare_audio.max_tokens": 441}, "prepare_audio.max_tokens", "Input should be less than or equal to 440, got 441"),
        ({"evaluation.silence_seconds": []}, "evaluation", "silence_seconds: empty, which leaves the test set silence without clips"),
        ({"evaluation.test_sets": ["silence"], "evaluation.language_test_sets": [], "evaluation.timestamps_test_sets": [], "evaluation.gates": []}, "evaluation", "test_sets: silence alone, in which there is no word"),
        ({"evaluation.models": {"training_data": "outputs/base_model"}, "evaluation.gates": []}, "evaluation", "models: training_data is what metrics.json calls"),
        ({"evaluation.language_test_sets": ["general", "silence"]}, "evaluation", "language_test_sets: silence is none of test_sets in which"),
        ({"evaluation.timestamps_test_sets": ["long"]}, "evaluation", "timestamps_test_sets: long is none of test_sets in which"),
        (gate(minus="train_german_model general"), "evaluation.gates.0.minus", "String should match pattern"),
        # values of one section that contradict each other
        ({"base_model.new.decoder_layers": 2}, "base_model.new", "decoder_layers: 2 makes whisper.cpp"),
        ({"train_german_model.steps": 1000, "train_german_model.eval_steps": 300}, "train_german_model", "steps: 1000 is not a multiple of eval_steps: 300"),
        ({"train_german_model.windows.gap_seconds": [1.0, 0.1]}, "train_german_model.windows", "gap_seconds: 1 is more than 0.1; give the lower one first"),
        ({"finetune_whisper.warmup_steps": 100_000}, "finetune_whisper", "warmup_steps: 100000 must be fewer than steps: "),
        ({"train_german_model.log_steps": 100_000}, "train_german_model", "log_steps: 100000 must be at most steps: "),
        ({"prepare_audio.speaker_split": {"seed": 0, "dev_share": 0.5, "test_share": 0.5}}, "prepare_audio.speaker_split", "dev_share: 0.5 and test_share: 0.5 leave no speaker to train on"),
        ({"prepare_audio.sources.general.splits": "speaker"}, "prepare_audio", "speaker_split: missing; add it, since general is divided by speaker"),
        # names that another section does not have
        ({"train_german_model.sources": {"generall": 1.0}}, "train_german_model.sources.generall", "no source is called generall; prepare_audio has general, domain, noise, long"),
        ({"finetune_whisper.eval_sources": ["domain", "kitchen"]}, "finetune_whisper.eval_sources.1", "no source is called kitchen;"),
        ({"evaluation.long_test_sets": ["long", "longer"]}, "evaluation.long_test_sets.1", "no source is called longer;"),
        (gate(figure="train_german general wer"), "evaluation.gates.0.figure", "no model is called train_german; there are base_model, train_german_model, merge_lora, training_data, convert_to_faster/"),
        (gate(figure="faster_whisper/int16 general wer") | {"convert_to_faster.quantizations": ["int8"]}, "evaluation.gates.0.figure", "no model is called faster_whisper/int16; "),
        (gate(ratio_to="train_german_model kitchen wer"), "evaluation.gates.0.ratio_to", "train_german_model is not judged on kitchen, but on general, domain, silence, long"),
        (gate(figure="merge_lora general werr"), "evaluation.gates.0.figure", "no figure is called werr; did you mean wer?"),
        (gate(figure="training_data silence words"), "evaluation.gates.0.figure", "training_data is not judged on silence, but on general, domain, long"),
        (gate(figure="convert_to_ggml/q8_0 general wer"), "evaluation.gates.0.figure", "no model is called convert_to_ggml/q8_0; "),
        (gate(figure="whisper_cpp general wer"), "evaluation.gates.0.figure", "no model is called whisper_cpp; "),
        (gate(figure="faster_whisper_batched/* general wer"), "evaluation.gates.0.figure", "faster_whisper_batched/* is not judged on general, but on long"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_its_place_and_what_is_allowed(changed, values, place, problem):
    (found,) = mistakes(file := changed(values))
    assert found.startswith(at(file, place) + problem)


def test_unknown_section_and_every_mistake_at_once(changed):
    values = {"extract_features.batch_seconds": -1, "evaluation.beam_size": "five"}
    file = changed(values, {"merge_lora": "merge_lorra"})
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


def test_a_gate_has_one_limit(changed):
    (found,) = mistakes(changed(gate(at_least=0.5)))
    assert found.endswith("evaluation.gates.0: a gate has one of at_most and at_least")


def test_every_contradiction_at_once_each_with_its_line(changed):
    file = changed(
        {"train_german_model.eval_sources": ["a"], "evaluation.test_sets": ["b", "general", "domain", "silence"]}
    )
    places = [at(file, place) for place in ("train_german_model.eval_sources.0", "evaluation.test_sets.0")]
    assert [found.partition("no source")[0] for found in mistakes(file)] == places


def test_exports_that_are_not_made_here_may_have_any_name(changed):
    file = changed(
        {"evaluation.exports.convert_to_faster": "elsewhere"} | gate(figure="faster_whisper/own general wer")
    )
    assert read_params(file).evaluation.gates[0].figure == "faster_whisper/own general wer"


def test_ways_to_decode_name_stages_and_parameters_that_there_are():
    assert {way.stage for way in WAYS.values()} == {*Exports.model_fields} == {*EXPORTED}
    assert {way.test_sets for way in WAYS.values()} | {*Sets.__dataclass_fields__} <= {*Evaluation.model_fields}
    assert {*Sets.__dataclass_fields__} == {*TEST_SETS}


def test_a_file_that_cannot_be_read_is_one_message(tmp_path):
    (file := tmp_path / "params.yaml").write_bytes("# größer\n".encode("latin-1"))
    assert mistakes(file)[0].startswith(f"{file}: not UTF-8 ")
    (message,) = mistakes(tmp_path)
    assert message.startswith(f"{tmp_path}: cannot be read: Is a directory; ")


def test_params_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        read_params(SAMPLE).train_german_model.steps = 1


def test_values_never_come_from_the_environment(monkeypatch):
    params = read_params(SAMPLE)
    monkeypatch.setenv("STEPS", "7")
    monkeypatch.setenv("OUTPUT_DIR", "/elsewhere")
    assert read_params(SAMPLE) == params


def test_every_parameter_is_described():
    def undescribed(model: type) -> list[str]:
        return [f"{model.__name__}.{name}" for name, field in model.model_fields.items() if not field.description]

    def below(model: type) -> list[type]:
        return [found for child in model.__subclasses__() for found in (child, *below(child))]

    models = {model for model in (*below(Section), *below(Group)) if model is not Params}
    assert {field.annotation.__args__[0] for field in Params.model_fields.values()} <= models
    assert [name for model in models for name in undescribed(model)] == []
