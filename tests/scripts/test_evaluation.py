"""The whole stage on a made-up test set and a Whisper that says one sentence whatever it hears."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soxr
import torch
from ctranslate2.converters import TransformersConverter
from datasets import Dataset
from one_sentence import teach
from ruamel.yaml import YAML
from transformers import WhisperFeatureExtractor

import evaluation
from asr.audio import encode_flac
from asr.errors import UserError
from asr.espeak import Espeak
from asr.ggml import write_ggml
from asr.judged import FIGURES
from asr.model import save_whisper, save_without_weights
from asr.new_model import new_whisper
from asr.onnx_export import export_onnx
from asr.params import Evaluation
from asr.utterance import Utterance, columns
from asr.vocabulary import whisper_tokenizer

SENTENCE = "Schalte das Licht ein."
SETS = {  # source: (seconds, reference) of each clip
    "general": [(0.6, SENTENCE), (0.9, "Schalte das Licht aus."), (0.5, SENTENCE)],
    "domain": [(0.7, "Rühre den Teig.")],
}
LONG = f"{SENTENCE} Wie spät ist es? Rühre den Teig mit dem Löffel."


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """`model`, `exports/float32`, `ggml/f16`, `onnx/float32`, `audio/test` and `audio/train`."""
    folder = tmp_path_factory.mktemp("evaluation")
    tokenizer = whisper_tokenizer(80)
    model = new_whisper(mels=80, width=32, heads=2, encoder_layers=1, decoder_layers=1, seed=0)
    torch.manual_seed(0)
    teach(model, tokenizer, SENTENCE)
    save_whisper(folder / "model", model, tokenizer, WhisperFeatureExtractor())
    files = ["tokenizer.json", "preprocessor_config.json"]
    TransformersConverter(str(folder / "model"), copy_files=files).convert(
        str(folder / "exports/float32"), quantization="float32"
    )
    for form in ("ggml/f16", "ggml/f32", "onnx/float32"):
        (folder / form).mkdir(parents=True)
    write_ggml(folder / "model", folder / "ggml/f16/ggml-model.bin", "f16")
    export_onnx(model.eval(), folder / "onnx/float32")
    save_without_weights(folder / "onnx/float32", model, tokenizer, WhisperFeatureExtractor())
    rng = np.random.default_rng(0)
    clips = {
        source: [(rng.normal(0, 0.1, int(16000 * s)), text) for s, text in items] for source, items in SETS.items()
    }
    spoken = soxr.resample(Espeak().speak(LONG, "de", 120, 50).astype(np.float32) / 32768, 22050, 16000)
    clips["long"] = [(np.tile(np.pad(spoken, (0, 16000)), 6), " ".join([LONG] * 6))]
    rows = [
        Utterance(f"{source}/{i}", encode_flac(wave), text, "de", "x", source, source, "test", len(wave) / 16000).row()
        for source, items in clips.items()
        for i, (wave, text) in enumerate(items)
    ]
    write(folder / "audio", rows)
    other = {"id": "read/0", "speaker": "y", "audio": encode_flac(np.ones(8000, np.float32)), "split": "train"}
    write(folder / "audio", [rows[1] | other, rows[3] | other | {"text": "", "audio": rows[3]["audio"]}], "train")
    return folder


def write(audio_dir: Path, rows: list[dict], split: str = "test") -> Path:
    """prepare_audio's folder with these utterances."""
    Dataset.from_list(rows, features=columns()).save_to_disk(audio_dir / "saved")
    (audio_dir / split).mkdir()
    next((audio_dir / "saved").glob("*.arrow")).rename(audio_dir / split / "00000.arrow")
    return audio_dir


def params(made, output_dir, **changed) -> Evaluation:
    values = {
        "output_dir": output_dir,
        "audio_dir": made / "audio",
        "models": {"base_model": made / "model"},
        "exports": {"convert_to_faster": made / "exports"},
        "test_sets": ["general", "domain"],
        "engine_test_sets": ["general"],
        "long_test_sets": ["long"],
        "batch": 2,
        "beam_size": 2,
        "gates": [
            {"figure": "convert_to_faster/* general wer", "distance_to": "base_model general wer", "at_most": 0.0}
        ],
    }
    return Evaluation(**values | changed)


MISSED = [
    {"figure": "base_model general wer", "at_most": 0.5},
    {"figure": "base_model domain wer", "at_most": 0.5},
    {"figure": "faster_whisper_batched/* long lost_sentences", "at_most": 1},
]


@pytest.fixture(scope="module")
def done(made, tmp_path_factory):
    """The stage's output and its error: two of three gates are missed."""
    folder = tmp_path_factory.mktemp("done") / "outputs/evaluation"
    with pytest.raises(UserError) as error:
        evaluation.main(params(made, folder, gates=MISSED))
    return folder, str(error.value)


@pytest.fixture(scope="module")
def whole(made, tmp_path_factory):
    """metrics.json and folder of the stage with all that it can judge; every gate is passed."""
    folder = tmp_path_factory.mktemp("whole") / "outputs"
    every = {"convert_to_faster": made / "exports", "convert_to_ggml": made / "ggml", "convert_to_onnx": made / "onnx"}
    gates = [
        {
            "figure": "convert_to_ggml/* general wer",
            "distance_to": "base_model general wer",
            "at_most": 0.0,
            "certain": True,
        },
        {
            "figure": "convert_to_onnx/* general wer",
            "distance_to": "base_model general wer",
            "at_most": 0.0,
            "certain": True,
        },
        {"figure": "base_model general valid_timestamps", "at_least": 1.0},
        {"figure": "training_data general recordings_in_training", "at_most": 0},
    ]
    evaluation.main(
        params(
            made,
            folder,
            exports=every,
            test_sets=["general", "domain", "silence"],
            engine_test_sets=["general", "silence"],
            language_test_sets=["general"],
            timestamps_test_sets=["general", "domain"],
            piece_seconds=5,
            silence_seconds=[1, 2],
            training_dirs=[made / "audio"],
            gates=gates,
        )
    )
    return json.loads((folder / "metrics.json").read_text()), folder


def test_metrics_have_every_model_on_every_test_set(done):
    metrics = json.loads((done[0] / "metrics.json").read_text())
    engines = ["convert_to_faster", "faster_whisper", "faster_whisper_without_timestamps"]
    short = ["base_model", *(f"{name}/float32" for name in engines)]
    assert list(metrics) == [*short, "faster_whisper_batched/float32"]
    figures = {*FIGURES, "profile", "resampled_by"}
    for model in short:
        long = ["long"] if model == "base_model" else []
        assert list(metrics[model]) == (["general"] if model.startswith("faster") else ["general", "domain", *long])
        for name, found in metrics[model].items():  # of one utterance no bounds are known
            bounds = set() if name == "general" else {"wer_low", "wer_high", "cer_low", "cer_high"}
            assert set(found) - {"lost_sentences"} == figures - bounds
    assert list(metrics["faster_whisper_batched/float32"]) == ["long"]
    assert {"wer", "deletions", "lost_sentences"} < set(metrics["faster_whisper_batched/float32"]["long"])


def test_figures_are_what_the_taught_sentence_makes_them(done):
    """Every way to decode hears the same sentence: one word of twelve is wrong, and four for the other three words."""
    metrics = json.loads((done[0] / "metrics.json").read_text())
    for model in (
        "base_model",
        "convert_to_faster/float32",
        "faster_whisper/float32",
        "faster_whisper_without_timestamps/float32",
    ):
        general = metrics[model]["general"]
        assert (general["words"], general["substitutions"], general["wer"]) == (12, 1, 1 / 12)
    for model in ("base_model", "convert_to_faster/float32"):
        assert metrics[model]["domain"]["wer"] == 4 / 3
    assert metrics["faster_whisper/float32"].keys() == {"general"}
    long = metrics["faster_whisper_batched/float32"]["long"]
    assert long["words"] == 6 * 14
    assert 6 <= long["lost_sentences"] < 18  # of 18: each piece of up to 30 s gives back one


def test_predictions_add_up_to_the_metrics(done):
    metrics = json.loads((done[0] / "metrics.json").read_text())
    rows = [json.loads(line) for line in (done[0] / "predictions.jsonl").read_text().splitlines()]
    assert len(rows) == 2 * 4 + 2 * 3 + 2
    for model, test_sets in metrics.items():
        for name, figures in test_sets.items():
            own = [row for row in rows if (row["model"], row["test_set"]) == (model, name)]
            assert [row["id"] for row in own] == [f"{name}/{i}" for i in range(len(own))]
            for count in figures.keys() & {"words", "substitutions", "deletions", "insertions", "lost_sentences"}:
                assert sum(row[count] for row in own) == figures[count]
    assert rows[1] | {"reference": "Schalte das Licht aus.", "hypothesis": SENTENCE, "substitutions": 1} == rows[1]


def test_each_export_has_a_card_with_its_figures(done):
    metrics = json.loads((done[0] / "metrics.json").read_text())
    (card,) = (done[0] / "cards").glob("*/*")
    assert card.relative_to(done[0] / "cards") == Path("convert_to_faster/float32")
    tested = json.loads((card / "lineage.json").read_text())["metrics"]["test"]
    assert tested["general"]["before"] == metrics["base_model"]["general"]
    assert tested["domain"]["export"] == metrics["convert_to_faster/float32"]["domain"]
    told = (card / "README.md").read_text()
    assert "| general | 12 | 8.33 % [" in told and "| domain | 3 | 133.33 % |" in told


def test_groups_add_up_to_the_figures_of_the_test_sets(done):
    groups, metrics = (json.loads((done[0] / f"{name}.json").read_text()) for name in ("groups", "metrics"))
    for model, sets in metrics.items():
        of_model = [figures[model] for figures in groups["duration"].values() if model in figures]
        assert sum(figures["words"] for figures in of_model) == sum(figures["words"] for figures in sets.values())
        assert all({"wer", "cer"} <= set(figures) for figures in of_model)


def test_missed_gates_are_named_with_figure_and_limit_after_the_files_are_written(done):
    folder, message = done
    made = {
        "audio",
        "cards",
        "differences.json",
        "gates.json",
        "groups.json",
        "metrics.json",
        "predictions.jsonl",
        "report.html",
    }
    made |= {"speed.json", "wer.csv"}
    assert {path.name for path in folder.iterdir()} == made
    assert message.startswith("2 of 3 gates missed:")
    assert "base_model domain wer = 1.3333, at most 0.5" in message
    assert "faster_whisper_batched/float32 long lost_sentences = " in message
    assert "base_model general wer" not in message


def test_run_by_dvc_a_missed_gate_is_exit_1_and_a_rerun_gives_the_same_bytes(made, done, tmp_path):
    values = json.loads(params(made, Path("outputs/evaluation"), gates=MISSED).model_dump_json())
    YAML().dump({"evaluation": values}, tmp_path / "params.yaml")
    script = Path(evaluation.__file__)
    run = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 1
    assert "error: 2 of 3 gates missed" in run.stderr
    assert "Traceback" not in run.stderr
    assert "ok      base_model general wer = 0.0833 [" in run.stdout
    assert "MISSED  base_model domain wer" in run.stdout
    for name in ("metrics.json", "predictions.jsonl", "differences.json", "report.html"):
        assert (tmp_path / "outputs/evaluation" / name).read_bytes() == (done[0] / name).read_bytes()


def test_all_gates_passed_is_no_error_and_long_test_sets_may_be_absent(made, tmp_path, capsys):
    evaluation.main(
        params(
            made,
            tmp_path / "out",
            test_sets=["domain"],
            engine_test_sets=["domain"],
            long_test_sets=[],
            gates=[
                {"figure": "convert_to_faster/* domain wer", "distance_to": "base_model domain wer", "at_most": 0.0},
            ],
        )
    )
    printed = capsys.readouterr().out
    gate = "|convert_to_faster/float32 domain wer - base_model domain wer|"
    assert f"ok      {gate} = 0.0000 [0.0000, 0.0000], at most 0" in printed
    assert "batched" not in printed


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"test_sets": ["general", "kitchen"], "gates": []},
            "no utterance of source 'kitchen'; there are domain, general, long",
        ),
        ({"profile": "german"}, "no profile is called german; there are"),
        ({"profiles": {"mine": ["lower"]}}, "profile mine: no step is called lower"),
        ({"profiles": {"words": ["nfc"]}}, "evaluation.profiles: words is one of ours"),
        ({"test_sets": ["long"], "gates": []}, "long/0: over 30 s; judge long among evaluation.long_test_sets"),
        ({"models": {"tuned": Path("nowhere")}}, "nowhere: no such folder; .*evaluation.models.tuned"),
        (
            {"exports": {"convert_to_onnx": Path("nowhere")}, "gates": []},
            "nowhere: no such folder; run the stage convert_to_onnx",
        ),
        ({"training_dirs": [Path("nowhere")]}, "nowhere/train: no utterances"),
        (
            {"gates": [{"figure": "base_model general words", "at_most": 1, "certain": True}]},
            "certain needs a 95 % interval",
        ),
        ({"audio_dir": Path("nowhere")}, "nowhere: no such folder; run the stage prepare_audio"),
        (
            {"gates": [{"figure": "base general wer", "at_most": 1}]},
            "no base; there are base_model, convert_to_faster/float32",
        ),
        (
            {"gates": [{"figure": "base_model general lost_sentences", "at_most": 1}]},
            "no lost_sentences of base_model general",
        ),
    ],
)
def test_what_is_missing_is_named_before_the_work(made, tmp_path, changed, message):
    with pytest.raises(UserError, match=message):
        evaluation.main(params(made, tmp_path / "out", **changed))
    assert not (tmp_path / "out").exists()


def test_an_empty_exports_folder_and_a_set_in_two_languages_are_named(made, tmp_path):
    (tmp_path / "exports").mkdir()
    with pytest.raises(UserError, match="no export in it"):
        evaluation.main(params(made, tmp_path / "out", exports={"convert_to_faster": tmp_path / "exports"}))
    noise = encode_flac(np.zeros(8000, np.float32))
    rows = [
        Utterance(f"general/{code}", noise, "", code, "x", "general", "", "test", 0.5).row() for code in ("de", "ru")
    ]
    (tmp_path / "audio").mkdir()
    audio_dir = write(tmp_path / "audio", rows)
    with pytest.raises(UserError, match="several languages, de, ru"):
        evaluation.main(params(made, tmp_path / "out", audio_dir=audio_dir, test_sets=["general"], long_test_sets=[]))


def test_intervals_hold_the_rate_and_the_profile_is_told(done):
    metrics = json.loads((done[0] / "metrics.json").read_text())
    general = metrics["base_model"]["general"]
    assert general["wer_low"] <= general["wer"] <= general["wer_high"] and general["wer_low"] < general["wer_high"]
    assert re.fullmatch(r"asr-german-mixed-evals [0-9a-f]{16}", general["profile"])
    assert general["wer"] == general["wer_compounds"] == general["wer_raw"]


def test_models_are_compared_on_the_same_utterances(done):
    pairs = json.loads((done[0] / "differences.json").read_text())
    assert len(pairs) == 4 * 3 / 2 + 1 + 1  # of `general`, `domain` and `long`
    same = [pair for pair in pairs if pair["test_set"] != "long"]
    assert all(pair["difference"] == 0 and pair["p"] == 1.0 for pair in same)  # they say the same


def test_the_page_has_every_utterance(done):
    page = (done[0] / "report.html").read_text()
    assert all(text in page for text in ("general/0", "domain/0", "long/0", "asr-german-mixed-evals", "base_model"))


def test_every_export_is_judged_in_its_own_engine(whole):
    metrics, _ = whole
    greedy = ["convert_to_faster/float32", "convert_to_ggml/f16", "convert_to_onnx/float32"]
    for model in (*greedy, "whisper_cpp/f16"):
        assert metrics[model]["general"]["wer"] == 1 / 12
        assert metrics[model]["silence"]["clips"] == 14
    assert not any(model.endswith("/f32") for model in metrics)  # whisper.cpp cannot compute with it
    assert [model for model in metrics if "domain" in metrics[model]] == ["base_model", *greedy, "training_data"]


def test_where_nobody_speaks_what_is_written_is_counted(whole):
    silence = whole[0]["base_model"]["silence"]
    assert (silence["clips"], silence["with_text"], silence["phantom"]) == (14, 1.0, 0.0)  # it says its sentence
    assert 0 <= silence["no_speech_probability"] < 0.1
    assert {"clips", "with_text", "phantom"} == set(whole[0]["faster_whisper/float32"]["silence"])
    page = (whole[1] / "report.html").read_text()
    assert "with text" in page and "writes text in" not in page  # of the base alone nobody is warned


def test_what_a_model_forgets_is_asked_of_models_in_transformers(whole):
    metrics, _ = whole
    assert 0 <= metrics["base_model"]["general"]["language_accuracy"] <= 1
    assert "language_accuracy" not in metrics["base_model"]["domain"]
    assert [metrics["base_model"][name]["valid_timestamps"] for name in ("general", "domain")] == [1.0, 1.0]
    assert "valid_timestamps" not in metrics["convert_to_faster/float32"]["general"]


def test_long_recordings_are_cut_into_pieces_for_models_in_transformers(whole):
    """Each piece of up to 5 s gives back the sentence, of which 6 are said in 18."""
    long = whole[0]["base_model"]["long"]
    assert long["words"] == 6 * 14 and long["deletions"] < long["words"] / 2
    assert long["lost_sentences"] <= 12


def test_what_the_training_has_seen_of_a_test_set_is_counted(whole):
    seen = whole[0]["training_data"]
    assert seen["general"] == {"speakers_in_training": 0, "recordings_in_training": 0, "sentences_in_training": 1}
    assert seen["domain"] == {"speakers_in_training": 0, "recordings_in_training": 1, "sentences_in_training": 0}


def test_the_history_that_git_keeps_has_a_line_for_each_figure(whole):
    metrics, folder = whole
    header, *lines = (folder / "wer.csv").read_text().splitlines()
    assert header == "model,test_set,wer,wer_low,wer_high,cer,cer_low,cer_high,profile"
    found = {tuple(line.split(",")[:2]): float(line.split(",")[2]) for line in lines}
    wanted = {(m, s): of["wer"] for m, sets in metrics.items() for s, of in sets.items() if "wer" in of}
    assert found == {key: pytest.approx(wer, abs=1e-6) for key, wer in wanted.items()}


def test_any_two_files_are_scored(tmp_path):
    rows = {
        "a": ("Zweiundzwanzig Straßen.", "22 strassen"),
        "b": ("Schönes Haus!", "schönes Maus"),
        "c": ("Die Haus Tür", "die Haustür"),
    }
    for name, side in (("ref", 0), ("hyp", 1)):
        lines = [json.dumps({"id": id, "text": texts[side]}) for id, texts in rows.items()]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines if side else lines[::-1]))
    command = [sys.executable, evaluation.__file__, "--predictions", "hyp.jsonl", "--references", "ref.jsonl"]
    command += ["--profile", "asr-german-mixed-evals", "--output", "out.json"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert re.search(r"^wer            0\.42857  \[0\.\d{5}, \d\.\d{5}\]$", run.stdout, re.MULTILINE)
    assert re.search(r"^wer_compounds  0\.14286", run.stdout, re.MULTILINE)
    assert json.loads((tmp_path / "out.json").read_text())["substitutions"] == 2
    (tmp_path / "hyp.jsonl").write_text(json.dumps({"id": "a", "text": "x"}))
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (1, "error: hyp.jsonl: ids c, b missing, which ref.jsonl has\n")
