"""What saves memory in training, and what it costs: gradient checkpointing, and Adafactor instead of AdamW.

Whole steps of 4 packed windows of 30 s on whisper-tiny's shape, in float32. Memory is what weights, gradients,
optimiser and activations take together at their most. On the CPU; the shares on a GPU differ.

    python benchmarks/memory.py
"""

from collections.abc import Iterator
from functools import partial

from side_by_side import GIVE_BACK, Job, Side, flags, megabytes, table, take_turns

REFERENCE = "AdamW"
SIDES = {  # Adafactor, gradient checkpointing
    REFERENCE: (False, False),
    "AdamW, gradient checkpointing": (False, True),
    "Adafactor": (True, False),
}
WEIGHTS_MEGABYTES = 4 * 37.76  # whisper-tiny's 37.76 million, which are there before the first step


def jobs(adafactor: bool, checkpointing: bool, setting: str = "tiny") -> Iterator[Job]:
    from synthetic import batches, cross_entropy, whisper
    from torch.optim import AdamW
    from transformers.optimization import Adafactor

    model = whisper(setting)
    model.config.use_cache = False  # checkpointing would switch it off with a warning
    if checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    if adafactor:
        optimizer = Adafactor(model.parameters(), lr=1e-5, scale_parameter=False, relative_step=False)
    else:
        optimizer = AdamW(model.parameters(), lr=1e-5, fused=True)

    def step(batch: dict) -> None:
        model(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    with cross_entropy(model):
        for _, batch in batches(setting, full_share=1.0, packed_share=1.0, size=4):
            yield 1.0, partial(step, batch)


if __name__ == "__main__":
    given = flags(__doc__, rounds=3).parse_args()
    turns = take_turns({name: Side(jobs, *chosen) for name, chosen in SIDES.items()}, given.rounds)
    frugal = {name: Side(jobs, *chosen, bounds=GIVE_BACK) for name, chosen in SIDES.items()}
    memory = {name: WEIGHTS_MEGABYTES + most for name, most in megabytes(take_turns(frugal, rounds=1)).items()}
    print(table(turns, "steps / s", REFERENCE, memory))
