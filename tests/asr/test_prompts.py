"""Prompts: each part as often as is said, words that are said among others, and room for all before training."""

import numpy as np
import pytest

from asr.errors import UserError
from asr.labels import Labeler, Prompt
from asr.prompts import Prompts, PromptSettings
from asr.vocabulary import whisper_tokenizer

WORDS = ("Flüsterwerk", "Torf", "Gießkanne", "Ofen")


def prompts(count=200, text="Die Gießkanne steht am Ofen.", previous=(), domain="garden", **settings):
    made = Prompts(PromptSettings(**settings))
    return [made.of(domain, text, previous, np.random.default_rng([seed, 0])) for seed in range(count)]


def test_nothing_is_said_unless_it_is_wished():
    assert set(prompts()) == {Prompt()}
    assert not Prompt()


def test_a_domain_is_told_as_text_or_as_a_token():
    texts = {"garden": "Im Garten."}
    assert set(prompts(domain_mode="prompt", domain_texts=texts)) == {Prompt(about=("Im Garten.",))}
    assert set(prompts(domain_mode="prompt", domain="cellar", domain_texts=texts)) == {Prompt(about=("cellar",))}
    assert set(prompts(domain_mode="token", domain_texts=texts)) == {Prompt(domain="garden")}
    assert set(prompts(domain_mode="token", domain="")) == {Prompt()}


def test_shares_are_probabilities_and_draws_are_the_windows():
    made = prompts(domain_mode="prompt", domain_share=0.3, words=WORDS, words_share=0.6)
    assert np.mean([any("garden" in part for part in prompt.about) for prompt in made]) == pytest.approx(0.3, abs=0.1)
    assert made == prompts(domain_mode="prompt", domain_share=0.3, words=WORDS, words_share=0.6)
    assert len(set(made)) > 10


def test_words_that_are_said_are_listed_among_others():
    listed = [set(prompt.about[0].split(", ")) for prompt in prompts(words=WORDS, words_share=1.0)]
    assert all({"Gießkanne", "Ofen"} <= words <= set(WORDS) for words in listed)
    assert {len(words) for words in listed} == {2, 3, 4}
    unsaid = prompts(text="Ja.", words=WORDS, words_share=1.0, most_words=2)
    assert {len(prompt.about[0].split(", ")) if prompt.about[0] else 0 for prompt in unsaid} == {0, 1, 2}


def test_the_previous_text_comes_last():
    (prompt, *_) = prompts(domain_mode="prompt", previous=("eins", "zwei"))
    assert (prompt.about, prompt.previous) == (("garden",), ("eins", "zwei"))


def test_an_evaluation_is_told_the_domain_alone_and_always():
    settings = PromptSettings("prompt", 0.2, words=WORDS, words_share=1.0)
    made = Prompts(settings).for_evaluation()
    assert {made.of("garden", "Torf", (), np.random.default_rng(seed)) for seed in range(50)} == {
        Prompt(about=("garden",))
    }
    never = Prompts(PromptSettings("prompt", 0.0)).for_evaluation()
    assert not never.of("garden", "Torf", (), np.random.default_rng(0))


def test_a_prompt_that_has_no_room_is_said_before_training():
    labeler = Labeler(whisper_tokenizer(80))
    Prompts(PromptSettings("prompt", domain_texts={"garden": "viel " * 200})).check(labeler, [("garden", "de")])
    with pytest.raises(UserError, match=r"domain 'garden': a prompt of \d+ tokens, at most 223.*shorten it"):
        Prompts(PromptSettings("prompt", domain_texts={"garden": "viel " * 250})).check(labeler, [("garden", "de")])
    with pytest.raises(UserError, match=r"tokens, at most 223"):
        long = tuple(f"Donaudampfschifffahrtsgesellschaft{i}" for i in range(30))
        Prompts(PromptSettings(words=long, words_share=0.1, most_words=30)).check(labeler, [("garden", "de")])
    few = tuple("ელექტროფიკაცია"[i:] + "ელექტროფიკაცია" for i in range(10))  # fewer characters, many more tokens
    many = tuple(f"incomprehensibilities and misunderstandings {i}" for i in range(10))
    with pytest.raises(UserError, match=r"tokens, at most 223"):
        Prompts(PromptSettings(words=(*many, *few), words_share=0.1, most_words=10)).check(labeler, [("garden", "de")])
    with pytest.raises(UserError, match=r"no token <\|domain:garden\|>"):
        Prompts(PromptSettings("token")).check(labeler, [("garden", "de")])
