"""A checkpoint that was cut off is never resumed from."""

import json

from asr.checkpoints import last_whole_checkpoint, remove_checkpoints


def test_the_last_whole_checkpoint_is_found(tmp_path):
    for step, state in ((4, {"global_step": 4}), (12, {"global_step": 12}), (16, None), (100, {"global_step": 12})):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if state:
            (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(json.dumps(state))
    (tmp_path / "checkpoint-20").mkdir()
    (tmp_path / "checkpoint-20" / "trainer_state.json").write_text('{"global_step": 2')
    (tmp_path / "checkpoint-old").mkdir()
    assert last_whole_checkpoint(tmp_path) == tmp_path / "checkpoint-12"
    assert last_whole_checkpoint(tmp_path / "nothing") is None


def test_checkpoints_go_and_event_files_stay(tmp_path):
    (tmp_path / "checkpoint-4").mkdir()
    (tmp_path / "events.out.tfevents.1").touch()
    remove_checkpoints(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["events.out.tfevents.1"]
