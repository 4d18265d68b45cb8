"""An export's card is valid for the Hub and tells what was measured; its lineage says all of it, evaluation's adds to it."""

import json

import pytest
from huggingface_hub import ModelCard

from asr.export_cards import FORMS, card_of, finish_export, same_export, write_cards
from asr.lineage import sha256

PROFILE = "asr-german-mixed-evals 0123456789abcdef"


def figures(wer: float) -> dict:
    """Of a test set, with bounds half and twice as large."""
    told = {name: value for rate in ("wer", "cer") for name, value in bounds(rate, wer).items()}
    return told | {"words": 600, "substitutions": 7, "profile": PROFILE}


def bounds(name: str, value: float) -> dict:
    return {name: value, f"{name}_low": value / 2, f"{name}_high": value * 2}


PARITY = {
    "recordings": 32,
    "seconds": 99.5,
    "language": "de",
    "encoder": None,
    "log_probabilities": None,
    "identical_transcripts": 31 / 32,
    "errors": {"figure": "wer", "model": 0.04, "export": 0.05, "difference": 0.01, "interval": [-0.01, 0.03]},
    "figures": {"before": figures(0.9), "after": figures(0.04), "export": figures(0.05)},
    "megabytes": 1.0,
    "load_seconds": 0.1,
    "speech_seconds_a_second": {"export": 10.0, "model": 5.0},
}
METRICS = {
    "base_model": {"general": figures(0.8), "silence": {"clips": 14, "with_text": 1.0, "phantom": 0.5}},
    "other": {"general": figures(0.7)},
    "merge_lora": {
        "general": figures(0.03),
        "a | b\n<b>": figures(0.2),
        "silence": {"clips": 14, "with_text": 0.0, "phantom": 0.0},
    },
    "convert_to_faster/int8": {
        "general": figures(0.031),
        "a | b\n<b>": figures(0.21),
        "silence": {"clips": 14, "with_text": 0.25, "phantom": 0.0},
    },
}
LOCK = """
schema: '2.0'
stages:
  base_model:
    outs: [{path: outputs/base_model, md5: aaa.dir}]
    params:
      params.yaml:
        base_model: {output_dir: outputs/base_model, source: hub, hub: {id: openai/whisper-tiny, revision: HASH}}
  train_german_model:
    outs: [{path: outputs/train_german_model, md5: bbb.dir}]
    deps: [{path: outputs/base_model, md5: aaa.dir}, {path: scripts/train_german_model.py, md5: code}]
    params:
      params.yaml:
        train_german_model: {learning_rate: 1e-05}
""".replace("HASH", "0" * 40)
PIPELINE = "stages: {convert_to_faster: {cmd: x, deps: [outputs/train_german_model]}}"


@pytest.fixture
def models(tmp_path):
    """Folders of models, of which `merge_lora` was converted."""
    folders = {}
    for name in ("base_model", "other", "merge_lora"):
        folders[name] = tmp_path / name
        folders[name].mkdir()
        (folders[name] / "model.safetensors").write_text(name)
    return folders


@pytest.fixture
def export(tmp_path, models):
    """An export that was proved, finished by hand, not by DVC."""
    return exported(tmp_path / "convert_to_faster/int8", models, PARITY)


def exported(folder, models, parity, form="ctranslate2"):
    folder.mkdir(parents=True)
    if parity:
        (folder / "parity.json").write_text(json.dumps(parity))
    inputs = {"model": sha256(models["merge_lora"])}
    finish_export(folder, form, inputs, {"quantization": "int8", "chunk_seconds": 5}, ["<|x|>"])
    return folder


def lineage(folder) -> dict:
    return json.loads((folder / "lineage.json").read_text())


def card(folder) -> str:
    return (folder / "README.md").read_text()


def test_the_lineage_of_an_export_made_by_dvc_has_everything(models, tmp_path, monkeypatch):
    (tmp_path / "dvc.lock").write_text(LOCK)
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_STAGE", "convert_to_faster")
    found = lineage(folder := exported(tmp_path / "int8", models, PARITY))
    assert found["inputs"] == {"model": {"sha256": sha256(models["merge_lora"])}}
    assert found["params"] == {"quantization": "int8", "chunk_seconds": 5}
    assert found["data"] == {"outputs/base_model": "aaa.dir", "outputs/train_german_model": "bbb.dir"}
    assert found["stages"]["train_german_model"] == {"learning_rate": 1e-05}
    assert found["git"].keys() == {"commit", "dirty"} and found["versions"]["torch"]
    proof = found["metrics"]["dev"]
    assert proof["figures"]["export"]["profile"] == PROFILE and proof["errors"]["interval"] == [-0.01, 0.03]
    assert "load_seconds" not in proof and "speech_seconds_a_second" not in proof  # another time they are others
    assert found["new_tokens"] == ["<|x|>"]
    head = ModelCard(card(folder)).data
    assert (head.base_model, head.license) == ("openai/whisper-tiny", "apache-2.0")


def test_by_hand_data_and_earlier_parameters_are_null_and_without_git_the_card_says_so(export, tmp_path, monkeypatch):
    assert lineage(export)["data"] is None and lineage(export)["stages"] is None
    monkeypatch.setattr("asr.lineage.REPOSITORY", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (export / "parity.json").unlink()
    finish_export(export, "ctranslate2", {}, {"quantization": "int8"})
    assert lineage(export)["git"] is None and lineage(export)["metrics"] == {}
    assert "commit unknown" in card(export) and ModelCard(card(export)).data.language is None


def test_what_is_judged_on_alone_is_no_data_and_no_language_of_the_model():
    sources = {"german": {"language": "de", "licence": "CC0"}, "english": {"language": "en", "licence": "CC-BY-4.0"}}
    stages = {"prepare_audio": {"sources": sources}, "train_german_model": {"sources": {"german": 1.0}}}
    text = card_of({"form": "ctranslate2", "metrics": {}, "stages": stages}, "int8")
    assert ModelCard(text).data.language == ["de"] and 'language="de"' in text
    assert "| german | CC0 |" in text and "english" not in text


def test_the_export_of_the_base_has_nothing_before_it(models, tmp_path):
    base = exported(tmp_path / "convert_to_faster/int8", models | {"merge_lora": models["base_model"]}, None)
    write_cards(tmp_path / "cards", METRICS, models, {"convert_to_faster/int8": base})
    tested = lineage(tmp_path / "cards/convert_to_faster/int8")["metrics"]["test"]
    assert tested["general"] == {"after": figures(0.8), "export": figures(0.031)}
    assert "writes something in 25% of 14 clips, in 0%" in card(tmp_path / "cards/convert_to_faster/int8")


@pytest.mark.parametrize("form", FORMS)
def test_the_card_is_valid_for_the_hub_and_its_table_has_the_intervals(models, tmp_path, form):
    text = card(exported(tmp_path / "int8", models, PARITY, form))
    head = ModelCard(text).data
    assert head.library_name == FORMS[form].library and head.pipeline_tag == "automatic-speech-recognition"
    assert head.language == ["de"] and "whisper" in head.tags and head.license == "other"
    results = {(result.dataset_name, result.metric_type): result for result in head.eval_results}
    assert results.keys() == {("dev", "wer"), ("dev", "cer")}
    told = results["dev", "wer"]
    assert told.metric_value == 0.05 and told.dataset_split == "validation"
    assert told.metric_args == {"normaliser": PROFILE, "interval_95": [0.025, 0.1]}
    rates = "90.00 % [45.00, 180.00] | 4.00 % [2.00, 8.00] | 5.00 % [2.50, 10.00]"
    assert f"| dev, 32 recordings | 600 | {rates} | {rates} | {PROFILE} |" in text
    assert "WER before | WER after | WER export | CER before" in text
    assert "31 of 32 transcripts" in text and "WER differs by 1.00 points [-1.00, 3.00]" in text
    assert "which also chose the checkpoint" in text and 'language="de"' in text


def test_evaluations_card_has_the_test_sets_and_the_model_that_was_converted(export, models, tmp_path):
    name = "convert_to_faster/int8"
    write_cards(tmp_path / "cards", METRICS, models, {name: export})
    folder = tmp_path / "cards" / name
    assert {path.name for path in folder.iterdir()} == {"README.md", "lineage.json"}
    tested = lineage(folder)["metrics"]["test"]
    assert tested["general"] == {"before": figures(0.8), "after": figures(0.03), "export": figures(0.031)}
    assert lineage(folder)["metrics"]["dev"] == lineage(export)["metrics"]["dev"]
    text = card(folder)
    assert "| general | 600 | 80.00 % [40.00, 160.00] | 3.00 % [1.50, 6.00] | 3.10 % [1.55, 6.20] |" in text
    assert r"| a \| b \<b\> | 600 |  | 20.00 % [" in text  # the first model was not judged on it
    assert "32 recordings" in text and "silence" not in text
    assert "Where nobody speaks it writes something in 25% of 14 clips (before: 100%), in 0% a phrase" in text
    results = {(of.dataset_name, of.metric_type): of for of in ModelCard(text).data.eval_results}
    assert results["general", "wer"].metric_value == 0.031 and results["general", "wer"].dataset_split == "test"
    assert ("a | b\n<b>", "wer") in results and ("dev", "wer") not in results


def test_cards_of_no_export_are_an_empty_folder_and_an_export_without_a_lineage_has_its_figures(models, tmp_path):
    write_cards(tmp_path / "none", METRICS, models, {})
    assert list((tmp_path / "none").iterdir()) == []
    (tmp_path / "bare").mkdir()
    write_cards(tmp_path / "cards", METRICS, models, {"convert_to_faster/int8": tmp_path / "bare"})
    text = card(tmp_path / "cards/convert_to_faster/int8")
    assert "| general | 600 | 80.00 % [40.00, 160.00] | 3.10 % [1.55, 6.20] |" in text
    assert ModelCard(text).data.library_name is None


def test_a_card_is_of_the_same_export_alone(export, models, tmp_path):
    write_cards(tmp_path / "cards", METRICS, models, {"convert_to_faster/int8": export})
    judged = tmp_path / "cards/convert_to_faster/int8"
    assert same_export(judged, export)
    assert not same_export(tmp_path / "nowhere", export) and not same_export(judged, tmp_path / "nowhere")
    (models["merge_lora"] / "model.safetensors").write_text("trained again")
    assert not same_export(judged, exported(tmp_path / "again/int8", models, PARITY))
