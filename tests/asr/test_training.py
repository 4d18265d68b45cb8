"""How a step is dealt out, and what a batch holds."""

import pytest
import torch

from asr.batches import Collator
from asr.errors import UserError
from asr.labels import IGNORED
from asr.new_model import new_whisper
from asr.short_context import allow_short_context
from asr.training import added_up_in_order
from asr.training_settings import TrainingSettings, accumulation_steps
from asr.windows import Shapes

SHAPES = Shapes(
    full_share=0.2, full_batch=4, jitter_seconds=1.0, packed_share=0.5, packed_batch=4, full_from=0.0, gap_seconds=(0.1, 1.0), timestamps_share=0.5, zero_padded_share=0.5, frequency_warp=0.1, packed_seconds=(30.0, 30.0)
)  # fmt: skip


def settings(**changes):
    names = TrainingSettings.__dataclass_fields__
    return TrainingSettings(
        **dict.fromkeys(names) | {"global_batch": 16, "device_batch": 16, "windows": SHAPES} | changes
    )


@pytest.mark.parametrize(
    ("world", "device_batch", "expected"), [(1, 16, 1), (1, 8, 2), (1, 4, 4), (2, 16, 1), (2, 4, 2), (4, 16, 1)]
)
def test_accumulation_fills_devices_evenly(world, device_batch, expected):
    assert accumulation_steps(settings(device_batch=device_batch), world) == expected


@pytest.mark.parametrize(("world", "device_batch"), [(3, 16), (8, 16), (1, 1)])
def test_a_batch_that_cannot_be_dealt_out_is_refused(world, device_batch):
    with pytest.raises(
        UserError, match=f"windows.full_batch: 4, windows.packed_batch: 4 cannot be dealt out evenly to {world}"
    ):
        accumulation_steps(settings(device_batch=device_batch), world)


def test_only_batches_that_are_used_must_be_dealt_out():
    from dataclasses import replace

    assert (
        accumulation_steps(settings(global_batch=15, windows=replace(SHAPES, full_share=0.0, packed_share=0.0)), 3) == 1
    )
    assert accumulation_steps(settings(global_batch=7, windows=replace(SHAPES, full_share=1.0)), 4) == 1


def test_padding_is_neither_read_as_text_nor_taught():
    examples = [
        {
            "input_features": torch.zeros(80, 10).numpy(),
            "decoder_input_ids": [1, 2, 3],
            "labels": [2, 3, 9],
            "label_seconds": [0.5, 1.5, 2.5],
            "step": 5,
            "ids": ["a", "b"],
        },
        {
            "input_features": torch.ones(80, 10).numpy(),
            "decoder_input_ids": [1],
            "labels": [9],
            "label_seconds": [0.5],
            "step": 5,
            "ids": ["c"],
        },
    ]
    batch = Collator(pad_token=9)(examples)
    assert batch["decoder_input_ids"].tolist() == [[1, 2, 3], [1, 9, 9]]
    assert batch["labels"].tolist() == [[2, 3, 9], [9, IGNORED, IGNORED]]
    assert batch["input_features"].shape == (2, 80, 10)
    assert batch["label_seconds"].isnan().tolist() == [[False] * 3, [False, True, True]]
    assert batch["step"] == 5
    assert batch["ids"] == [["a", "b"], ["c"]]


def test_steps_bounded_by_seconds_are_dealt_out_by_what_they_hold_at_least():
    from dataclasses import replace

    shapes = replace(SHAPES, full_share=0.0, packed_share=0.0, step_seconds=240.0)  # eight windows of 30 s
    assert accumulation_steps(settings(windows=shapes, global_batch=64, device_batch=2), 2) == 2
    assert accumulation_steps(settings(windows=shapes, global_batch=4, device_batch=4), 4) == 1  # global_batch is fewer
    with pytest.raises(UserError, match=r"windows.step_seconds / 30 \(at most global_batch\): 4"):
        accumulation_steps(settings(windows=shapes, global_batch=4, device_batch=4), 8)


def test_gradients_are_the_same_whenever_the_threads_are_done():
    """Without it those of the decoder's positions differed in most rounds."""
    model = new_whisper(mels=80, width=128, heads=2, encoder_layers=1, decoder_layers=1, seed=0)
    allow_short_context(model)
    features = torch.randn(16, 80, 40, generator=torch.manual_seed(0))
    labels = torch.randint(0, 50000, (16, 20), generator=torch.manual_seed(1))
    threads, rounds = torch.get_num_threads(), []
    torch.set_num_threads(2)
    try:
        with added_up_in_order(torch.device("cpu")):
            for _ in range(10):
                model.zero_grad()
                model(input_features=features, labels=labels).loss.backward()
                taught = ((name, of) for name, of in model.named_parameters() if of.grad is not None)
                rounds.append({name: of.grad.clone() for name, of in taught})
    finally:
        torch.set_num_threads(threads)
    differing = {name for found in rounds[1:] for name in found if not torch.equal(found[name], rounds[0][name])}
    assert not differing and not torch.are_deterministic_algorithms_enabled()
