"""The whole pipeline on real recordings: 100 clips of Common Voice, through the recipe `common_voice_de`.

A new small model and a few steps stand in for whisper-tiny, which is on the Hub. What WER comes out says nothing about
Whisper; that nothing is lost and everything runs is what is tested.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest
import soundfile
from ruamel.yaml import YAML

CORPUS = Path(__file__).resolve().parents[2] / "shared/data/common_voice_de"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no real recordings: {CORPUS} is not there"),
]


@pytest.fixture
def recipe(repository):
    folder = repository / "recipes/common_voice_de"
    (folder / "data/common_voice_de").symlink_to(CORPUS)
    file = folder / "params.yaml"
    params = YAML().load(file)
    new = {"seed": 0, "mels": 80, "width": 64, "heads": 2, "encoder_layers": 1, "decoder_layers": 1}
    params["base_model"] = {"output_dir": "outputs/base_model", "source": "new", "new": new}
    params["prepare_audio"]["sources"]["common_voice"]["splits"] = "speaker"  # there is only validated.tsv
    # Four clips to test on: a model that knows no word falls back to sampling, six times 224 tokens for each clip and way.
    params["prepare_audio"]["speaker_split"] = {"seed": 0, "dev_share": 0.1, "test_share": 0.05}
    training = params["train_german_model"]
    training.update(steps=40, eval_steps=20, warmup_steps=10, global_batch=8, device_batch=8, log_steps=10)
    training.update(learning_rate=1e-3, ctc_weight=0.1, loader_workers=0)
    training["windows"].update(full_share=0.1, full_batch=4, packed_batch=4)
    YAML().dump(params, file)
    return folder


def test_a_hundred_real_clips_become_a_model_that_faster_whisper_runs(recipe):
    subprocess.run(["dvc", "repro"], cwd=recipe, check=True, env=os.environ | {"WORKERS": "2"})

    counts = json.loads((recipe / "outputs/prepare_audio/stats.json").read_text())
    rejected = (recipe / "outputs/prepare_audio/rejected.jsonl").read_text().splitlines()
    rows = [split for source in counts.values() for split in source.values()]
    assert sum(row["in"] for row in rows) == 100
    assert sum(row["kept"] for row in rows) + len(rejected) == 100

    losses = (recipe / "outputs/train_german_model/loss.csv").read_text().splitlines()[1:]
    first, last = (float(losses[i].split(",")[1]) for i in (0, -1))
    assert last < 0.8 * first

    metrics = json.loads((recipe / "outputs/evaluation/metrics.json").read_text())
    assert set(metrics.pop("training_data")["common_voice"].values()) == {0}
    print(json.dumps({model: sets["common_voice"]["wer"] for model, sets in metrics.items()}, indent=1))
    assert all(sets["common_voice"]["words"] > 20 for sets in metrics.values())
    lines = (recipe / "outputs/evaluation/predictions.jsonl").read_text().splitlines()
    predictions = [row for row in map(json.loads, lines) if row["test_set"] == "common_voice"]
    assert len(metrics) == 2 + 3 * 2 and len(predictions) == len(metrics) * counts["common_voice"]["test"]["kept"]

    from faster_whisper import WhisperModel

    clip = next((CORPUS / "clips").glob("*.mp3"))
    segments, info = WhisperModel(str(recipe / "outputs/convert_to_faster/int8")).transcribe(str(clip), language="de")
    assert all(0 <= segment.start <= segment.end for segment in segments)  # where, such a model does not know
    assert info.duration == pytest.approx(soundfile.info(clip).duration, abs=0.1)
