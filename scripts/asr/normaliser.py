"""Normalisers: what two texts are compared as. A profile is a list of named steps; its hash travels with every figure.

    german = Normaliser.of("asr-german-mixed-evals")
    german("Er sagt: „Zweiundzwanzig Straßen“!")            # "er sagt 22 strassen"
    german.version                                          # 16 hex digits of the steps, and of the libraries in them

The same model is 4.75 % wrong by one profile and 2.63 % by another: figures of two profiles are no comparison.

Sources: `asr-german-mixed-evals`, the data set flozi00/asr-german-mixed-evals and the scorer on its card, step by step;
`whisper-*`, arXiv 2212.04356, appendix C, by openai-whisper itself.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import version

import regex

from asr.errors import UserError

_UMLAUTS = "äöüÄÖÜ"
_PUNCTUATION = regex.compile(r"[\p{P}\p{S}]+")
_SPACELESS = r"\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}"
_BETWEEN = regex.compile(rf"(?<=[{_SPACELESS}])\s+|\s+(?=[{_SPACELESS}])")


def words_of_any_script(text: str) -> str:
    """Lower case, with a space for all that is no letter, mark or digit; diacritics stay: "schön" is not "schon"."""
    text = unicodedata.normalize("NFC", text.lower())
    return " ".join("".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in text).split())


def _ascii_but_umlauts(text: str) -> str:
    from unidecode import unidecode

    return "".join(c if c in _UMLAUTS else unidecode(c) for c in unicodedata.normalize("NFC", text))


def _german_numbers(text: str) -> str:
    from text_to_num import alpha2digit

    return alpha2digit(text, "de")


def _jiwer_standardize(text: str) -> str:
    """jiwer's `wer_standardize`, but for its splitting into words."""
    return _jiwer_transforms()(text)


@cache
def _jiwer_transforms() -> Callable[[str], str]:
    from jiwer import transforms as of

    return of.Compose(
        [
            of.ToLowerCase(),
            of.ExpandCommonEnglishContractions(),
            of.RemoveKaldiNonWords(),
            of.RemoveWhiteSpace(replace_by_space=True),
            of.RemoveMultipleSpaces(),
            of.Strip(),
        ]
    )


@cache
def _whisper(name: str) -> Callable[[str], str]:
    from whisper import normalizers

    return getattr(normalizers, name)()


@cache
def _opencc() -> Callable[[str], str]:
    import opencc

    return opencc.OpenCC("t2s").convert


STEPS: dict[str, Callable[[str], str]] = {
    "nfc": lambda text: unicodedata.normalize("NFC", text),
    "nfkc": lambda text: unicodedata.normalize("NFKC", text),
    "lower_case": str.lower,
    "eszett_as_ss": lambda text: text.replace("ß", "ss"),
    "no_double_quotes": lambda text: text.replace(",,", "").replace('"', ""),
    "ascii_but_umlauts": _ascii_but_umlauts,
    "german_numbers_as_digits": _german_numbers,
    "no_brackets": lambda text: re.sub(r"\[.*?\]", "", text),
    "letters_and_digits": lambda text: re.sub(r"[^\w\s]", "", text),
    "punctuation_as_space": lambda text: _PUNCTUATION.sub(" ", text),
    "simplified_chinese": lambda text: _opencc()(text),
    "no_space_in_chinese": lambda text: _BETWEEN.sub("", text),
    "one_space": lambda text: " ".join(text.split()),
    "jiwer_standardize": _jiwer_standardize,
    "whisper_basic": lambda text: _whisper("BasicTextNormalizer")(text).strip(),
    "whisper_english": lambda text: _whisper("EnglishTextNormalizer")(text).strip(),
    "words_of_any_script": words_of_any_script,
}

# Raised with every change of a step's own code here; another release of what it calls counts by itself.
REVISION = 1
LIBRARIES = {
    "ascii_but_umlauts": "Unidecode",
    "german_numbers_as_digits": "text2num",
    "simplified_chinese": "OpenCC",
    "jiwer_standardize": "jiwer",
    "punctuation_as_space": "regex",
    "no_space_in_chinese": "regex",
    "whisper_basic": "openai-whisper",
    "whisper_english": "openai-whisper",
}

PROFILES: dict[str, tuple[str, ...]] = {
    "asr-german-mixed-evals": (
        "eszett_as_ss",
        "no_double_quotes",
        "ascii_but_umlauts",
        "german_numbers_as_digits",
        "no_brackets",
        "letters_and_digits",
        "one_space",
        "jiwer_standardize",
    ),
    "whisper-basic": ("whisper_basic",),
    "whisper-english": ("whisper_english",),
    "cjk": ("nfkc", "simplified_chinese", "lower_case", "punctuation_as_space", "no_space_in_chinese", "one_space"),
    "korean": ("nfkc", "lower_case", "punctuation_as_space", "one_space"),
    "words": ("words_of_any_script",),
    "none": (),
}
_OF_LANGUAGE = {"de": "asr-german-mixed-evals", "en": "whisper-english", "ko": "korean"}
_OF_LANGUAGE |= dict.fromkeys(("zh", "yue", "ja"), "cjk")


def profile_of(language: str) -> str:
    """The profile that a language is judged by unless another is chosen; "words" for most, which keeps diacritics."""
    return _OF_LANGUAGE.get(language, "words")


class Normaliser:
    """Steps, one after the other."""

    def __init__(self, name: str, steps: Sequence[str]):
        """Raises `UserError` if a step is unknown."""
        if unknown := [step for step in steps if step not in STEPS]:
            raise UserError(f"profile {name}: no step is called {unknown[0]}; there are {', '.join(STEPS)}")
        self.name, self.steps = name, tuple(steps)

    @classmethod
    def of(cls, name: str, own: Mapping[str, Sequence[str]] | None = None) -> "Normaliser":
        """A profile by its name, of those here or of the user's `own`."""
        profiles = PROFILES | dict(own or {})
        if name not in profiles:
            raise UserError(f"no profile is called {name}; there are {', '.join(profiles)}")
        return cls(name, profiles[name])

    def __call__(self, text: str) -> str:
        for step in self.steps:
            text = STEPS[step](text)
        return text

    @property
    def by_character(self) -> bool:
        """Whether what it leaves has no words to count, but characters."""
        return "no_space_in_chinese" in self.steps

    @property
    def profile(self) -> str:
        """Name and version, which stand beside each figure."""
        return f"{self.name} {self.version}"

    @property
    def version(self) -> str:
        """16 hex digits: another one where a step, their order or a library in them is another."""
        parts = [REVISION, *([step, version(LIBRARIES[step]) if step in LIBRARIES else ""] for step in self.steps)]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
