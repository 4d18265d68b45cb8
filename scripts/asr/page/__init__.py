"""The page of an evaluation: figures with their intervals, gates, curves, confusions, and every utterance to listen to.

    judgement = Judgement(models=[Model("base", "base"), …], test_sets=[TestSet("general", "de")], figures=metrics, rows=[…])
    write_page(Path("outputs/evaluation"), judgement)     # report.html, and audio/ if the recordings are large

One file that opens without a server or a network. Its script and its style are its own, told to the browser by their hashes, so
that nothing in a transcript can run; texts reach the page escaped, or as data that the script shows as text. The same
judgement gives the same bytes.
"""

import json
import math
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from asr.page.alignment import Confusions, Edits, align
from asr.page.drawing import draw
from asr.page.judgement import Curve, Difference, Gate, Hypothesis, Judgement, Model, Row, TestSet
from asr.page.recordings import Recordings, place
from asr.page.tables import label, number, of_kind, of_test_set, parts, points, rate

__all__ = [
    "INLINED",
    "Curve",
    "Difference",
    "Gate",
    "Hypothesis",
    "Judgement",
    "Model",
    "Row",
    "TestSet",
    "write_page",
]

FILE = "report.html"
INLINED = 20_000_000  # bytes of recordings that the page itself holds; as text they take a third more
CONFUSED = 12  # words of a kind and model
MOST_VALUES = 300  # of a kind of group that the list can be filtered by
CURVE = (600, 220)  # width and height of its field
SCRIPTS = ("rows.js", "player.js", "list.js")

_HERE = Path(__file__).parent


def write_page(folder: Path, judgement: Judgement, inlined: int = INLINED) -> None:
    """Write `report.html`.

    Args:
        folder: is there, and holds no `audio`.
        inlined: with more bytes of recordings than this they lie in `audio/` beside the page.

    Raises:
        ValueError: two models, or two test sets, have one name; a row, figure or difference is of a test set or a model
            that there is not; a recording is no FLAC; a word is empty or holds white space.
    """
    _check(judgement)
    edits = _align(judgement)
    recordings = place(folder, [row.id for row in judgement.rows], judgement.audio, inlined)
    kinds = _kinds(judgement.rows)
    shown = _shown(judgement.models)
    style, script = _read("page.css"), "".join(map(_read, SCRIPTS))
    templates = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    templates.globals |= {"rate": rate, "points": points, "number": number, "label": label, "parts": parts}
    templates.globals["isfinite"] = math.isfinite
    page = templates.get_template("page.html.jinja").render(
        judgement=judgement,
        roles={model.name: model.role for model in judgement.models},
        position={model.name: i for i, model in enumerate(judgement.models)},
        sets=[of_test_set(judgement, test_set) for test_set in judgement.test_sets],
        groups=[of_kind(judgement, kind, [judgement.models[i].name for i in shown]) for kind in judgement.groups],
        filters={kind: list(values) for kind, values in kinds.items() if 1 < len(values) <= MOST_VALUES},
        curves=[drawn for curve in judgement.curves if (drawn := draw(curve.name, curve.points, *CURVE))],
        field=CURVE,
        confusions=_confusions(judgement, edits),
        shown=shown,
        told=next((model.name for model in reversed(judgement.models) if model.role == "tuned"), None),
        style=style,
        script=script,
        policy=_policy(style, script, recordings.beside),
        data=_json(_data(judgement, edits, recordings, kinds, shown)),
        sound=_json(recordings.inlined),
    )
    (folder / FILE).write_bytes(page.encode(errors="backslashreplace"))


def _check(judgement: Judgement) -> None:
    models, sets = ([item.name for item in items] for items in (judgement.models, judgement.test_sets))
    for what, names in (("models", models), ("test sets", sets)):
        if len(set(names)) < len(names):
            raise ValueError(f"two {what} have one name: {names}")
    if unknown := (judgement.figures.keys() | judgement.silence.keys()) - set(models):
        raise ValueError(f"figures of no model: {sorted(unknown)}")
    for item in judgement.differences:
        if unknown := {item.model, item.base} - set(models):
            raise ValueError(f"difference of no model: {sorted(unknown)}")
    for row in judgement.rows:
        if row.test_set not in sets:
            raise ValueError(f"{row.id}: there is no test set {row.test_set!r}; there are {sets}")
        if unknown := row.hypotheses.keys() - set(models):
            raise ValueError(f"{row.id}: hypotheses of no model: {sorted(unknown)}")


def _align(judgement: Judgement) -> list[dict[str, Edits]]:
    """Edits of each row by model; what several models wrote alike is aligned once."""
    different = {(i, tuple(one.words)): None for i, row in enumerate(judgement.rows) for one in row.hypotheses.values()}
    found = align([judgement.rows[i].words for i, _ in different], [words for _, words in different])
    edits = dict(zip(different, found, strict=True))
    return [
        {model: edits[i, tuple(one.words)] for model, one in row.hypotheses.items()}
        for i, row in enumerate(judgement.rows)
    ]


def _shown(models: Sequence[Model]) -> list[int]:
    """The models that the page begins with: the first base, the last tuned, the first exported."""
    by_role = {
        role: [i for i, model in enumerate(models) if model.role == role] for role in ("base", "tuned", "exported")
    }
    chosen = [*by_role["base"][:1], *by_role["tuned"][-1:], *by_role["exported"][:1]]
    return sorted(chosen)


def _kinds(rows: Iterable[Row]) -> dict[str, dict[str, int]]:
    """Kinds of groups, and of each its values in order, numbered."""
    kinds: dict[str, set[str]] = {}
    for row in rows:
        for kind, value in row.groups.items():
            kinds.setdefault(kind, set()).add(value)
    return {kind: {value: i for i, value in enumerate(sorted(values))} for kind, values in kinds.items()}


def _confusions(judgement: Judgement, edits: Sequence[Mapping[str, Edits]]) -> dict[str, dict[str, list]]:
    """By model and step (S, D, I)."""
    counted = {model.name: Confusions() for model in judgement.models}
    for row, of_row in zip(judgement.rows, edits, strict=True):
        for model, found in of_row.items():
            counted[model].add(row.words, found)
    return {model: {step: found.most(step, CONFUSED) for step in "SDI"} for model, found in counted.items()}


def _data(
    judgement: Judgement,
    edits: Sequence[Mapping[str, Edits]],
    recordings: Recordings,
    kinds: Mapping[str, Mapping[str, int]],
    shown: Sequence[int],
) -> dict:
    """What the script reads; what models of a row have in common is there once."""
    sets = {test_set.name: i for i, test_set in enumerate(judgement.test_sets)}
    rows = []
    for row, of_row, recording in zip(judgement.rows, edits, recordings.numbers, strict=True):
        different: dict[tuple[str, str, str], int] = {}
        which = []
        for model in judgement.models:
            if model.name not in of_row:
                which.append(-1)
                continue
            found = of_row[model.name]
            key = (row.hypotheses[model.name].text, found.steps, " ".join(found.written))
            which.append(different.setdefault(key, len(different)))
        of_kinds = [values.get(row.groups.get(kind), -1) for kind, values in kinds.items()]
        what = [row.id, sets[row.test_set], row.reference, " ".join(row.words), round(row.seconds, 3), recording]
        rows.append([*what, of_kinds, which, list(different)])
    return {
        "models": [[model.name, model.role] for model in judgement.models],
        "sets": [[test_set.language, test_set.unit] for test_set in judgement.test_sets],
        "kinds": [[kind, list(values)] for kind, values in kinds.items()],
        "shown": list(shown),
        "rows": rows,
    }


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _json(value: object) -> str:
    """JSON that no text in it can end the element of: `<` is written as an escape."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _policy(style: str, script: str, beside: bool) -> str:
    """The Content-Security-Policy: nothing but the page's own style and script, and its recordings."""
    hashes = {
        name: f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
        for name, text in (("style-src", style), ("script-src", script))
    }
    # A page that was opened as a file has no origin in some browsers, so that 'self' alone means nothing there.
    media = "'self' file:" if beside else "data:"
    own = "; ".join(f"{name} {value}" for name, value in hashes.items())
    rest = "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    return f"default-src 'none'; {own}; media-src {media}; {rest}"
