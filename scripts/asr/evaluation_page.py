"""The page of an evaluation, filled: from judged test sets to what `page` shows.

    write_report(folder, models, judged_sets, groups, metrics, differences, verdicts, flacs, trained)      # folder/report.html

In: the test sets with each model's counts, the figures, of groups too, paired differences and gates, and the recordings.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from asr.gates import Verdict
from asr.judged import SILENCE, TRAINING
from asr.judging import JudgedSet
from asr.page import Curve, Difference, Gate, Hypothesis, Judgement, Model, Row, TestSet, write_page

CURVES = {"loss.csv": ("loss",), "wer.csv": ("wer", "cer")}  # what a training leaves in its folder


def write_report(
    folder: Path,
    models: Sequence[str],
    judged_sets: Mapping[str, JudgedSet],
    groups: Mapping[str, Mapping[str, Mapping[str, dict]]],
    metrics: Mapping[str, Mapping[str, Mapping[str, float]]],
    differences: Sequence[Difference],
    verdicts: Sequence[Verdict],
    flacs: Mapping[str, bytes],
    trained: Mapping[str, Path],
) -> None:
    """Write `report.html`.

    Args:
        models: their names in `metrics`, in order.
        groups: what `grouped` makes of the test sets.
        flacs: recordings by the utterance's id.
        trained: folders of models, of which those of a training hold its curves.
    """
    silence = {model: sets[SILENCE] for model, sets in metrics.items() if SILENCE in sets}
    write_page(
        folder,
        Judgement(
            models=[Model(name, _role(name, list(trained))) for name in models],
            test_sets=[_test_set(name, judged) for name, judged in judged_sets.items()],
            figures={
                model: {name: _numbers(figures) for name, figures in sets.items() if name in judged_sets}
                for model, sets in metrics.items()
                if model in models
            },
            rows=[row for name, judged in judged_sets.items() for row in _rows(name, judged)],
            audio=flacs,
            # Against the base, and against the training before.
            differences=[
                one for one in differences if one.base == models[0] or {one.model, one.base} <= trained.keys()
            ],
            gates=[Gate(str(one.gate), one.value, one.interval, one.limit, one.passed) for one in verdicts],
            groups=groups,
            curves=[curve for name, model_dir in trained.items() for curve in _curves(name, model_dir)],
            silence=silence,
            notes=[
                f"{name}: normalised by {judged.normaliser.name} ({judged.normaliser.version}); 95 % intervals resampled by "
                f"{judged.resampled_by}"
                for name, judged in judged_sets.items()
            ]
            + [
                f"{name}: writes text in {figures['with_text']:.0%} of the {figures['clips']} clips in which nobody speaks"
                for name, figures in silence.items()
                if name in trained and name != models[0] and figures["with_text"]
            ]
            + [
                f"{name}: {figures['speakers_in_training']} utterances by speakers, {figures['recordings_in_training']} recordings "
                f"and {figures['sentences_in_training']} sentences that are in the training data"
                for name, figures in metrics.get(TRAINING, {}).items()
            ],
        ),
    )


def _role(model: str, trained: Sequence[str]) -> str:
    if model not in trained:
        return "exported"
    return "base" if model == trained[0] else "tuned"


def _test_set(name: str, judged: JudgedSet) -> TestSet:
    language = judged.utterances.language
    return TestSet(name, language, "character", "cer") if judged.normaliser.by_character else TestSet(name, language)


def _numbers(figures: Mapping) -> dict[str, float]:
    return {name: value for name, value in figures.items() if not isinstance(value, str)}


def _rows(name: str, judged: JudgedSet) -> list[Row]:
    def units(text: str) -> list[str]:
        words = judged.normaliser(text).split()
        return list("".join(words)) if judged.normaliser.by_character else words

    of = judged.utterances
    return [
        Row(
            id,
            name,
            of.references[i],
            units(of.references[i]),
            {model: Hypothesis(texts[i], units(texts[i])) for model, texts in judged.hypotheses.items()},
            of.seconds[i],
            judged.groups_of(i),
        )
        for i, id in enumerate(of.ids)
    ]


def _curves(name: str, model_dir: Path) -> list[Curve]:
    found = []
    for file, columns in CURVES.items():
        path = model_dir / file
        if not path.is_file():
            continue
        with path.open(encoding="utf-8", newline="") as opened:
            rows = list(csv.DictReader(opened))
        for column in columns:
            points = [(float(row["step"]), float(row[column])) for row in rows if row.get(column)]
            if points:
                found.append(Curve(f"{name} {column}", points))
    return found
