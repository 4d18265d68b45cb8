"""Rows are chosen by source, and what is wrong with them is said with the row before the first step."""

import numpy as np
import pytest

from asr.errors import UserError
from asr.features import FeatureCache, write_features
from asr.labels import Labeler
from asr.selection import evaluation_windows, sources_of, tokens_of
from asr.utterance import Segment, Utterance
from asr.vocabulary import whisper_tokenizer

LABELER = Labeler(whisper_tokenizer(80))


def cache_of(folder, *utterances: Utterance) -> FeatureCache:
    items = [(utterance.row(), np.zeros((200, 80), np.float32)) for utterance in utterances]
    write_features(folder / "train", 80, 200 * len(items), items)
    return FeatureCache(folder, "train")


def utterance(id="s/1", text="eins", language="de", segments=(), **changes):
    return Utterance(id, b"", text, language, "who", "s", "d", "train", 2.0, segments, **changes)


@pytest.mark.parametrize(
    "segments",
    [
        (Segment(1.0, 1.5, "a"), Segment(0.2, 1.8, "b")),
        (Segment(0.0, 1.0, "a"), Segment(1.0, 4.0, "b")),
        (Segment(1.5, 1.0, "a"),),
    ],
)
def test_segments_out_of_order_or_past_the_sound_are_named(tmp_path, segments):
    cache = cache_of(tmp_path, utterance("s/0"), utterance("s/1", segments=segments))
    with pytest.raises(UserError, match=r"train: s/1: a segment from .* in 2.00 s of sound"):
        sources_of(cache, {"s": 1.0}, LABELER)


def test_a_language_that_the_model_does_not_know_is_named_with_its_row(tmp_path):
    cache = cache_of(tmp_path, utterance("s/0"), utterance("s/1", language="yue"))
    with pytest.raises(UserError, match=r"train: s/1: language 'yue' is not one of Whisper's"):
        sources_of(cache, {"s": 1.0}, LABELER)
    assert sources_of(cache, {"s": 1.0}, Labeler(whisper_tokenizer(128)))  # large-v3 does


def test_translations_are_counted_as_english_and_not_judged(tmp_path):
    cache = cache_of(tmp_path, utterance("s/0", "你好", "zh"), utterance("s/1", "Good day.", "zh", task="translate"))
    (source,) = sources_of(cache, {"s": 1.0}, LABELER)
    expected = [len(LABELER.text("你好", "zh")), len(LABELER.text("Good day.", "en"))]
    assert source.tokens.tolist() == expected
    assert set(LABELER.text("Good day.", "en")) <= set(tokens_of(cache, ["s"], LABELER))
    assert [window.parts[0].utterance for window in evaluation_windows(cache, ["s"], 10)] == [0]


def test_what_was_said_before_is_known_within_a_recording(tmp_path):
    ids = ["s/a.mp3#0.00-2.00", "s/a.mp3#2.50-4.00", "s/b.mp3#0.00-1.00", "s/c", "s/c/2"]
    cache = cache_of(tmp_path, *map(utterance, ids))
    (source,) = sources_of(cache, {"s": 1.0}, LABELER)
    assert source.before.tolist() == [-1, 0, -1, -1, -1]


def test_a_cache_of_an_older_version_is_said(tmp_path):
    from datasets.arrow_writer import ArrowWriter

    cache_of(tmp_path, utterance())
    row = {"id": "s/0", "text": "eins", "first_frame": 0, "frames": 200}
    with (tmp_path / "train/utterances.arrow").open("wb") as file:
        writer = ArrowWriter(stream=file)
        writer.write(row)
        writer.finalize()
    with pytest.raises(UserError, match=r"made by an older version, without .*task.*; make it again"):
        FeatureCache(tmp_path, "train")
