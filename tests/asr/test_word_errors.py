"""evaluate's interface gives the scorer's own figures, offline."""

import evaluate
import pytest

import asr.word_errors
from asr.normaliser import Normaliser
from asr.scoring import score

REFERENCES = ["Zweiundzwanzig Straßen.", "Licht an!", "Wie spät ist es?"]
PREDICTIONS = ["22 strassen", "licht aus", "wie spät ist"]


@pytest.mark.parametrize("profile", ["words", "asr-german-mixed-evals", "none"])
def test_it_is_the_same_scorer(tmp_path, monkeypatch, profile):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    metric = evaluate.load(asr.word_errors.__file__, cache_dir=str(tmp_path))
    metric.add_batch(predictions=PREDICTIONS[:2], references=REFERENCES[:2])
    metric.add(prediction=PREDICTIONS[2], reference=REFERENCES[2])
    assert metric.compute(profile=profile) == score(REFERENCES, PREDICTIONS, Normaliser.of(profile))
