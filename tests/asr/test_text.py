"""Cleaning mends encoding, not spelling."""

import unicodedata

import pytest

from asr.text import clean


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("Gru\u0308n", "Grün"),
        ("  a \t b\n\u00a0c\u3000d ", "a b c d"),
        ("Straße, ÄÖÜ – „ja“!", "Straße, ÄÖÜ – „ja“!"),
        ("他说:“好”。", "他说:“好”。"),
        ("й", "й"),
        (" \n", ""),
    ],
)
def test_clean(raw, cleaned):
    assert clean(raw) == cleaned


@pytest.mark.parametrize("text", ["Gru\u0308n  ist es .", "Ё ё й", "한국어", "<|de|> Wort"])
def test_clean_is_idempotent_and_nfc(text):
    once = clean(text)
    assert clean(once) == once
    assert unicodedata.is_normalized("NFC", once)
