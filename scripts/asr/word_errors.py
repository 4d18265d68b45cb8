"""The project's scorer as a metric of Hugging Face `evaluate`, which loads it from this file, with no Hub.

    metric = evaluate.load("scripts/asr/word_errors.py")           # with scripts/ on the path
    metric.compute(predictions=["licht aus"], references=["Licht an."], profile="words")       # {"wer": 0.5, "cer": …}

The trainings and the stage `evaluation` count by the same `asr.scoring`.
"""

import datasets
import evaluate

from asr.normaliser import Normaliser
from asr.scoring import score


class WordErrors(evaluate.Metric):
    """Word and character error rates of a corpus, on texts normalised by a named profile."""

    def _info(self) -> evaluate.MetricInfo:
        texts = {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            inputs_description="predictions, references: texts, paired; profile: of asr.normaliser",
            features=datasets.Features(texts),
        )

    def _compute(self, predictions: list[str], references: list[str], profile: str = "words") -> dict[str, float | int]:
        return score(references, predictions, Normaliser.of(profile))
