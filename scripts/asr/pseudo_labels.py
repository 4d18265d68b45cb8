"""Whether a model's transcript may be taught to another: two ways to hear the same, and signs of a model that rambles.

    problem_of("Licht an.", "Licht an", "de", max_disagreement=0.1)        # None
    problem_of("danke danke danke danke danke", …)                         # ("repeats_itself", "…")

A wrong label is worse than none: it is learnt. What two decodings do not agree on, one of them has got wrong.

Source: pseudo-labels filtered by word error rate, Distil-Whisper, arXiv 2311.00430; the compression ratio, openai-whisper.
"""

import zlib

import regex

from asr.scoring import score
from asr.text import SPACELESS

MAX_COMPRESSION = 2.4  # openai-whisper's `compression_ratio_threshold`
LOOP = regex.compile(r"(?<!\w)(.{2,60}?)(?:\s*\1){3,}(?!\w)", regex.DOTALL)  # the same four times and more, at once

Problem = tuple[str, str] | None  # reason and detail


def problem_of(text: str, second: str, language: str, max_disagreement: float) -> Problem:
    """Why a transcript is not to be taught; None: nothing speaks against it.

    Args:
        text: the teacher's.
        second: what was heard another way.
        language: Whisper's code; where words are not separated, characters are compared.
        max_disagreement: errors of `second` against `text` at most, a share of the words or characters.
    """
    if not text:
        return "says_nothing", f"the other hears {second[:80]!r}" if second else "neither does the other"
    if why := rambles(text):
        return "repeats_itself", f"{why}: {text[:80]}"
    rates = score([text], [second])
    disagreement = rates["cer" if language in SPACELESS else "wer"]
    if disagreement > max_disagreement:
        return (
            "teachers_disagree",
            f"{disagreement:.2f}, at most {max_disagreement:g}: {text[:80]!r} and {second[:80]!r}",
        )
    return None


def rambles(text: str) -> str:
    """What shows that a transcript repeats itself without end; "" if nothing does."""
    if (ratio := compression_ratio(text)) > MAX_COMPRESSION:
        return f"compresses {ratio:.1f} times, at most {MAX_COMPRESSION}"
    loop = LOOP.search(text)
    return f"{loop[1][:40]!r} again and again" if loop else ""


def compression_ratio(text: str) -> float:
    """How many times smaller zlib makes a text: openai-whisper's measure of a loop."""
    written = text.encode()
    return len(written) / len(zlib.compress(written))
