"""What a stage prints about its figures: a table of models and test sets, and the gates.

    python -m asr.report outputs/evaluation/metrics.json      # both once more; needs scripts/ on PYTHONPATH

print(told(metrics))
model          test set  WER %  CER %  words  subst.  del.  ins.
base_model     general   99.10  88.02    612       0   606     0
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from asr import gates
from asr.gates import Metrics

_COLUMNS = {
    "WER %": "wer",
    "CER %": "cer",
    "words": "words",
    "subst.": "substitutions",
    "del.": "deletions",
    "ins.": "insertions",
}
_LOST = {"lost sentences": "lost_sentences"}  # only recordings of several sentences have it


def told(metrics: Metrics) -> str:
    """All that follows, as far as it was measured."""
    return "\n\n".join(filter(None, (of(metrics) for of in (table, forgotten, silence, training_data))))


def table(metrics: Metrics) -> str:
    """One line for each model on each test set; rates in percent."""
    judged = [
        (model, test_set, figures)
        for model, sets in metrics.items()
        for test_set, figures in sets.items()
        if "wer" in figures
    ]
    columns = _COLUMNS | (_LOST if any("lost_sentences" in figures for *_, figures in judged) else {})
    rows = [["model", "test set", *columns]]
    for model, test_set, figures in judged:
        rows.append([model, test_set, *(_cell(figures, name) for name in columns.values())])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(_justify(row, widths)).rstrip() for row in rows)


def silence(metrics: Metrics) -> str:
    """One line a model that was given silence and noise: how often it wrote something; "" without any."""
    lines = []
    for model, sets in metrics.items():
        if figures := sets.get("silence"):
            probability = figures.get("no_speech_probability")
            lines.append(
                f"  {model}: text in {figures['with_text']:.0%} of {figures['clips']} clips, a known phantom in "
                f"{figures['phantom']:.0%}" + (f", P(no speech) {probability:.2f}" if probability is not None else "")
            )
    return "\n".join(["where nobody speaks:", *lines] if lines else [])


def forgotten(metrics: Metrics) -> str:
    """One line for each model and test set of which more than the text was asked; "" without any."""
    asked = {"language_accuracy": "language identified", "valid_timestamps": "valid timestamps"}
    lines = []
    for model, sets in metrics.items():
        for test_set, figures in sets.items():
            if told := [f"{what} {figures[name]:.1%}" for name, what in asked.items() if name in figures]:
                lines.append(f"  {model} {test_set}: {', '.join(told)}")
    return "\n".join(["what training may make a model forget:", *lines] if lines else [])


def training_data(metrics: Metrics) -> str:
    """One line a test set of which something was trained on; "" without any."""
    lines = [
        f"  {test_set}: {', '.join(f'{count} {name}'.replace('_', ' ') for name, count in figures.items())}"
        for test_set, figures in metrics.get("training_data", {}).items()
    ]
    return "\n".join(["test utterances that share something with the training data:", *lines] if lines else [])


def verdicts(rows: Sequence[Mapping]) -> str:
    """One line a gate, of gates.json: ok or MISSED, its figure and its limit; and how many are kept. "" without any."""
    lines = [f"{'ok    ' if row['passed'] else 'MISSED'}  {gates.told(row)}" for row in rows]
    kept = f"{sum(row['passed'] for row in rows)} of {len(rows)} gates kept"
    return "\n".join([*lines, kept]) if rows else ""


def _cell(figures: dict, name: str) -> str:
    if name not in figures:
        return ""
    return f"{100 * figures[name]:.2f}" if name in ("wer", "cer") else str(figures[name])


def _justify(row: list[str], widths: list[int]) -> list[str]:
    """Names to the left, numbers to the right."""
    sides = [str.ljust, str.ljust, *[str.rjust] * (len(row) - 2)]
    return [justify(cell, width) for justify, cell, width in zip(sides, row, widths, strict=True)]


if __name__ == "__main__":
    metrics = Path(sys.argv[1])
    print(told(json.loads(metrics.read_text(encoding="utf-8"))))
    if (judged := metrics.with_name("gates.json")).is_file() and (
        rows := json.loads(judged.read_text(encoding="utf-8"))
    ):
        print(f"\n{verdicts(rows)}")
