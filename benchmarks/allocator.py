"""What glibc's bounds are worth: training steps a second with those that `scripts/asr/launch.py` sets, and without.

Whole steps, with the CTC loss and AdamW, on the sample's model and batches: 16 single utterances of like lengths.
Memory is what a step takes beyond weights and batch. On the CPU; a GPU has an allocator of its own.

    python benchmarks/allocator.py
"""

from collections.abc import Iterator

from side_by_side import Job, Side, flags, megabytes, table, take_turns

REFERENCE = "glibc's own bounds"
OURS = "launch.py's"


def jobs() -> Iterator[Job]:
    from synthetic import batches, labeler, whisper
    from torch.nn.utils import clip_grad_norm_
    from torch.optim import AdamW

    from asr.loss import training_loss

    model = whisper("sample")
    with training_loss(model, labeler(), ctc_weight=0.3):
        optimizer = AdamW(model.parameters(), fused=True)
        for _, batch in batches("sample", full_share=0.0, packed_share=0.0, size=16):

            def run(batch=batch) -> None:
                model(**batch).loss.backward()
                clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()

            yield 1.0, run


if __name__ == "__main__":
    given = flags(__doc__, rounds=32).parse_args()
    sides = {REFERENCE: Side(jobs, bounds={}), OURS: Side(jobs)}
    turns = take_turns(sides, given.rounds)
    print(table(turns, "steps / s", REFERENCE, megabytes(turns)))
