"""Word and character errors of transcripts, counted by jiwer on normalised text.

    score(["Wie spät ist es?"], ["wie spät ist das"])
    # {"wer": 0.25, "cer": 0.1333…, "mer": 0.25, "wer_raw": 0.5, …, "words": 4, "substitutions": 1, …}

Rates are fractions, of the whole corpus: errors of all utterances / words of all references. Side by side: on normalised text
(`wer`, `cer`, `mer`), as written (`wer_raw`, `cer_raw`: case and punctuation count), and with compounds joined and split at
will (`wer_compounds`).
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass, fields

import jiwer
from jiwer import transforms
from rapidfuzz.distance import Levenshtein

from asr.compounds import compound_errors
from asr.normaliser import words_of_any_script

# What jiwer is given is normalised, so its own transforms have nothing left to do but to split.
_INTO_WORDS = transforms.ReduceToListOfListOfWords()
_INTO_CHARACTERS = transforms.ReduceToListOfListOfChars()

_SENTENCE_END = re.compile(r"(?<=[.?!])\s+|(?<=[。？！])")

Normalise = Callable[[str], str]


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
        return Counts(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def errors(self) -> int:
        """Substitutions, deletions and insertions."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors / words: WER, or CER if characters were counted.

        Where no word was spoken at all it is the number of insertions, as in jiwer: 0 only if nothing was written.
        """
        return self.errors / max(self.words, 1)

    @property
    def match_error_rate(self) -> float:
        """MER: the share of the alignment's places that are wrong, never above 1 (Morris et al., Interspeech 2004)."""
        return self.errors / max(self.errors + self.hits, 1)


@dataclass(frozen=True)
class Scored:
    """The counts of one utterance, or with `+` of many."""

    words: Counts = Counts()
    characters: Counts = Counts()
    raw_words: Counts = Counts()
    raw_characters: Counts = Counts()
    compound_errors: int = 0

    def __add__(self, other: "Scored") -> "Scored":
        return Scored(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    def counted(self, by_character: bool) -> Counts:
        """Of words, or of characters where texts have no words to count."""
        return self.characters if by_character else self.words

    def figures(self) -> dict[str, float | int]:
        """As `metrics.json` has them: rates (fractions), and the counts of normalised words."""
        words = self.words
        return {
            "wer": words.rate,
            "cer": self.characters.rate,
            "mer": words.match_error_rate,
            "wer_raw": self.raw_words.rate,
            "cer_raw": self.raw_characters.rate,
            "wer_compounds": self.compound_errors / max(words.words, 1),
            "words": words.words,
            "substitutions": words.substitutions,
            "deletions": words.deletions,
            "insertions": words.insertions,
        }


def score_utterance(reference: str, hypothesis: str, normalise: Normalise = words_of_any_script) -> Scored:
    """The counts of one utterance, normalised and as written."""
    written = " ".join(reference.split()), " ".join(hypothesis.split())
    normal = normalise(reference), normalise(hypothesis)
    words = _count(*normal, _INTO_WORDS)
    return Scored(
        words,
        _count(*normal, _INTO_CHARACTERS),
        _count(*written, _INTO_WORDS),
        _count(*written, _INTO_CHARACTERS),
        compound_errors(*(text.split() for text in normal)) if words.errors else 0,
    )


def total(scored: Iterable[Scored]) -> Scored:
    """The counts of a corpus."""
    return sum(scored, Scored())


def score(
    references: Sequence[str], hypotheses: Sequence[str], normalise: Normalise = words_of_any_script
) -> dict[str, float | int]:
    """Corpus figures (see `Scored.figures`) of transcripts paired by position.

    Raises:
        ValueError: there are not as many hypotheses as references.
    """
    pairs = zip(references, hypotheses, strict=True)
    return total(score_utterance(*pair, normalise) for pair in pairs).figures()


def contiguous_wer(references: Sequence[str], hypotheses: Sequence[str], normalise: Normalise) -> float:
    """WER of all texts as one, as jiwer's `wer_standardize_contiguous` aligns them: words may be matched across utterances.

    Scores that are published so are at most `wer`, and a little below it where an utterance ends in another's words.
    """
    words = [" ".join(map(normalise, texts)).split() for texts in (references, hypotheses)]
    return Levenshtein.distance(*words) / max(len(words[0]), 1)


def lost_sentences(
    reference: str, hypothesis: str, normalise: Normalise = words_of_any_script, by_character: bool = False
) -> int:
    """How many sentences of a long recording the transcript leaves out.

    The whole recording is aligned once. A sentence (it ends in . ? or !) is lost if the alignment deletes at least half
    of its words, or `by_character` of its characters: a misheard sentence has substitutions, one that fell between two windows
    has deletions.
    """

    def units(text: str) -> list[str]:
        words = normalise(text).split()
        return list("".join(words)) if by_character else words

    sentences = [units(sentence) for sentence in _SENTENCE_END.split(reference)]
    whole = " ".join(word for words in sentences for word in words)
    deleted = set()
    for chunk in _align(whole, " ".join(units(hypothesis)), _INTO_WORDS).alignments[0]:
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
