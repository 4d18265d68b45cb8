"""What the training loss costs: steps a second, forward and backward, and the memory that they take.

Whisper's own forward projects every position of the decoder onto the whole vocabulary, padding too; the loss of
`scripts/asr/loss.py` only those that have a label, and with `sampled_tokens` onto a part of the vocabulary. The model, the utterances and the batches are the sample's: 16 single
utterances of like lengths, then 4 windows of 30 s of which half hold one utterance and half as many as fit. Without
what the sample adds to the loss, since Whisper's own has nothing of it. The last line projects nothing, so that it shows
what there is to save. Memory is what a step takes beyond weights and batch.

    python benchmarks/loss.py
    python benchmarks/loss.py --setting tiny
"""

from collections.abc import Iterator
from functools import partial

from side_by_side import GIVE_BACK, Job, Side, flags, megabytes, table, take_turns

REFERENCE = "every position (Whisper's own)"
OURS = "those with a label"
SAMPLED = "those, on a part of the vocabulary"
NONE = "none: no loss"
ARGUMENTS = ("input_features", "decoder_input_ids", "labels")  # those that Whisper's own forward knows
STEPS = {  # share of steps of 30 s, share of packed windows, windows of a step
    "16 cut windows of one utterance": (0.0, 0.0, 16),
    "4 windows of 30 s, half of them packed": (1.0, 0.5, 4),
}


def jobs(projected: str, setting: str, full_share: float, packed_share: float, size: int) -> Iterator[Job]:
    from contextlib import nullcontext

    from synthetic import batches, cross_entropy, sampled_cross_entropy, whisper

    model = whisper(setting)
    losses = {OURS: cross_entropy, SAMPLED: partial(sampled_cross_entropy, setting=setting)}

    def step(batch: dict) -> None:
        if projected == NONE:
            heard, read = batch["input_features"], batch["decoder_input_ids"]
            model.model(heard, decoder_input_ids=read, use_cache=False).last_hidden_state.sum().backward()
        else:
            model(**batch).loss.backward()
        model.zero_grad()

    with losses.get(projected, nullcontext)(model):
        for _, batch in batches(setting, full_share, packed_share, size):
            given = {name: batch[name] for name in ARGUMENTS}
            yield 1.0, partial(step, given if projected != SAMPLED else given | {"step": batch["step"]})


if __name__ == "__main__":
    parser = flags(__doc__, rounds=10)
    parser.add_argument(
        "--setting", choices=["sample", "tiny"], default="sample", help="the model's shape and the utterances"
    )
    given = parser.parse_args()
    for name, plan in STEPS.items():
        choices = {projected: (projected, given.setting, *plan) for projected in (REFERENCE, OURS, SAMPLED, NONE)}
        turns = take_turns({side: Side(jobs, *choice) for side, choice in choices.items()}, given.rounds)
        frugal = {side: Side(jobs, *choice, bounds=GIVE_BACK) for side, choice in choices.items()}
        memory = megabytes(take_turns(frugal, rounds=2))
        print(f"{name}\n{table(turns, 'steps / s', REFERENCE, memory)}\n")
