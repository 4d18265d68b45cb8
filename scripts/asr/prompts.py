"""Prompts: what the decoder reads before a window, as runtimes give it an `initial_prompt`, hotwords and the text before.

    prompts = Prompts(settings)
    prompts.of(domain="kitchen", text="Ofen an.", previous=["Licht aus."], rng=rng)      # labels.Prompt

A model that is never prompted in training takes a prompt for speech, or forgets what it is for; one that always is needs it.
So each part comes with a probability.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from asr.errors import UserError
from asr.labels import Labeler, Prompt


@dataclass(frozen=True)
class PromptSettings:
    """What prompts hold how often; the fields are described in `params.Domain` and `params.Words`."""

    domain_mode: str = "none"
    domain_share: float = 1.0
    domain_texts: Mapping[str, str] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    words_share: float = 0.0
    most_words: int = 20


class Prompts:
    """Prompts of windows, drawn from each window's own generator."""

    def __init__(self, settings: PromptSettings):
        self._settings = settings

    def of(self, domain: str, text: str, previous: Sequence[str], rng: np.random.Generator) -> Prompt:
        """The prompt of a window.

        Args:
            domain: the utterances'.
            text: what is said, in which some of the words may come.
            previous: texts of what was said before, if the plan has drawn that there are any.
        """
        settings, token, about = self._settings, "", []
        if settings.domain_mode != "none" and domain and rng.random() < settings.domain_share:
            if settings.domain_mode == "token":
                token = domain
            else:
                about.append(self.domain_text(domain))
        if settings.words and rng.random() < settings.words_share:
            about.append(self._words(text, rng))
        return Prompt(token, tuple(about), tuple(previous))

    def domain_text(self, domain: str) -> str:
        """What stands for a domain in a prompt: its text of the parameters, else its name."""
        return self._settings.domain_texts.get(domain, domain)

    def for_evaluation(self) -> "Prompts":
        """The domain alone, always: what a user of the model would give."""
        told = self._settings.domain_mode != "none" and self._settings.domain_share > 0
        return Prompts(replace(self._settings, domain_share=float(told), words_share=0.0))

    def check(self, labeler: Labeler, spoken: Iterable[tuple[str, str]]) -> None:
        """Before training: the decoder has room for the longest prompt of each domain and language.

        Raises:
            UserError: it has not, or the tokenizer lacks a domain's token.
        """
        settings = self._settings
        for domain, language in sorted(set(spoken)):
            listed = self._longest_words(labeler, language) if settings.words_share else ()
            told = (self.domain_text(domain),) if settings.domain_mode == "prompt" else ()
            token = domain if settings.domain_mode == "token" else ""
            try:
                labeler.prompt(Prompt(token, (*told, *listed)), language)
            except ValueError as error:
                raise UserError(f"domain.texts or words, domain {domain!r}: {error}; shorten it") from None

    def _longest_words(self, labeler: Labeler, language: str) -> tuple[str, ...]:
        tokens = dict(zip(self._settings.words, labeler.count(self._settings.words, language), strict=True))
        words = sorted(tokens, key=tokens.__getitem__, reverse=True)[: self._settings.most_words]
        return (", ".join(words),)

    def _words(self, text: str, rng: np.random.Generator) -> str:
        """Those that are said, among others that are not: a list that is always right would be taken for the text."""
        words = list(self._settings.words)
        said = [word for word in words if word.casefold() in text.casefold()]
        others = [word for word in words if word not in said]
        room = max(self._settings.most_words - len(said), 0)
        count = int(rng.integers(min(len(others), room) + 1))
        listed = [*said[: self._settings.most_words], *rng.choice(others, count, replace=False)] if count else said
        return ", ".join(map(str, rng.permutation(listed[: self._settings.most_words])))
