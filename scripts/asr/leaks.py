"""What is both trained on and judged by: a test set that leaks into training says nothing.

leaks = Leaks()
leaks.count(utterance)         # each one that is kept, of all sources
leaks.check(["speakers"])  # UserError on a speaker in both train and test
leaks.table                    # {"speakers": {"shared": 0, "examples": []}, "recordings": …, "sentences": …}
"""

from collections.abc import Iterable
from hashlib import blake2b

from asr.errors import UserError
from asr.text import TextRules, clean
from asr.utterance import Utterance

EXAMPLES = 10
SIDES = {"train": 1, "test": 2}
BOTH = 3
BARE = TextRules(lower_case=True, punctuation=False)  # a sentence is the same with another comma


class Leaks:
    """Counts speakers, recordings and sentences of `train` and `test`."""

    def __init__(self):
        self._sides: dict[str, dict[int, int]] = {"speakers": {}, "recordings": {}, "sentences": {}}
        self._examples: dict[str, list[str]] = {what: [] for what in self._sides}
        self._shared = dict.fromkeys(self._sides, 0)

    def count(self, utterance: Utterance) -> None:
        """Take note of an utterance with FLAC bytes."""
        if not (side := SIDES.get(utterance.split)):
            return
        if utterance.speaker:
            self._note("speakers", utterance.speaker.encode(), side, utterance.speaker)
        if not utterance.is_silent:  # one silence is like another
            self._note("recordings", utterance.audio, side, utterance.id)
        if utterance.text:
            self._note("sentences", clean(utterance.text, BARE).encode(), side, utterance.text)

    def _note(self, what: str, content: bytes, side: int, example: str) -> None:
        # 8 bytes: in a million rows two digests meet with a probability of 3e-8.
        digest = int.from_bytes(blake2b(content, digest_size=8).digest(), "little")
        before = self._sides[what].get(digest, 0)
        self._sides[what][digest] = before | side
        if before != BOTH and before | side == BOTH:
            self._shared[what] += 1
            if len(self._examples[what]) < EXAMPLES:
                self._examples[what].append(example)

    @property
    def table(self) -> dict[str, dict]:
        """What train and test share, by kind: how many, and the first few."""
        return {what: {"shared": self._shared[what], "examples": self._examples[what]} for what in self._sides}

    def check(self, fail_on: Iterable[str]) -> None:
        """Raises `UserError` if train and test share any of the kinds in `fail_on`."""
        found = [
            f"{self._shared[what]} {what} are in both train and test, such as {', '.join(self._examples[what][:3])}"
            for what in fail_on
            if self._shared[what]
        ]
        if found:
            raise UserError(
                f"{'; '.join(found)}. A model is judged by what it has not heard: let the sources divide by speaker with one "
                "seed, take the source out of one side, or, if it is meant, leave that kind out of prepare_audio.leaks"
            )

    def __str__(self) -> str:
        return "in both train and test: " + ", ".join(f"{count} {what}" for what, count in self._shared.items())
