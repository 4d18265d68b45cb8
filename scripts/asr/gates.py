"""Gates: limits on figures of `metrics.json`, which a stage fails by name.

    gates = expand(gates, names)        # before the work: does every figure exist? `/*` becomes each export
    judge(gates, metrics, paired)       # after it: one verdict a gate

A figure is "model test_set name", as in "merge_lora general wer". A model that ends in `/*` stands for every export of
that name; two such models in one gate mean the same export.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isinf, isnan

from asr.errors import UserError

Metrics = Mapping[str, Mapping[str, Mapping[str, float]]]  # {model: {test_set: {name: figure}}}
Names = Mapping[str, Mapping[str, Sequence[str]]]  # {model: {test_set: names of figures}}
Interval = tuple[float, float]
Paired = Callable[
    [str, str, str, str], Interval
]  # test set, figure, model, other: of the first's figure less the other's

WITH_INTERVALS = ("wer", "cer")

# A limit of 0.01 means 0.01, though 0.13 - 0.12 is 0.010000000000000009 in binary.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Gate:
    """`figure`, or figure - `minus`, or figure / `ratio_to`, or |figure - `distance_to`|, is to be `at_most` or `at_least`.

    With `certain` not the value but the end of its 95 % interval that is nearer to failing has to keep the limit; with `minus`
    too it has to lie within it, since the same transcripts are not certainly better ones.
    """

    figure: str
    at_most: float | None = None
    at_least: float | None = None
    minus: str = ""
    ratio_to: str = ""
    distance_to: str = ""
    certain: bool = False

    def __str__(self) -> str:
        if self.minus:
            return f"{self.figure} - {self.minus}"
        if self.ratio_to:
            return f"{self.figure} / {self.ratio_to}"
        if self.distance_to:
            return f"|{self.figure} - {self.distance_to}|"
        return self.figure

    @property
    def limit(self) -> str:
        """In words: "at most 0.1", "certainly at least 0.95"."""
        limit = f"at least {self.at_least:g}" if self.at_most is None else f"at most {self.at_most:g}"
        return f"certainly {limit}" if self.certain else limit

    @property
    def has_interval(self) -> bool:
        """An error rate has one, and a difference of two models' on the same utterances."""
        (_, test_set, name), *others = (figure.split(" ") for figure in self.figures.values())
        return name in WITH_INTERVALS and not self.ratio_to and all(other[1:] == [test_set, name] for other in others)

    @property
    def figures(self) -> dict[str, str]:
        """The figures that the gate names, by field."""
        fields = {
            "figure": self.figure,
            "minus": self.minus,
            "ratio_to": self.ratio_to,
            "distance_to": self.distance_to,
        }
        return {field: figure for field, figure in fields.items() if figure}


@dataclass(frozen=True)
class Verdict:
    """A gate, its value with the 95 % interval if it has one, and whether it keeps the limit."""

    gate: Gate
    value: float
    interval: Interval | None = None

    @property
    def passed(self) -> bool:
        if self.gate.certain and self.interval is None:  # of one utterance nothing is certain
            return False
        low, high = self.interval if self.gate.certain else (self.value, self.value)
        return self._keeps(low, high, -_ROUNDING if self.gate.certain and self.gate.minus else _ROUNDING)

    @property
    def limit(self) -> str:
        """The gate's, and whether it is kept by the value alone and not by the whole interval."""
        doubtful = self.passed and self.interval is not None and not self._keeps(*self.interval, _ROUNDING)
        return f"{self.gate.limit}, not certainly" if doubtful else self.gate.limit

    def row(self) -> dict:
        """As gates.json has it; what is not known is None, and of errors against none "inf", for which JSON has no number."""
        value = None if isnan(self.value) else "inf" if isinf(self.value) else self.value
        interval = self.interval and list(self.interval)
        return {
            "gate": str(self.gate),
            "value": value,
            "interval": interval,
            "limit": self.limit,
            "passed": self.passed,
        }

    def _keeps(self, low: float, high: float, slack: float) -> bool:
        if self.gate.at_most is None:
            return low >= self.gate.at_least - slack
        return high <= self.gate.at_most + slack

    def __str__(self) -> str:
        return told(self.row())


def told(row: Mapping) -> str:
    """A row of gates.json in words: "merge_lora general wer = 0.0331 [0.0000, 0.1121], at most 0.1, not certainly"."""
    certain = row["limit"].startswith("certainly")
    value = "not known" if row["value"] is None else f"{float(row['value']):.4f}"
    interval = " [{:.4f}, {:.4f}]".format(*row["interval"]) if row["interval"] else " [not known]" if certain else ""
    return f"{row['gate']} = {value}{interval}, {row['limit']}"


def expand(gates: Sequence[Gate], names: Names) -> list[Gate]:
    """The gates with `/*` replaced by each export in turn, every figure of which exists in `names`.

    Raises:
        UserError: a gate names a figure that there will not be, or wants the interval of one that has none.
    """
    expanded = [bound for gate in gates for bound in _bind(gate, names)]
    for gate in expanded:
        for field, figure in gate.figures.items():
            _require(figure, field, names)
        if gate.certain and not gate.has_interval:
            raise UserError(
                f"gate {gate}: certain needs a 95 % interval, which wer and cer have, and their difference of two models on "
                "one test set; leave it out"
            )
    return expanded


def judge(gates: Sequence[Gate], metrics: Metrics, paired: Paired) -> list[Verdict]:
    """One verdict for each gate, in their order; `gates` as `expand` gives them.

    A figure that is not known, as the bounds of one utterance's error rate, is NaN, which keeps no limit.
    """
    return [Verdict(gate, _value(gate, metrics), _interval(gate, metrics, paired)) for gate in gates]


def _bind(gate: Gate, names: Names) -> list[Gate]:
    stems = [figure.split(" ")[0][:-1] for figure in gate.figures.values() if figure.split(" ")[0].endswith("/*")]
    if not stems:
        return [gate]
    exports = sorted({model.removeprefix(stem) for stem in stems for model in names if model.startswith(stem)})
    if not exports:
        raise UserError(f"gate {gate}: no model is called {stems[0]}…; there are {', '.join(names)}")
    return [
        replace(gate, **{field: figure.replace("/* ", f"/{export} ", 1) for field, figure in gate.figures.items()})
        for export in exports
    ]


def _require(figure: str, field: str, names: Names) -> None:
    known, path = names, []
    for key in figure.split(" "):
        if key not in known:
            where = f" of {' '.join(path)}" if path else ""
            raise UserError(f"gate with {field}: {figure}: there is no {key}{where}; there are {', '.join(known)}")
        path.append(key)
        known = known[key] if len(path) < 3 else known


def _value(gate: Gate, metrics: Metrics) -> float:
    def look_up(figure: str) -> float:
        model, test_set, name = figure.split(" ")
        return metrics[model][test_set].get(name, float("nan"))

    value = look_up(gate.figure)
    if gate.minus:
        return value - look_up(gate.minus)
    if gate.distance_to:
        return abs(value - look_up(gate.distance_to))
    if gate.ratio_to:
        other = look_up(gate.ratio_to)
        if other == 0:  # nothing is a share of nothing: no error against none passes, any error against none does not
            return 0.0 if value == 0 else float("inf")
        return value / other
    return value


def _interval(gate: Gate, metrics: Metrics, paired: Paired) -> Interval | None:
    if not gate.has_interval:
        return None
    model, test_set, name = gate.figure.split(" ")
    if not (other := gate.minus or gate.distance_to):
        figures = metrics[model][test_set]
        return (figures[f"{name}_low"], figures[f"{name}_high"]) if f"{name}_low" in figures else None
    low, high = paired(test_set, name, model, other.split(" ")[0])
    if isnan(low):
        return None
    if gate.minus:
        return low, high
    return max(0.0, low, -high), max(0.0, -low, high)  # of a distance: which of both is worse is not asked
