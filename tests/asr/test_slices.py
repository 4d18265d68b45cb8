"""A slice's part depends on the slice alone, is whole or not there, and is found again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.checks import Checks
from asr.errors import UserError
from asr.recording import Recording
from asr.slices import SLICE_ROWS, Part, prepare_slice, read_part, slices_of
from asr.utterance import Rejected, Segment, Utterance
from asr.vocabulary import whisper_tokenizer


@pytest.fixture(scope="module")
def checks(tmp_path_factory) -> Checks:
    folder = tmp_path_factory.mktemp("model")
    whisper_tokenizer(80).save_pretrained(folder)
    return Checks(folder / "tokenizer.json", 0.3, {"a": 30.0}, 0.001, 440)


def item(folder: Path, number: int) -> Utterance:
    path = folder / f"{number}.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(number).uniform(-1, 1, 8000), 8000)
    segments = (Segment(0.0, 0.5, "Ja"), Segment(0.5, 1.0, "gern."))
    return Utterance(f"a/{number}", Recording(path), "Ja gern.", "de", "p/S", "a", "d", "train", 0.0, segments, "o")


def test_a_part_gives_back_what_was_prepared(tmp_path, checks):
    items = [item(tmp_path, 0), Rejected("a/x", "a", "dev", "", "missing_clip", "no file"), item(tmp_path, 1)]
    (slice,) = slices_of(items, 30.0)
    part = prepare_slice(slice, checks, tmp_path)
    assert part.rows == 3
    assert list(read_part(part)) == [checks.prepare(item) for item in items]
    before = part.path.stat()
    assert prepare_slice(slice, checks, tmp_path) == part
    assert part.path.stat() == before
    assert [path.name for path in tmp_path.glob("*.arrow")] == [part.path.name]


def test_a_damaged_part_is_said_and_made_anew(tmp_path, checks):
    (slice,) = slices_of([item(tmp_path, 0), item(tmp_path, 1)], 30.0)
    part = prepare_slice(slice, checks, tmp_path)
    whole = part.path.read_bytes()
    for damaged in (whole[:-200], whole[:100], b""):
        part.path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"damaged .* run the stage again"):
            list(read_part(prepare_slice(slice, checks, tmp_path)))
        assert prepare_slice(slice, checks, tmp_path) == part
        assert part.path.read_bytes() == whole
    with pytest.raises(UserError, match="2 rows instead of 3"):
        list(read_part(Part(part.path, 3)))


def test_slices_are_bounded_and_lose_nothing():
    items = [Rejected(f"a/{i}", "a", "train", "", "r", "d", Recording(b"x" * 1_000_000)) for i in range(150)]
    for longest, most in ((30.0, SLICE_ROWS), (600.0, 3), (5000.0, 1)):
        slices = list(slices_of(items, longest))
        assert [item for slice in slices for item in slice.items] == items
        assert max(len(slice.items) for slice in slices) <= most
        assert all(sum(item.audio.held for item in slice.items) <= 33_000_000 for slice in slices)


def test_the_name_of_a_part_changes_with_all_that_it_depends_on(tmp_path, checks):
    first = item(tmp_path, 0)
    rules = {"de": __import__("asr.text").text.TextRules(lower_case=True)}

    def key(utterance: Utterance = first, checks: Checks = checks) -> str:
        (slice,) = slices_of([utterance], 30.0)
        return slice.key(checks)

    keys = {
        key(),
        key(replace(first, text="Nein.")),
        key(replace(first, segments=())),
        key(replace(first, audio=first.audio.cut(0.0, 0.7))),
        key(replace(first, audio=Recording(first.audio.source.read_bytes()))),
        key(checks=replace(checks, min_seconds=0.2)),
        key(checks=replace(checks, no_speech=frozenset({"a"}))),
        key(checks=replace(checks, text=rules)),
    }
    assert len(keys) == 8
    assert key(checks=replace(checks, max_seconds={"a": 30.0, "b": 9.0}, no_speech=frozenset({"b"}))) == key()
    before = key()
    item(tmp_path, 0)  # the same bytes, written later
    assert key() != before
