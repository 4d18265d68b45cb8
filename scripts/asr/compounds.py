"""Errors that are left when words may be joined and split: "Haus Tür" is "Haustür", as no one hears the difference.

    compound_errors("die haus tür".split(), "die haustür".split())      # 0

In: the words of a reference and a hypothesis, normalised. Out: the fewest substitutions, deletions and insertions, where up to
`MOST` words in a row equal one word that is spelled as they are.
"""

from collections.abc import Iterator, Sequence

from rapidfuzz.distance import Levenshtein

MOST = 4  # parts of a compound; German has longer ones, but not split into more
# A stretch without this many right words in a row, of which the errors are counted plainly: seconds and a lot of memory else.
LARGEST = 1000


def compound_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """The fewest errors; at most those of a plain alignment."""
    return sum(_fewest(*stretch) for stretch in _stretches(list(reference), list(hypothesis)))


def _stretches(reference: list[str], hypothesis: list[str]) -> Iterator[tuple[list[str], list[str]]]:
    """What lies between long runs of right words, which nothing is joined across, with some of these on either side."""
    i = j = 0
    for kind, a, b, c, d in Levenshtein.opcodes(reference, hypothesis):
        if kind == "equal" and b - a > 4 * MOST:
            yield reference[i : a + 2 * MOST], hypothesis[j : c + 2 * MOST]
            i, j = b - 2 * MOST, d - 2 * MOST
    yield reference[i:], hypothesis[j:]


def _fewest(reference: list[str], hypothesis: list[str]) -> int:
    if reference == hypothesis:
        return 0
    if min(len(reference), len(hypothesis)) > LARGEST:
        return Levenshtein.distance(reference, hypothesis)
    rows: list[list[int]] = []  # of the last words of the reference: errors against the first j of the hypothesis
    for i in range(len(reference) + 1):
        row = []
        for j in range(len(hypothesis) + 1):
            choices = [] if i or j else [0]
            if i:
                choices.append(rows[-1][j] + 1)
            if j:
                choices.append(row[j - 1] + 1)
            if i and j:
                choices.append(rows[-1][j - 1] + (reference[i - 1] != hypothesis[j - 1]))
                choices += [rows[-n][j - 1] for n in _joined(reference, i, hypothesis[j - 1])]
                choices += [rows[-1][j - n] for n in _joined(hypothesis, j, reference[i - 1])]
            row.append(min(choices))
        rows = [*rows[1 - MOST :], row]
    return rows[-1][-1]


def _joined(words: Sequence[str], end: int, word: str) -> list[int]:
    """How many words before `end` are together spelled as `word`; 2 at least."""
    return [n for n in range(2, min(MOST, end) + 1) if "".join(words[end - n : end]) == word]
