"""The traps of the training loop, each with a test that fails when its cure is taken out."""

import json

import pytest
import torch

from asr.batches import Collator
from asr.errors import UserError
from asr.labels import IGNORED
from asr.training import TrainingSettings, accumulation_steps, last_whole_checkpoint
from asr.windows import Shapes

SHAPES = Shapes(
    full_share=0.2, full_batch=4, jitter_seconds=1.0, packed_share=0.5, packed_from=0.0, gap_seconds=(0.1, 1.0), timestamps_share=0.5
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
        UserError, match=f"global_batch: 16 and windows.full_batch: 4 cannot be dealt out evenly to {world}"
    ):
        accumulation_steps(settings(device_batch=device_batch), world)


def test_padding_is_neither_read_as_text_nor_taught():
    examples = [
        {"input_features": torch.zeros(80, 10).numpy(), "decoder_input_ids": [1, 2, 3], "labels": [2, 3, 9]},
        {"input_features": torch.ones(80, 10).numpy(), "decoder_input_ids": [1], "labels": [9]},
    ]
    batch = Collator(pad_token=9)(examples)
    assert batch["decoder_input_ids"].tolist() == [[1, 2, 3], [1, 9, 9]]
    assert batch["labels"].tolist() == [[2, 3, 9], [9, IGNORED, IGNORED]]
    assert batch["input_features"].shape == (2, 80, 10)


def test_a_checkpoint_cut_off_is_passed_over_and_deleted(tmp_path):
    for step, state in ((4, {"global_step": 4}), (8, {"global_step": 8}), (12, None)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if state:
            (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(json.dumps(state))
    (tmp_path / "checkpoint-16").mkdir()
    (tmp_path / "checkpoint-16" / "trainer_state.json").write_text('{"global_step": 1')
    assert last_whole_checkpoint(tmp_path).name == "checkpoint-8"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-4", "checkpoint-8"]
    assert last_whole_checkpoint(tmp_path / "nothing") is None
