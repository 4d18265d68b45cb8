"""References and hypotheses aligned word by word, or character by character, and which words are confused.

    edits = align([["guten", "tag"]], [["guten", "abend", "herr"]])    # [Edits("=SI", ["abend", "herr"])]
    Confusions().add(["guten", "tag"], edits[0])

The alignment is jiwer's, with which the errors are counted.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import jiwer
from jiwer import transforms

_AT_SPACES = transforms.ReduceToListOfListOfWords()
_LETTERS = {"equal": "=", "substitute": "S", "delete": "D", "insert": "I"}


@dataclass(frozen=True)
class Edits:
    """How to make a hypothesis from its reference."""

    steps: str  # a letter each: = the reference's next word, S another for it, D none for it, I one more
    written: Sequence[str]  # the hypothesis's words of each S and I

    @property
    def errors(self) -> int:
        return len(self.steps) - self.steps.count("=")

    def pairs(self, reference: Sequence[str]) -> Iterator[tuple[str, str, str]]:
        """(step, reference's word, hypothesis's word), "" where there is none."""
        words, written = iter(reference), iter(self.written)
        for step in self.steps:
            word = "" if step == "I" else next(words)
            yield step, word, word if step == "=" else "" if step == "D" else next(written)


def align(references: Sequence[Sequence[str]], hypotheses: Sequence[Sequence[str]]) -> list[Edits]:
    """The fewest edits of each pair.

    Raises:
        ValueError: not as many hypotheses as references, or a word that is empty or holds white space.
    """
    if not references and not hypotheses:
        return []
    found = jiwer.process_words(
        [_joined(words) for words in references],
        [_joined(words) for words in hypotheses],
        reference_transform=_AT_SPACES,
        hypothesis_transform=_AT_SPACES,
    )
    return [_edits(chunks, words) for chunks, words in zip(found.alignments, hypotheses, strict=True)]


class Confusions:
    """Which words a model writes for others, leaves out and makes up."""

    def __init__(self):
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def add(self, reference: Sequence[str], edits: Edits) -> None:
        if edits.errors:
            self._counts.update(pair for pair in edits.pairs(reference) if pair[0] != "=")

    def most(self, step: str, size: int) -> list[tuple[str, str, int]]:
        """The `size` most frequent of S, D or I: (reference's word, hypothesis's word, how often)."""
        rows = [(word, written, count) for (kind, word, written), count in self._counts.items() if kind == step]
        return sorted(rows, key=lambda row: (-row[2], row[:2]))[:size]


def _joined(words: Sequence[str]) -> str:
    text = " ".join(words)
    if text.split(" ") != list(words or [""]) or text.split() != list(words):
        raise ValueError(f"a word is empty or holds white space: {list(words)}")
    return text


def _edits(chunks: Sequence[jiwer.AlignmentChunk], words: Sequence[str]) -> Edits:
    steps, written = [], []
    for chunk in chunks:
        of_hypothesis = chunk.hyp_end_idx - chunk.hyp_start_idx
        count = of_hypothesis if chunk.type == "insert" else chunk.ref_end_idx - chunk.ref_start_idx
        steps.append(_LETTERS[chunk.type] * count)
        if chunk.type in ("substitute", "insert"):
            written += words[chunk.hyp_start_idx : chunk.hyp_end_idx]
    return Edits("".join(steps), written)
