"""From transcripts to figures: each model on each test set with 95 % intervals, by group, and against every other.

    judged = JudgedSet(test_set, {"base_model": texts, "merge_lora": texts}, Normaliser.of("asr-german-mixed-evals"))
    judged.figures("merge_lora")              # {"wer": 0.03, "wer_low": 0.02, "wer_high": 0.04, "cer": …, "words": 604, …}
    judged.difference("merge_lora", "base_model")
    grouped([judged])                         # {"speaker": {"s/7": {"merge_lora": {…}}}, "domain": …, "duration": …}

In: a test set's utterances and what each model wrote. Rates are fractions.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from asr.errors import UserError
from asr.intervals import Difference, Resamples
from asr.normaliser import Normaliser
from asr.pseudo_labels import rambles
from asr.scoring import Scored, lost_sentences, score_utterance, total

DURATIONS = (2, 5, 10, 20, 30)  # seconds: the upper bounds of the bands
GROUP_RESAMPLES = 1_000  # there are hundreds of groups
MOST_GROUPS = 300  # values of a kind, of which each has figures; of more speakers none would be read
HASH = re.compile(r"^((?:.*/)?[0-9a-f]{12})[0-9a-f]{20,}$")  # a speaker's name that nobody reads, and its beginning
OF_CHARACTERS = " (characters)"  # ends the name of a kind whose test sets are counted so


@dataclass(frozen=True)
class Utterances:
    """The test utterances of one source, in one language."""

    ids: Sequence[str]
    references: Sequence[str]
    language: str
    seconds: Sequence[float]
    speakers: Sequence[str]  # "" where nobody knows
    domains: Sequence[str]


class JudgedSet:
    """A test set, and the counts of what each model wrote."""

    def __init__(self, utterances: Utterances, hypotheses: Mapping[str, Sequence[str]], normaliser: Normaliser):
        require_words(utterances, normaliser)
        self.utterances, self.hypotheses, self.normaliser = utterances, hypotheses, normaliser
        self.scored: dict[str, list[Scored]] = {
            model: [score_utterance(*pair, normaliser) for pair in zip(utterances.references, texts, strict=True)]
            for model, texts in hypotheses.items()
        }
        self._resamples = Resamples(utterances.speakers)

    @property
    def resampled_by(self) -> str:
        """What the intervals draw: "speaker", or "utterance" where no two are known."""
        return self._resamples.unit

    def figures(self, model: str) -> dict[str, float | int | str]:
        """Rates, their bounds as far as they are known, and counts, the share of transcripts that ramble, what texts were compared by and what was resampled."""
        scored = self.scored[model]
        counts = {"wer": [one.words for one in scored], "cer": [one.characters for one in scored]}
        bounds = {}
        for name, of in counts.items():
            interval = self._resamples.interval([one.errors for one in of], [one.words for one in of])
            bounds |= interval.bounds(name)
        rest = {
            "insertions_in_silence": insertions_in_silence(scored),
            "rambling": sum(bool(rambles(text)) for text in self.hypotheses[model]) / len(scored),
            "profile": self.normaliser.profile,
            "resampled_by": self.resampled_by,
        }
        return total(scored).figures() | bounds | rest

    def lost(self, model: str) -> list[int]:
        """Sentences of each recording that the transcript leaves out."""
        pairs = zip(self.utterances.references, self.hypotheses[model], strict=True)
        return [lost_sentences(*pair, self.normaliser, self.normaliser.by_character) for pair in pairs]

    def difference(self, model: str, other: str, figure: str = "") -> Difference:
        """The paired test of two models' "wer" or "cer"; below 0 the first is better.

        Args:
            figure: by default CER where characters are counted, else WER.
        """
        by_character = figure == "cer" if figure else self.normaliser.by_character
        one, two = ([of.counted(by_character) for of in self.scored[name]] for name in (model, other))
        return self._resamples.compare([of.errors for of in one], [of.errors for of in two], [of.words for of in one])

    def groups_of(self, index: int) -> dict[str, str]:
        """The groups that an utterance is in: those whose values somebody knows; words and characters are not added up."""
        of = self.utterances
        known = {
            "speaker": HASH.sub(r"\1", of.speakers[index]),
            "domain": of.domains[index],
            "duration": band(of.seconds[index]),
        }
        of_characters = OF_CHARACTERS if self.normaliser.by_character else ""
        return {kind + of_characters: value for kind, value in known.items() if value}


def grouped(judged_sets: Iterable[JudgedSet]) -> dict[str, dict[str, dict[str, dict]]]:
    """Figures by kind of group, value and model, over all test sets, where a kind has several values and not too many.

    Figures are "wer", "cer" with "_low" and "_high", "words", and the "profile" or profiles that texts were compared by; where a
    group has no word, no rate. The name of a kind ends in `OF_CHARACTERS` where its test sets are counted so. A model that has heard
    fewer of the test sets has fewer words: only models with the same number are comparable. Intervals are by speaker, within
    the group of one by utterance.
    """
    sets = list(judged_sets)
    members: dict[str, dict[str, dict[int, list[int]]]] = {}  # of a value by test set: the utterances' positions
    for number, judged in enumerate(sets):
        for index in range(len(judged.utterances.ids)):
            for kind, value in judged.groups_of(index).items():
                members.setdefault(kind, {}).setdefault(value, {}).setdefault(number, []).append(index)
    counts = [{model: _counts(scored) for model, scored in judged.scored.items()} for judged in sets]
    return {
        kind: {value: _of_group(values[value], sets, counts) for value in sorted(values)}
        for kind, values in members.items()
        if 1 < len(values) <= MOST_GROUPS
    }


def require_words(utterances: Utterances, normaliser: Normaliser) -> None:
    """Raises `UserError` if nothing of the references is left to be judged."""
    if not any(normaliser(text).strip() for text in utterances.references):
        raise UserError(
            f"profile {normaliser.name}: leaves no word of {utterances.ids[0]} and the rest of its test set; choose another"
        )


def insertions_in_silence(scored: Iterable[Scored]) -> int:
    """The words written for utterances in which there is none to be heard, once their references are normalised."""
    return sum(one.words.insertions for one in scored if not one.words.words)


def _counts(scored: Iterable[Scored]) -> np.ndarray:
    """int64 `[4, utterances]`: errors of words, words, errors of characters, characters."""
    pairs = ((one.words, one.characters) for one in scored)
    return np.array([[count for of in pair for count in (of.errors, of.words)] for pair in pairs], np.int64).T


def _of_group(
    members: Mapping[int, list[int]], sets: Sequence[JudgedSet], counts: Sequence[Mapping[str, np.ndarray]]
) -> dict[str, dict[str, float | int | str]]:
    """A group's figures by model, each on those of its test sets that the model has heard."""
    found, drawn = {}, {}
    for model in dict.fromkeys(model for number in members for model in counts[number]):
        heard = tuple(number for number in members if model in counts[number])
        if heard not in drawn:
            speakers = [sets[number].utterances.speakers[i] for number in heard for i in members[number]]
            drawn[heard] = Resamples(speakers, GROUP_RESAMPLES)
        of = np.concatenate([counts[number][model][:, members[number]] for number in heard], axis=1)
        profiles = ", ".join(sorted({sets[number].normaliser.profile for number in heard}))
        found[model] = figures = {"words": int(of[1].sum()), "profile": profiles}
        if figures["words"]:  # else there is no rate
            for name, errors, length in (("wer", of[0], of[1]), ("cer", of[2], of[3])):
                interval = drawn[heard].interval(errors, length)
                figures |= {name: interval.rate} | interval.bounds(name)
    return found


def band(seconds: float) -> str:
    """The band of durations that a recording is in."""
    low = 0
    for high in DURATIONS:
        if seconds <= high:
            return f"{low:02} to {high:02} s"
        low = high
    return f"over {low} s"
