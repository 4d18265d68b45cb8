"""The fields of a JSON object that stands for an utterance, each checked; a corpus's own words are nobody's promise.

    entry = {"text": "Guten Tag", "lang": "German", "speaker": 17, "segments": [{"start": 0, "end": 1.4, "text": "Guten"}]}
    text(entry, "text")                     # "Guten Tag"; None where there is none
    language(entry, ("lang",), "en")        # "de"; "en" where there is none
    segments(entry, "segments")             # (Segment(0.0, 1.4, "Guten"),)

All raise `Malformed`, which says the field and its value, for the row's `Rejected`.
"""

import math
from collections.abc import Iterable
from functools import cache

from asr.utterance import Segment
from asr.whisper_shape import LANGUAGES


class Malformed(ValueError):
    """A field that does not hold what it should."""


def text(entry: dict, name: str) -> str | None:
    """A string; None where it is missing or null."""
    value = entry.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise Malformed(f"{name} is not a string but {value!r:.80}")
    try:
        value.encode()
    except UnicodeEncodeError:  # "\ud800" is JSON, but nothing that can be written to a file
        raise Malformed(f"{name} holds half a surrogate pair: {value!r:.80}") from None
    return value


def label(entry: dict, name: str) -> str:
    """A name, which may be a whole number; "" where there is none."""
    value = entry.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return (text(entry, name) or "").strip()


def seconds(entry: dict, name: str) -> float | None:
    """A finite number, not below 0; None where it is missing or null."""
    value = entry.get(name)
    if value is None:
        return None
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise Malformed(f"{name} is not a number of seconds but {value!r:.80}")
    return number


def segments(entry: dict, name: str) -> tuple[Segment, ...]:
    """A list of objects with `start`, `end` (seconds) and `text`; empty where it is missing or null."""
    value = entry.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(segment, dict) for segment in value):
        raise Malformed(f"{name} is not a list of objects but {value!r:.80}")
    found = [(seconds(s, "start"), seconds(s, "end"), text(s, "text")) for s in value]
    if any(None in segment for segment in found):
        raise Malformed(f"{name}: each needs start, end and text; {value!r:.80}")
    return tuple(Segment(*segment) for segment in found)


def language(entry: dict, names: Iterable[str], default: str) -> str:
    """Whisper's code of the first field that is there: of a code ("de"), a locale ("de-DE") or a name ("German")."""
    for name in names:
        if value := label(entry, name):
            if value == default:
                return default
            known = _codes()
            lower = value.lower().replace("_", "-")
            code = known.get(lower) or known.get(lower.split("-")[0])
            if code is None:
                raise Malformed(f"{name}: Whisper knows no language {value!r}")
            return code
    return default


@cache
def _codes() -> dict[str, str]:
    from whisper.tokenizer import TO_LANGUAGE_CODE  # 2 s, which most corpora need not wait

    return TO_LANGUAGE_CODE | {code: code for code in LANGUAGES}
