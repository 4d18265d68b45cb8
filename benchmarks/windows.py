"""What a window costs: seconds of speech that a training hears in a second, forward and backward.

Usually each utterance is padded to a window of 30 s. Here the windows of a step are cut to the longest of its utterances
and up to half a second more, or packed with several utterances (`scripts/asr/windows.py`). The loss is the same on all
sides. whisper-tiny's shape and utterances of 5.0 s on average, as in Common Voice's German, or those of the sample.

    python benchmarks/windows.py
    python benchmarks/windows.py --setting sample
"""

from collections.abc import Iterator
from functools import partial

from side_by_side import Job, Side, flags, table, take_turns

REFERENCE = "one utterance a 30 s window"
SIDES = {  # share of steps of 30 s, share of packed windows, windows of a step, steps of a turn
    REFERENCE: (1.0, 0.0, 4, 1),
    "cut to the longest of the step": (0.0, 0.0, 8, 4),
    "packed, 30 s": (1.0, 1.0, 4, 1),
}


def jobs(setting: str, full_share: float, packed_share: float, size: int, steps: int) -> Iterator[Job]:
    from synthetic import batches, cross_entropy, whisper

    model = whisper(setting)
    planned = batches(setting, full_share, packed_share, size)

    def train(given: tuple[dict, ...]) -> None:
        for batch in given:
            model(**batch).loss.backward()
            model.zero_grad()

    with cross_entropy(model):
        while True:
            seconds, given = zip(*(next(planned) for _ in range(steps)), strict=True)
            yield sum(seconds), partial(train, given)


if __name__ == "__main__":
    parser = flags(__doc__, rounds=4)
    parser.add_argument(
        "--setting", choices=["tiny", "sample"], default="tiny", help="the model's shape and the utterances"
    )
    given = parser.parse_args()
    sides = {name: Side(jobs, given.setting, *plan) for name, plan in SIDES.items()}
    print(table(take_turns(sides, given.rounds), "speech-seconds / s", REFERENCE))
