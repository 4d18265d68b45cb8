"""What glibc's bounds are worth: training steps a second with those that `scripts/asr/launch.py` sets, and without.

Whole steps, with all losses of the sample and AdamW, on its model and batches: 16 single utterances of like lengths.
Memory is what a step takes beyond weights and batch. On the CPU; a GPU has an allocator of its own.

    python benchmarks/allocator.py
"""

from collections.abc import Iterator
from functools import partial

from side_by_side import Job, Side, flags, megabytes, table, take_turns

REFERENCE = "glibc's own bounds"
OURS = "launch.py's"


def jobs() -> Iterator[Job]:
    from synthetic import all_losses, batches, whisper
    from torch.nn.utils import clip_grad_norm_
    from torch.optim import AdamW

    model = whisper("sample")

    def step(batch: dict) -> None:
        model(**batch).loss.backward()
        clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    with all_losses(model, "sample"):
        optimizer = AdamW(model.parameters(), fused=True)
        for _, batch in batches("sample", full_share=0.0, packed_share=0.0, size=16):
            yield 1.0, partial(step, batch)


if __name__ == "__main__":
    given = flags(__doc__, rounds=32).parse_args()
    sides = {REFERENCE: Side(jobs, bounds={}), OURS: Side(jobs)}
    turns = take_turns(sides, given.rounds)
    print(table(turns, "steps / s", REFERENCE, megabytes(turns)))
