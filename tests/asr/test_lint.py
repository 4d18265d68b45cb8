"""A row or a batch that breaks a law is named before it is trained on."""

import numpy as np
import pytest

from asr.batches import Collator, WindowDataset
from asr.errors import UserError
from asr.features import FeatureCache, write_features
from asr.labels import IGNORED, Labeler, Prompt
from asr.lint import broken_rows, check_labels, painted
from asr.utterance import Segment, Utterance
from asr.vocabulary import whisper_tokenizer
from asr.windows import Part, Window

LABELER = Labeler(whisper_tokenizer(80))


def cache_of(folder, *rows) -> FeatureCache:
    """Rows (text, segments) of two seconds each."""
    items = [
        (
            Utterance(f"s/{number}", b"", text, "de", "", "s", "d", "train", 2.0, segments).row(),
            np.zeros((200, 80), np.float32),
        )
        for number, (text, segments) in enumerate(rows)
    ]
    write_features(folder / "train", 80, 200 * len(items), items)
    return FeatureCache(folder, "train")


def test_good_rows_pass(tmp_path):
    segments = (Segment(0.1, 0.5, "Licht an."), Segment(0.6, 2.0, "Licht <|de|> aus."))
    cache = cache_of(tmp_path, ("Licht an. Licht <|de|> aus.", segments), ("", ()), ("Grüß Gott!", ()))
    dataset = WindowDataset(cache, LABELER)
    assert list(broken_rows(dataset, cache, LABELER, range(3))) == []
    step = [Window((Part(i, 0),), 200, True, False, step=0) for i in range(3)]
    assert check_labels(dataset, cache, LABELER, step, Collator(LABELER.end), ["s"]) == 3
    assert check_labels(dataset, cache, LABELER, step, Collator(LABELER.end), ["s"], most=2) == 2


@pytest.mark.parametrize(
    ("text", "segments", "problem"),
    [
        ("a b", (Segment(1.0, 1.5, "a"), Segment(0.2, 1.8, "b")), "segment times run backwards at 0.20 s"),
        ("a b", (Segment(0.0, 1.0, "a"), Segment(1.0, 4.0, "b")), "a timestamp of 4.00 s in 2.00 s of sound"),
        ("ja " * 500, (), "tokens do not fit into the decoder's 448"),
    ],
)
def test_a_broken_row_is_named(tmp_path, text, segments, problem):
    cache = cache_of(tmp_path, ("gut", ()), (text.strip(), segments))
    dataset = WindowDataset(cache, LABELER)
    ((id, said),) = broken_rows(dataset, cache, LABELER, range(2))
    assert id == "s/1" and problem in said
    with pytest.raises(UserError, match=r"train: s/1: .*; correct the row, or reject it in prepare_audio"):
        check_labels(dataset, cache, LABELER, [], Collator(LABELER.end), ["s"])


def test_a_broken_batch_is_named(tmp_path):
    cache = cache_of(tmp_path, ("eins", ()))
    dataset = WindowDataset(cache, LABELER)

    def strips_the_end(examples):
        batch = Collator(LABELER.end)(examples)
        batch["labels"][batch["labels"] == LABELER.end] = IGNORED
        return batch

    with pytest.raises(UserError, match=r"the first batch: row 0: <\|endoftext\|> is not taught; it holds s/0"):
        check_labels(dataset, cache, LABELER, [Window((Part(0, 0),), 200, True, False)], strips_the_end, ["s"])


def test_a_window_is_shown_as_it_is_taught():
    sequence = LABELER.encode(
        [Segment(0.5, 1.5, "Grüß Gott!")], "de", timestamps=True, prompt=Prompt(previous=("Ja.",))
    )
    shown = painted(sequence, LABELER, color=False)
    assert shown == (
        "<|startofprev|> Ja. <|startoftranscript|> <|de|> <|transcribe|> <|0.50|> Grüß Gott! <|1.50|> <|endoftext|>"
    )
    colored = painted(sequence, LABELER, color=True)
    assert colored.count("\x1b[33m") == 2 and "\x1b[2mJa.\x1b[0m" in colored and "\x1b[36m<|de|>" in colored
