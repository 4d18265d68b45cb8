"""What a window may hold is reckoned in the tokens that its labels have, those of every segment's timestamps included."""

from itertools import accumulate

import numpy as np
import pytest

from asr.batches import WindowDataset
from asr.errors import UserError
from asr.features import FeatureCache, write_features
from asr.labels import Labeler
from asr.plan import plan_steps
from asr.selection import sources_of
from asr.utterance import Segment, Utterance
from asr.vocabulary import whisper_tokenizer
from asr.whisper_shape import MAX_TOKENS
from asr.windows import Shapes

LABELER = Labeler(whisper_tokenizer(80))


@pytest.fixture
def cache(tmp_path) -> FeatureCache:
    """Utterances of one to forty segments of a word each."""
    items = []
    for number, words in enumerate([1, 2, 40, 30, 25, 10, 3] * 3):
        ends = list(accumulate([0.06] * words))
        segments = tuple(Segment(end - 0.06, end, "ja") for end in ends) if words > 1 else ()
        text = " ".join(["ja"] * words)
        row = Utterance(f"s/{number}", b"", text, "de", "", "s", "d", "train", ends[-1], segments).row()
        items.append((row, np.zeros((round(100 * ends[-1]) + 2, 80), dtype=np.float32)))
    write_features(tmp_path / "train", 80, sum(len(mel) for _, mel in items), items)
    return FeatureCache(tmp_path, "train")


def test_tokens_are_those_of_the_labels(cache):
    (source,) = sources_of(cache, {"s": 1.0}, LABELER)
    for row, tokens in zip(cache.utterances, source.tokens, strict=True):
        spoken = [Segment(**s) for s in row["segments"]] or [Segment(0.0, row["seconds"], row["text"])]
        labels = LABELER.encode(spoken, "de", timestamps=True).labels
        assert tokens + 2 == len(labels) - 3  # language, task, end of text


def test_a_packed_window_of_many_segments_fits_into_the_decoder(cache):
    shapes = Shapes(0.0, 4, 0.0, 0.0, 1.0, 4, (30.0, 30.0), (0.0, 0.0), 1.0, 0.0, 0.0)
    dataset = WindowDataset(cache, LABELER)
    longest = 0
    for windows in plan_steps(sources_of(cache, {"s": 1.0}, LABELER), shapes, steps=20, batch=4, seed=0):
        for window in windows:
            longest = max(longest, len(dataset[window]["labels"]))
    assert MAX_TOKENS / 2 < longest <= MAX_TOKENS


def test_a_source_or_a_language_that_is_not_there_is_said(cache):
    with pytest.raises(UserError, match=r"no utterance of source 't'; there are s"):
        sources_of(cache, {"t": 1.0}, LABELER)
