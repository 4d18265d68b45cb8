"""Cleaning mends encoding, not spelling."""

import unicodedata

import pytest

from asr.text import TextRules, clean, foreign_characters, spoken_characters


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


@pytest.mark.parametrize(
    ("language", "rules", "raw", "cleaned"),
    [
        ("de", {}, "soft\u00adhyphen und null\u200bbreit\ufeff", "softhyphen und nullbreit"),
        ("de", {}, "a\x00b\x07 \u202ec\n", "ab c"),
        ("de", {}, "a\x80\x9fb\x85c\u2060d", "ab cd"),
        ("ar", {}, "\u200fمرحبا\u200e\u061c", "مرحبا"),
        ("fa", {}, "می\u200cخواهم", "می\u200cخواهم"),
        ("de", {"lower_case": True}, "Straße, ÄÖÜ", "straße, äöü"),
        ("tr", {"lower_case": True}, "İstanbul", unicodedata.normalize("NFC", "İstanbul".lower())),
        ("de", {"punctuation": False}, "„Geht's“ – ja-nein, 3 % und 5 €!", "Geht's ja-nein 3 und 5 €"),
        ("ru", {"punctuation": False, "lower_case": True}, "По-прежнему, да?", "по-прежнему да"),
        ("zh", {"punctuation": False}, "他说:“好”。", "他说好"),
        ("zh", {"simplified": True}, "漢語很難。", "汉语很难。"),
        ("ko", {"korean": "spoken"}, "(7시)/(일곱 시)에 b/ 만나요 그+ 그*", "일곱 시에 만나요 그 그"),
        ("ko", {"korean": "written"}, "(7시)/(일곱 시)에 n/ 만나요", "7시에 만나요"),
        ("ko", {"korean": "written"}, "\u1112\u1161\u11ab\u3131 Ａ", "한ㄱ A".replace("ㄱ", "ᄀ")),
        ("de", {"korean": "spoken"}, "(a)/(b)", "(a)/(b)"),
        ("de", {"punctuation": False}, "<|de|> Wort", "<|de|> Wort"),
    ],
)
def test_what_is_asked_for_is_done(language, rules, raw, cleaned):
    once = clean(raw, TextRules(**rules), language)
    assert once == cleaned
    assert clean(once, TextRules(**rules), language) == once


@pytest.mark.parametrize(
    ("language", "text", "foreign"),
    [
        ("de", "Škoda, Curaçao & 3 €: „ja“ – 10 % 😀", ""),
        ("de", "яб und 你", "яб你"),
        ("ru", "Windows и ёж", ""),
        ("ru", "слово 한", "한"),
        ("zh", "我用WhatsApp。", ""),
        ("ja", "東京はラーメンA", ""),
        ("ko", "한국어 漢字 OK", ""),
        ("ko", "한국어 ひ", "ひ"),
        ("hi", "हिन्दी", ""),
        ("am", "አማርኛ abc", ""),  # nothing is known of its letters
    ],
)
def test_letters_that_a_language_does_not_write_with(language, text, foreign):
    assert foreign_characters(text, language, TextRules()) == foreign
    assert foreign_characters(text, language, TextRules(scripts=())) == ""
    assert foreign_characters("a я", language, TextRules(scripts=("Cyrillic",))) == "a"


def test_only_what_takes_time_to_say_counts():
    assert spoken_characters("Ja, 3 %: é!") == spoken_characters("Ja3%e\u0301") == 4
