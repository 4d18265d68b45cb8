"""Scoring and testing two recognisers on a test set of 9,799 utterances, as the stage evaluation does.

All rates of both with their intervals from 10,000 resamples, and the paired test of one against the other: `JudgedSet`, against
jiwer row by row and a bootstrap that draws utterances by their index, each interval anew. Sentences are made up, of about six
words, one in thirty wrong; no speaker is known, so that utterances are drawn, of which there are more than speakers. Both
sides normalise by `asr-german-mixed-evals`; ours counts errors without compounds as well. Aim: under 10 s.

    python benchmarks/scoring.py
    python benchmarks/scoring.py --utterances 1000
"""

import random
import statistics
from collections.abc import Iterator

from side_by_side import Job, Side, flags, table, take_turns

UTTERANCES = 9_799  # of the German test set that models are compared by
RESAMPLES = 10_000
WRONG = 1 / 30  # words
SEED = 0
REFERENCE, OURS = "jiwer, drawn by index", "JudgedSet"


def made_up(utterances: int) -> tuple[list[str], dict[str, list[str]]]:
    """References, and what two recognisers made of them: words left out, doubled or misheard."""
    from asr.sentences import GENERAL, Sentences

    sentences = Sentences(GENERAL, SEED)
    references = [sentences.draw() for _ in range(utterances)]
    rng = random.Random(SEED)

    def heard(word: str) -> str:
        if rng.random() >= WRONG:
            return word
        return rng.choice(["", f"{word} {word}", word[1:] or "a", word[:-1] + "e"])

    return references, {
        name: [" ".join(filter(None, map(heard, text.split()))) for text in references] for name in ("one", "two")
    }


def judged(utterances: int) -> Iterator[Job]:
    from asr.judging import JudgedSet, Utterances
    from asr.normaliser import Normaliser

    references, hypotheses = made_up(utterances)
    nobody = [""] * utterances
    ids = [str(number) for number in range(utterances)]
    test_set = Utterances(ids, references, "de", [3.0] * utterances, nobody, nobody)

    def judge() -> tuple[list[dict], object]:
        of = JudgedSet(test_set, hypotheses, Normaliser.of("asr-german-mixed-evals"))
        return [of.figures(model) for model in hypotheses], of.difference(*hypotheses)

    while True:
        yield float(utterances), judge


def plain(utterances: int, resamples: int = RESAMPLES) -> Iterator[Job]:
    import jiwer
    import numpy as np

    from asr.normaliser import Normaliser

    references, hypotheses = made_up(utterances)
    normalise = Normaliser.of("asr-german-mixed-evals")

    def errors(output) -> tuple[int, int]:
        wrong = output.substitutions + output.deletions + output.insertions
        return wrong, output.hits + output.substitutions + output.deletions

    def bootstrap(wrong: np.ndarray, words: np.ndarray) -> np.ndarray:
        rng = np.random.default_rng(SEED)
        rates = np.empty(resamples)
        for number in range(resamples):
            drawn = rng.integers(len(words), size=len(words))
            rates[number] = wrong[drawn].sum() / words[drawn].sum()
        return rates

    def judge() -> tuple[list[dict], tuple]:
        figures, counted = [], []
        for texts in hypotheses.values():
            of = {}
            for suffix, change in (("", normalise), ("_raw", str)):
                pairs = [(change(reference), change(text)) for reference, text in zip(references, texts, strict=True)]
                for name, process in (("wer", jiwer.process_words), ("cer", jiwer.process_characters)):
                    counts = np.array([errors(process(*pair)) for pair in pairs])  # [utterances, 2]
                    of[name + suffix] = counts[:, 0].sum() / counts[:, 1].sum()
                    if not suffix:
                        low, high = np.quantile(bootstrap(*counts.T), [0.025, 0.975])
                        of |= {f"{name}_low": low, f"{name}_high": high}
                        counted.append(counts)
            figures.append(of)
        one, two = counted[0], counted[2]
        gained = bootstrap(one[:, 0] - two[:, 0], one[:, 1])
        return figures, (*np.quantile(gained, [0.025, 0.975]), (gained < 0).mean())

    while True:
        yield float(utterances), judge


if __name__ == "__main__":
    parser = flags(__doc__, rounds=3)
    parser.add_argument("--utterances", type=int, default=UTTERANCES, help=f"of the test set (default {UTTERANCES})")
    given = parser.parse_args()
    turns = take_turns({REFERENCE: Side(plain, given.utterances), OURS: Side(judged, given.utterances)}, given.rounds)
    print(table(turns, "utterances / s", REFERENCE))
    for name, own in turns.items():
        seconds = [turn.seconds for turn in own]
        print(f"{name}: {statistics.median(seconds):.1f} s ({min(seconds):.1f} to {max(seconds):.1f})")
