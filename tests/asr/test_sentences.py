"""Laws of the sentence grammars."""

import re
from collections import Counter
from math import prod

import pytest

from asr.sentences import GENERAL, KITCHEN, Sentences, split_sentences, words

GRAMMARS = pytest.mark.parametrize("grammar", [GENERAL, KITCHEN], ids=["general", "kitchen"])


def possible(grammar: dict[str, str], slot: str = "sentence") -> int:
    """How many sentences the grammar can make (those that two ways lead to count twice)."""
    alternatives = grammar[slot].split("|")
    return sum(prod(possible(grammar, name) for name in re.findall(r"\{(\w+)\}", text)) for text in alternatives)


def draw(grammar: dict[str, str], count: int, seed: int = 0) -> list[str]:
    sentences = Sentences(grammar, seed)
    return [sentences.draw() for _ in range(count)]


@GRAMMARS
def test_the_seed_decides(grammar):
    assert draw(grammar, 200, seed=1) == draw(grammar, 200, seed=1)
    assert set(draw(grammar, 50, seed=1)) != set(draw(grammar, 50, seed=2))


@GRAMMARS
def test_a_sentence_reads_like_a_transcript(grammar):
    for sentence in draw(grammar, 3000):
        assert re.fullmatch(r"[A-ZÄÖÜ][A-Za-zÄÖÜäöüß, ]+[.?!]", sentence), sentence  # numbers are words
        assert 3 <= len(words(sentence)) <= 10, sentence
        assert "  " not in sentence


@GRAMMARS
def test_slots_all_exist_and_are_all_used(grammar):
    named = {name for text in grammar.values() for name in re.findall(r"\{(\w+)\}", text)}
    assert named | {"sentence"} == set(grammar)


def test_there_are_far_more_sentences_than_clips():
    assert possible(GENERAL) > 8_000
    assert possible(KITCHEN) > 3_500


def test_vocabularies_are_small_and_every_word_is_frequent():
    for grammar, size, smallest, largest in ((GENERAL, 1800, 150, 250), (KITCHEN, 400, 80, 120)):
        counts = Counter(word for text in draw(grammar, size) for word in words(text))
        assert smallest <= len(counts) <= largest
        assert min(counts.values()) >= 5, counts.most_common()[-5:]


def test_the_kitchen_has_mostly_words_of_its_own():
    general, kitchen = ({word for text in draw(g, 5000) for word in words(text)} for g in (GENERAL, KITCHEN))
    assert len(kitchen - general) / len(kitchen) > 0.7


@GRAMMARS
def test_joined_sentences_divide_again(grammar):
    sentences = draw(grammar, 500)
    assert split_sentences(" ".join(sentences)) == sentences


def test_splitting_at_the_edges():
    assert split_sentences("") == []
    assert split_sentences("Ja.") == ["Ja."]
    assert split_sentences("Sage Anna, ich komme. Wann?  Jetzt") == ["Sage Anna, ich komme.", "Wann?", "Jetzt"]
