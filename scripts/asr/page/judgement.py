"""What the page of an evaluation tells, as plain values.

    words = {"hallo": ("hallo", "welt"), "merged": ("hallo", "wald")}
    Row("a/1", "general", "Hallo Welt!", words["hallo"], {"merged": Hypothesis("Hallo Wald!", words["merged"])}, 1.3)

Rates are fractions. Texts may hold anything: the page shows them as text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Figures = Mapping[str, float]  # {"wer": 0.03, "wer_low": 0.02, "wer_high": 0.04, "cer": …, "words": 604, …}


@dataclass(frozen=True)
class Model:
    """A model, or a way to decode one. Where there are several of a role, the page starts with the first base, the last
    tuned and the first exported."""

    name: str
    role: Literal["base", "tuned", "exported"]


@dataclass(frozen=True)
class TestSet:
    """The utterances of one source."""

    name: str
    language: str = ""  # Whisper's code; a reader's fonts and voices depend on it
    unit: Literal["word", "character"] = "word"  # what `Row.words` are: characters where words have no spaces
    figure: str = "wer"  # the rate that is drawn: "cer" where characters are counted


@dataclass(frozen=True)
class Difference:
    """A model's rate less another's on the same utterances; below 0 it is better. See `asr.intervals.Difference`."""

    model: str
    base: str
    test_set: str
    difference: float
    low: float
    high: float
    p: float
    wins: float  # share of the resampled test sets in which the model makes fewer errors
    smallest: float | None = None  # the smallest true difference that the test set can show


@dataclass(frozen=True)
class Gate:
    """A limit of `params.yaml` and what it met."""

    text: str
    value: float
    interval: tuple[float, float] | None  # of 95 %
    limit: str  # "at most 0.1"
    passed: bool


@dataclass(frozen=True)
class Curve:
    """What a training logged, by step."""

    name: str  # "train_german_model loss"
    points: Sequence[tuple[float, float]]  # step, value


@dataclass(frozen=True)
class Hypothesis:
    """What a model wrote."""

    text: str  # as it was written
    words: Sequence[str]  # as it was counted: normalised words, or characters; none of them empty or with white space


@dataclass(frozen=True)
class Row:
    """An utterance and what each model that heard it wrote."""

    id: str
    test_set: str
    reference: str
    words: Sequence[str]  # the reference's, as they were counted
    hypotheses: Mapping[str, Hypothesis]  # by model
    seconds: float
    groups: Mapping[str, str] = field(
        default_factory=dict
    )  # {"speaker": "a/7", "domain": "home", "duration": "2 to 5 s"}


@dataclass(frozen=True)
class Judgement:
    """An evaluation, whole."""

    models: Sequence[Model]
    test_sets: Sequence[TestSet]
    figures: Mapping[str, Mapping[str, Figures]]  # {model: {test_set: figures}}, as in metrics.json
    rows: Sequence[Row]
    audio: Mapping[str, bytes] = field(default_factory=dict)  # FLAC by id; read once each, and may be read from disk
    differences: Sequence[Difference] = ()
    gates: Sequence[Gate] = ()
    groups: Mapping[str, Mapping[str, Mapping[str, Figures]]] = field(
        default_factory=dict
    )  # {kind: {value: {model: …}}}
    curves: Sequence[Curve] = ()
    silence: Mapping[str, Figures] = field(default_factory=dict)  # {model: …}, of clips in which nobody speaks
    notes: Sequence[str] = ()  # sentences below the title: the normaliser and its hash, what was resampled
