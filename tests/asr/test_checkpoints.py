"""A checkpoint that was cut off is never resumed from, and a whole one never given up for it."""

import pytest

from asr.checkpoints import cut_off, keep_last_two, last_whole_checkpoint, opened_run_dir, remove_checkpoints, seal
from asr.errors import UserError


@pytest.fixture
def save(tmp_path):
    """Write a checkpoint as a trainer does, of two files and a folder."""

    def save(step: int, whole: bool = True):
        folder = tmp_path / f"checkpoint-{step}"
        (folder / "shards").mkdir(parents=True)
        for name in ("model.safetensors", "optimizer.pt", "shards/0"):
            (folder / name).write_bytes(b"weights")
        if whole:
            seal(folder)
        return folder

    return save


def test_the_last_whole_checkpoint_is_found_by_its_number(save, tmp_path):
    whole = [save(4), save(12)]
    broken = save(100, whole=False)
    (tmp_path / "checkpoint-old").mkdir()
    assert last_whole_checkpoint(tmp_path) == whole[1]
    assert cut_off(tmp_path) == [broken]
    assert last_whole_checkpoint(tmp_path / "nothing") is None


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt", "shards/0", "whole.json"])
@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(path.read_bytes()[:3]), lambda path: path.unlink()])
def test_one_that_has_lost_any_file_or_half_of_it_is_not_whole(save, tmp_path, name, damage):
    earlier, last = save(4), save(8)
    damage(last / name)
    assert last_whole_checkpoint(tmp_path) == earlier


def test_the_last_two_and_the_best_stay_and_event_files(save, tmp_path):
    save(4), save(8), save(12), save(16, whole=False), save(20)
    (tmp_path / "events.out.tfevents.1").touch()
    keep_last_two(tmp_path, best=4)
    left = {"checkpoint-12", "checkpoint-20", "checkpoint-4", "events.out.tfevents.1"}
    assert {path.name for path in tmp_path.iterdir()} == left
    remove_checkpoints(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["events.out.tfevents.1"]


def test_a_run_folder_that_cannot_be_written_is_one_message(tmp_path):
    (tmp_path / "runs").touch()
    with (
        pytest.raises(UserError, match=r"runs/x: checkpoints cannot be written here .*LOG_DIR"),
        opened_run_dir(tmp_path / "runs/x", first=True),
    ):
        pass


def test_opening_a_run_folder_leaves_nothing_in_it(tmp_path):
    with opened_run_dir(tmp_path / "runs/x", first=True):
        assert not list((tmp_path / "runs/x").iterdir())
