"""Rows in are rows kept and rows rejected, and what came to nothing is said."""

import pytest

from asr.errors import UserError
from asr.tally import Tally
from asr.utterance import Rejected, Utterance


def kept(split: str, speaker: str = "a/S", source: str = "a") -> Utterance:
    return Utterance("a/1", b"", "Ja.", "de", speaker, source, "d", split, seconds=1800.0)


def rejected(split: str, reason: str, source: str = "a") -> Rejected:
    return Rejected("a/1", source, split, "a/S", reason, "why")


def tally(*items: Utterance | Rejected) -> Tally:
    counted = Tally(["a", "b"])
    for item in items:
        counted.count(item)
    return counted


def test_each_row_is_counted_where_it_belongs():
    counted = tally(kept("train"), kept("train", "a/T"), kept("train", ""), rejected("train", "silent"), kept("dev"))
    assert counted.table == {
        "a": {
            "train": {"in": 4, "kept": 3, "rejected": {"silent": 1}, "hours": 1.5, "speakers": 2},
            "dev": {"in": 1, "kept": 1, "rejected": {}, "hours": 0.5, "speakers": 1},
        },
        "b": {},
    }
    assert "1 silent" in str(counted)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([kept("train"), rejected("dev", "silent")], "source a: nothing left of split dev: 1 rows in, .*: 1 silent;"),
        ([kept("train")], "source b: the corpus has no rows"),
        ([kept("train"), kept("train", source="b")], "source b: no rows for split test, only 1 rows in train"),
        ([kept("dev"), kept("test", source="b")], r"no source has a split train, only \['dev', 'test'\]"),
    ],
)
def test_what_came_to_nothing_is_said(items, message):
    with pytest.raises(UserError, match=message):
        tally(*items).check({"a": (), "b": ("test",)})
