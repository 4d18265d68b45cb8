"""What a test set shares with training data, by each of its utterances."""

from dataclasses import replace

import numpy as np
import pytest
from datasets import Dataset

from asr.audio import encode_flac
from asr.errors import UserError
from asr.seen_in_training import seen_in_training
from asr.test_sets import read_test_sets
from asr.utterance import Utterance, columns

NOISE = [encode_flac(np.random.default_rng(seed).normal(0, 0.1, 8000).astype(np.float32)) for seed in range(3)]
TRAINED = Utterance("talks/1", NOISE[0], "Ja, gern.", "de", "talks/7", "talks", "", "train", 0.5)


def write(folder, split, *utterances):
    """A shard of prepare_audio's."""
    rows = [replace(one, id=f"{one.source}/{i}", split=split).row() for i, one in enumerate(utterances)]
    Dataset.from_list(rows, features=columns()).save_to_disk(folder / "saved")
    (folder / split).mkdir(parents=True)
    next((folder / "saved").glob("*.arrow")).rename(folder / split / "00000.arrow")


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        ({}, (0, 0, 0)),
        ({"speaker": "talks/7"}, (1, 0, 0)),
        ({"audio": NOISE[0]}, (0, 1, 0)),
        ({"text": "ja gern"}, (0, 0, 1)),  # without its comma
        ({"speaker": "", "text": ""}, (0, 0, 0)),  # of which nobody knows anything
        ({"audio": NOISE[0], "text": ""}, (0, 0, 0)),  # one silence is like another
    ],
)
def test_each_kind_is_counted_where_any_of_the_folders_has_it(tmp_path, changes, seen):
    other = replace(TRAINED, audio=NOISE[2], text="", speaker="")
    write(tmp_path / "a", "train", other, other)
    write(tmp_path / "b", "train", other, TRAINED)
    judged = Utterance("read/0", NOISE[1], "Nein.", "de", "read/1", "read", "", "test", 0.5)
    write(tmp_path / "test", "test", judged, replace(judged, **changes))
    test_sets = read_test_sets(tmp_path / "test", ["read"], [])
    found = seen_in_training(test_sets, [tmp_path / "a", tmp_path / "b"])
    assert tuple(found["read"].values()) == seen
    assert not any(seen_in_training(test_sets, [tmp_path / "a"])["read"].values())


def test_a_folder_without_training_data_is_named(tmp_path):
    write(tmp_path, "test", replace(TRAINED, source="read"))
    with pytest.raises(UserError, match="nowhere/train: no utterances"):
        seen_in_training(read_test_sets(tmp_path, ["read"], []), [tmp_path / "nowhere"])
