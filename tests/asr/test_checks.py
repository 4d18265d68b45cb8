"""Tokens are counted as the decoder is taught them, and a repetition is rejected, whatever repeats."""

from dataclasses import replace

import pytest

from asr.checks import Checks, Seen
from asr.labels import Labeler
from asr.utterance import Rejected, Utterance
from asr.vocabulary import whisper_tokenizer

TEXTS = ["Ja.", "Grün ist es, sagt Jürgen.", "<|de|><|0.00|> und <|endoftext|>", "東京は今日も暑い", "  x"]


@pytest.mark.parametrize("language", ["de", "ja"])
def test_tokens_are_the_labelers(tmp_path, language):
    tokenizer = whisper_tokenizer(80)
    tokenizer.save_pretrained(tmp_path)
    checks = Checks(tmp_path / "tokenizer.json", min_seconds=0.3, max_seconds={}, min_peak=0.001, max_tokens=440)
    texts = [text.strip() for text in TEXTS]
    assert [checks.tokens(text, language) for text in texts] == Labeler(tokenizer).count(texts, language)
    assert checks.tokens("", language) == 0


def test_a_repetition_is_rejected():
    first = Utterance("a/1", b"sound", "Ja.", "de", "a/S", "a", "d", "train")
    repetitions = {
        "the id": replace(first, audio=b"other"),
        "audio and text": replace(first, id="a/2"),
        "the id and audio and text": first,
    }
    for what, repetition in repetitions.items():
        seen = Seen()
        assert seen.check(first) is first
        rejected = seen.check(repetition)
        assert (rejected.reason, rejected.detail) == ("duplicate", f"{what} of an earlier row")
        assert seen.check(rejected) is rejected
        other = replace(first, id="b/1", source="b")  # the same recording in two sources is meant
        assert seen.check(other) is other
    assert isinstance(rejected, Rejected)
