"""Laws of scoring, jiwer as the oracle, and cases counted by hand."""

import random

import jiwer
import pytest

from asr.normaliser import words_of_any_script as normalise
from asr.scoring import lost_sentences, score, score_utterance, total

WORDS = ["Licht", "an", "aus", "Küche", "bitte", "zwölf", "Straße", "die", "wie spät"]


def texts(count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(1, 8))) for _ in range(count)]


def test_a_text_has_no_errors_against_itself():
    figures = score(texts(20, 0), texts(20, 0))
    assert figures.pop("words") > 20
    assert set(figures.values()) == {0}


def test_order_of_utterances_changes_nothing():
    pairs = list(zip(texts(30, 1), texts(30, 2), strict=True))
    before = score(*zip(*pairs, strict=True))
    random.Random(3).shuffle(pairs)
    assert score(*zip(*pairs, strict=True)) == before


def test_rates_are_jiwers_on_normalised_text():
    references, hypotheses = texts(50, 4), texts(50, 5)
    normal = [normalise(text) for text in references], [normalise(text) for text in hypotheses]
    words = jiwer.process_words(*normal)
    figures = score(references, hypotheses)
    assert figures["wer"] == pytest.approx(words.wer)
    assert figures["cer"] == pytest.approx(jiwer.process_characters(*normal).cer)
    counts = words.hits + words.substitutions + words.deletions, words.substitutions, words.deletions, words.insertions
    assert (figures["words"], figures["substitutions"], figures["deletions"], figures["insertions"]) == counts


def test_corpus_is_the_sum_of_its_utterances_not_the_mean_of_their_rates():
    references, hypotheses = ["eins zwei drei vier", "fünf"], ["eins zwei drei vier", "sechs"]
    figures = score(references, hypotheses)
    assert figures["wer"] == 1 / 5
    assert total(map(score_utterance, references, hypotheses)).figures() == figures


def test_swapping_reference_and_hypothesis_swaps_deletions_and_insertions():
    one, two = score(["a b c d"], ["a x"]), score(["a x"], ["a b c d"])
    assert (one["deletions"], one["insertions"], one["substitutions"]) == (2, 0, 1)
    assert (two["deletions"], two["insertions"], two["substitutions"]) == (0, 2, 1)


def test_counted_by_hand():
    figures = score(["Wie spät ist es?"], ["Wie spät ist es denn"])
    assert (figures["words"], figures["insertions"], figures["wer"]) == (4, 1, 0.25)
    figures = score(["schon"], ["schön"])
    assert (figures["substitutions"], figures["wer"], figures["cer"]) == (1, 1.0, 0.2)


def test_no_speech_counts_what_was_written_into_it():
    assert score([""], [""])["wer"] == score([""], [""])["cer"] == 0
    assert score([""], ["vielen Dank"])["cer"] == 11  # characters, the space too
    figures = score(["", "ja"], ["vielen Dank", "ja"])
    assert (figures["words"], figures["insertions"], figures["wer"]) == (1, 2, 2.0)
    assert score(["..."], ["Danke"])["wer"] == 1.0
    assert score([], [])["words"] == 0


def test_texts_that_do_not_pair_are_an_error():
    with pytest.raises(ValueError, match="longer"):
        score(["a"], ["a", "b"])


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("Schöne Grüße,  Straße 12!", "schöne grüße straße 12"),
        ("Schu\u0308ler", "schüler"),  # u + combining diaeresis
        ("„Geht's?“ – Ja…", "geht s ja"),
        ("E-Mail", "e mail"),
        ("Привет, МИР", "привет мир"),
        ("नमस्ते", "नमस्ते"),  # vowel signs are marks, and stay
        ("你好。", "你好"),
        ("\t\n", ""),
    ],
)
def test_normalise(text, normal):
    assert normalise(text) == normal
    assert normalise(normal) == normal


LONG = "Schalte das Licht ein. Wie spät ist es? Stell den Wecker auf sieben Uhr!"


@pytest.mark.parametrize(
    ("hypothesis", "lost"),
    [
        (LONG, 0),
        ("", 3),
        ("Schalte das Licht ein. Stell den Wecker auf sieben Uhr!", 1),
        ("Schalte das Licht ein. Wie spät. Stell den Wecker auf sieben Uhr!", 1),  # 2 of 4 words are gone
        ("Schalte das Licht ein. Wie spät ist. Stell den Wecker auf sieben Uhr!", 0),  # 1 of 4
        ("Schalte das Licht ein. Nie steht ein das. Stell den Wecker auf sieben Uhr!", 0),  # misheard, not lost
        (LONG + " " + LONG, 0),
    ],
)
def test_lost_sentences(hypothesis, lost):
    assert lost_sentences(LONG, hypothesis) == lost


def test_a_recording_without_words_loses_no_sentence():
    assert lost_sentences("", "vielen Dank") == 0
    assert lost_sentences("... ! Ja.", "ja") == 0
