"""Errors that are left when words may be joined and split: "Haus Tür" is "Haustür", as no one hears the difference.

    compound_errors("die haus tür".split(), "die haustür".split())      # 0

In: the words of a reference and a hypothesis, normalised. Out: the fewest substitutions, deletions and insertions, where up to
`MOST` words in a row equal one word that is spelled as they are.
"""

from collections.abc import Sequence

MOST = 4  # parts of a compound; German has longer ones, but not split into more


def compound_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """The fewest errors; at most those of a plain alignment."""
    reference, hypothesis = _without_common_ends(list(reference), list(hypothesis))
    errors: list[list[int]] = []  # errors[i][j]: of the first i words against the first j
    for i in range(len(reference) + 1):
        row = []
        for j in range(len(hypothesis) + 1):
            choices = [] if i or j else [0]
            if i:
                choices.append(errors[i - 1][j] + 1)
            if j:
                choices.append(row[j - 1] + 1)
            if i and j:
                choices.append(errors[i - 1][j - 1] + (reference[i - 1] != hypothesis[j - 1]))
                choices += [errors[i - n][j - 1] for n in _joined(reference, i, hypothesis[j - 1])]
                choices += [errors[i - 1][j - n] for n in _joined(hypothesis, j, reference[i - 1])]
            row.append(min(choices))
        errors.append(row)
    return errors[-1][-1]


def _joined(words: Sequence[str], end: int, word: str) -> list[int]:
    """How many words before `end` are together spelled as `word`; 2 at least."""
    return [n for n in range(2, min(MOST, end) + 1) if "".join(words[end - n : end]) == word]


def _without_common_ends(a: list[str], b: list[str]) -> tuple[list[str], list[str]]:
    while a and b and a[-1] == b[-1]:
        a, b = a[:-1], b[:-1]
    first = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return a[first:], b[first:]
