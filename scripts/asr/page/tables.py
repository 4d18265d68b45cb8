"""The tables of the page: which figures stand in which line, with their bounds, and how a number is written."""

import math
import re
from collections.abc import Sequence

from asr.judging import OF_CHARACTERS
from asr.page.drawing import Scale
from asr.page.judgement import Figures, Judgement, TestSet

_NAMES = {"wer": "WER", "cer": "CER", "mer": "MER"}


def rate(value: float) -> str:
    """A fraction in per cent."""
    return f"{100 * value:.2f}" if math.isfinite(value) else "–"


def points(value: float) -> str:
    """A difference of fractions, in percentage points."""
    return f"{100 * value:+.2f}".replace("-", "−") if math.isfinite(value) else "–"


def number(name: str, value: float) -> str:
    """A figure of `metrics.json`: rates in per cent, counts whole, all else to three digits."""
    if name.split("_")[0] in ("wer", "cer", "mer"):
        return rate(value)
    if not math.isfinite(value):
        return "∞" if value > 0 else "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3g}"


def label(name: str) -> str:
    """What a figure is called: "wer_raw" is "WER raw"."""
    first, *rest = name.split("_")
    return " ".join([_NAMES.get(first, first), *rest])


def parts(name: str) -> list[str]:
    """A model's name, cut where a line may end: "merge_lora" is "merge_", "lora"."""
    return re.split(r"(?<=[/_.-])(?=.)", name)


def of_test_set(judgement: Judgement, test_set: TestSet) -> dict:
    """A test set's table: one line a model, and the differences on it."""
    figures = {
        model.name: judgement.figures[model.name][test_set.name]
        for model in judgement.models
        if test_set.name in judgement.figures.get(model.name, {})
    }
    drawn = {model: _interval(of_model, test_set.figure) for model, of_model in figures.items()}
    bounds = ("_low", "_high")
    others = [name for of_model in figures.values() for name in of_model if not name.endswith(bounds)]
    differences = [item for item in judgement.differences if item.test_set == test_set.name]
    ends = [abs(end) for item in differences for end in (item.low, item.high, item.difference) if math.isfinite(end)]
    scale = Scale.of((end, end, end) for end in ends)
    return {
        "test_set": test_set,
        "rows": sum(row.test_set == test_set.name for row in judgement.rows),
        "figures": figures,
        "drawn": drawn,
        "others": [name for name in dict.fromkeys(others) if name != test_set.figure],
        "scale": Scale.of(drawn.values()),
        "differences": differences,
        "around": Scale(-scale.end, scale.end, (-scale.end, 0.0, scale.end)),
    }


def of_kind(judgement: Judgement, kind: str, models: Sequence[str]) -> dict:
    """A kind's table: one line a value, with the figures of these models side by side."""
    figure = "cer" if kind.endswith(OF_CHARACTERS) else "wer"
    values = {
        value: {name: _interval(of_value[name], figure) for name in models if name in of_value}
        for value, of_value in judgement.groups[kind].items()
    }
    # A model that has heard fewer test sets is judged on fewer words.
    heard = {
        value: {model: of_model["words"] for model, of_model in of_value.items() if "words" in of_model}
        for value, of_value in judgement.groups[kind].items()
    }
    words = {value: max(of_value.values(), default=None) for value, of_value in heard.items()}
    scale = Scale.of(interval for of_value in values.values() for interval in of_value.values())
    return {
        "kind": kind, "figure": figure, "models": models, "values": values, "words": words, "heard": heard, "scale": scale
    }  # fmt: skip


def _interval(figures: Figures, name: str) -> tuple[float, float, float]:
    value = figures.get(name, math.nan)
    return value, figures.get(f"{name}_low", value), figures.get(f"{name}_high", value)
