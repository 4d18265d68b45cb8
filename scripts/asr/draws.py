"""Draws: the utterances of a source in random order, each once before any comes again.

    draws = Draws(source, shapes, rng, later)
    index = draws.take(draws.peek())
    after = draws.peek(like=index, one_speaker=True)     # of its language and domain, and of its speaker if there is one

In: a `Source` and two random generators. What the second draws changes nothing of what the first does, so that an experiment
without speed and previous texts is the same whether they exist or not.
"""

from itertools import islice

import numpy as np

from asr.whisper_shape import WINDOW_FRAMES as FULL_FRAMES
from asr.windows import Part, Shapes, Source

MOST_PREVIOUS = 4  # utterances that a prompt has of what was said before


class Draws:
    """A source's utterances in random order, each once before any comes again."""

    def __init__(self, source: Source, shapes: Shapes, rng: np.random.Generator, later: np.random.Generator):
        self.source, self._shapes, self._rng, self._later = source, shapes, rng, later
        domains = source.domains or [""] * len(source.languages)
        self._kinds = list(zip(source.languages, domains, strict=True))  # a window's utterances are of one kind
        self._groups = len(set(self._kinds)) > 1 or (shapes.one_speaker_share > 0 and any(source.speakers))
        self._order: list[int] = []
        self._taken: set[int] = set()

    def _shuffle(self) -> None:
        self._order = self._rng.permutation(len(self.source.rows)).tolist()
        self._taken = set()
        self._speed = np.ones(len(self._order))
        if self._shapes.speed_share:
            changed = self._later.random(len(self._order)) < self._shapes.speed_share
            self._speed = np.where(changed, self._later.uniform(*self._shapes.speed, len(self._order)), 1.0)
            self._speed = np.maximum(self._speed, self.source.frames / FULL_FRAMES)  # none gets longer than a window
        self._alike: dict[tuple[str, ...], list[int]] = {}
        for index in self._order if self._groups else ():
            for key in self._keys(index):
                self._alike.setdefault(key, []).append(index)

    def _keys(self, index: int) -> list[tuple[str, ...]]:
        kind = self._kinds[index]
        speaker = self.source.speakers[index] if self.source.speakers else ""
        return [(*kind, speaker), kind] if speaker else [kind]

    def peek(self, like: int | None = None, one_speaker: bool = False) -> int | None:
        """The next utterance; `like` another: of its language and domain, and if there is one by its speaker. None: there is none."""
        if (index := self._next_of(self._order)) is None:
            self._shuffle()
            index = self._order[-1]
        if like is None or not self._groups:
            return index
        queue = self._alike_queue(like, one_speaker)
        return queue[-1] if queue else None

    def longest(self, frames: int, tokens: int, like: int, one_speaker: bool) -> int | None:
        """The longest that fits of the `look_ahead` utterances that `peek` would give one after the other; None: none does."""
        queue = self._alike_queue(like, one_speaker) if self._groups else self._order
        coming = islice((i for i in reversed(queue) if i not in self._taken), self._shapes.look_ahead)
        return max((i for i in coming if self.fits(i, frames, tokens)), key=self.frames, default=None)

    def fits(self, index: int, frames: int, tokens: int) -> bool:
        """Whether an utterance is heard within `frames`, and its text takes at most `tokens`."""
        return self.frames(index) <= frames and self.tokens(index) <= tokens

    def _alike_queue(self, like: int, one_speaker: bool) -> list[int]:
        """Of its language and domain, and if any is left by its speaker; the next one comes last."""
        by_speaker, *by_kind = self._keys(like)
        queues = [by_speaker, *by_kind] if one_speaker else [(by_kind or [by_speaker])[0]]
        found = (self._alike.get(key, []) for key in queues)
        return next((queue for queue in found if self._next_of(queue) is not None), [])

    def _next_of(self, queue: list[int]) -> int | None:
        while queue and queue[-1] in self._taken:
            queue.pop()
        return queue[-1] if queue else None

    def take(self, index: int) -> int:
        self._taken.add(index)
        return index

    def frames(self, index: int) -> int:
        """How long an utterance is heard."""
        return int(np.ceil(self.source.frames[index] / self._speed[index]))

    def tokens(self, index: int) -> int:
        """How long its text is, with its two timestamps."""
        return int(self.source.tokens[index]) + 2

    def part(self, index: int, offset: int) -> Part:
        return Part(int(self.source.rows[index]), offset, float(self._speed[index]))

    def previous(self, index: int) -> tuple[int, ...]:
        """Rows of what was said before an utterance: in its recording, else any of the source of its language and domain."""
        count, found = int(self._later.integers(1, MOST_PREVIOUS + 1)), []
        row, before = int(self.source.rows[index]), self.source.before
        while before is not None and len(found) < count and (row := int(before[row])) >= 0:
            found.insert(0, row)
        if found:
            return tuple(found)
        drawn = self._later.integers(len(self.source.rows), size=count).tolist()
        same = [i for i in drawn if i != index and self._kinds[i] == self._kinds[index]]
        return tuple(int(self.source.rows[i]) for i in same)
