"""Word and character errors of transcripts, counted by jiwer on normalised text.

    score(["Wie spät ist es?"], ["wie spät ist das"])
    # {"wer": 0.25, "cer": 0.1333…, "words": 4, "substitutions": 1, "deletions": 0, "insertions": 0}

Rates are fractions, of the whole corpus: errors of all utterances / words of all references.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import jiwer
from jiwer import transforms

# What jiwer is given is normalised, so its own transforms have nothing left to do but to split.
_INTO_WORDS = transforms.ReduceToListOfListOfWords()
_INTO_CHARACTERS = transforms.ReduceToListOfListOfChars()

_SENTENCE_END = re.compile(r"(?<=[.?!])\s+|(?<=[。？！])")


def normalise(text: str) -> str:
    """`text` in NFC and lower case, with one space for all that is no letter, mark or digit of any script.

    As Whisper's basic normaliser (arXiv 2212.04356, appendix C), except that diacritics stay: "schön" is not "schon".
    """
    text = unicodedata.normalize("NFC", text.lower())
    return " ".join("".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in text).split())


@dataclass(frozen=True)
class Counts:
    """What an alignment of words, or of characters, counts.

    `words` are the reference's, and so hits + substitutions + deletions.
    """

    words: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    hits: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.words + other.words,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.hits + other.hits,
        )

    @property
    def rate(self) -> float:
        """Errors / words: WER, or CER if characters were counted.

        Where no word was spoken at all it is the number of insertions, as in jiwer: 0 only if nothing was written.
        """
        return (self.substitutions + self.deletions + self.insertions) / max(self.words, 1)


@dataclass(frozen=True)
class Scored:
    """The counts of one utterance, or with `+` of many."""

    words: Counts = Counts()
    characters: Counts = Counts()

    def __add__(self, other: "Scored") -> "Scored":
        return Scored(self.words + other.words, self.characters + other.characters)

    def figures(self) -> dict[str, float | int]:
        """As `metrics.json` has them: `wer` and `cer` (fractions), and the counts of words."""
        words = self.words
        return {
            "wer": words.rate,
            "cer": self.characters.rate,
            "words": words.words,
            "substitutions": words.substitutions,
            "deletions": words.deletions,
            "insertions": words.insertions,
        }


def score_utterance(reference: str, hypothesis: str) -> Scored:
    """The counts of one utterance; both texts are normalised first."""
    reference, hypothesis = normalise(reference), normalise(hypothesis)
    return Scored(_count(reference, hypothesis, _INTO_WORDS), _count(reference, hypothesis, _INTO_CHARACTERS))


def total(scored: Iterable[Scored]) -> Scored:
    """The counts of a corpus."""
    return sum(scored, Scored())


def score(references: Sequence[str], hypotheses: Sequence[str]) -> dict[str, float | int]:
    """Corpus figures (see `Scored.figures`) of transcripts paired by position.

    Raises:
        ValueError: there are not as many hypotheses as references.
    """
    pairs = zip(references, hypotheses, strict=True)
    return total(score_utterance(reference, hypothesis) for reference, hypothesis in pairs).figures()


def lost_sentences(reference: str, hypothesis: str) -> int:
    """How many sentences of a long recording the transcript leaves out.

    The whole recording is aligned once. A sentence (it ends in . ? or !) is lost if the alignment deletes at least half
    of its words: a misheard sentence has substitutions, one that fell between two windows has deletions.
    """
    sentences = [normalise(sentence).split() for sentence in _SENTENCE_END.split(reference)]
    whole = " ".join(word for words in sentences for word in words)
    deleted = set()
    for chunk in _align(whole, normalise(hypothesis), _INTO_WORDS).alignments[0]:
        if chunk.type == "delete":
            deleted.update(range(chunk.ref_start_idx, chunk.ref_end_idx))
    lost, start = 0, 0
    for words in sentences:
        missing = len(deleted.intersection(range(start, start + len(words))))
        lost += bool(words) and 2 * missing >= len(words)
        start += len(words)
    return lost


def _count(reference: str, hypothesis: str, split: transforms.AbstractTransform) -> Counts:
    found = _align(reference, hypothesis, split)
    length = found.hits + found.substitutions + found.deletions
    return Counts(length, found.substitutions, found.deletions, found.insertions, found.hits)


def _align(reference: str, hypothesis: str, split: transforms.AbstractTransform) -> jiwer.WordOutput:
    """jiwer's alignment; its `process_characters` is this too, with characters for words."""
    return jiwer.process_words(reference, hypothesis, reference_transform=split, hypothesis_transform=split)
