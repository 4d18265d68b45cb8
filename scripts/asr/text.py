"""What is done to a transcript before training: spelling stays, encoding accidents go.

    clean("Gru\u0308n  ist\tes.")                                         # "Grün ist es."
    clean("(7시)/(일곱 시)에 b/ 만나요", TextRules(korean="spoken"))          # "일곱 시에 만나요"
    foreign_characters("Tür и", "de", TextRules())                       # "и"

Case and punctuation are kept unless told otherwise, since the model is to write them.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import regex

# Whisper writes no space before a text in these languages (openai-whisper, `split_to_word_tokens`).
SPACELESS = frozenset({"zh", "ja", "th", "lo", "my", "yue"})

# The scripts that a language's letters come from. Names and loanwords in Latin letters are part of every written language.
LATIN = ("Latin",)
SCRIPTS = dict.fromkeys(
    [
        "de",
        "en",
        "fr",
        "es",
        "it",
        "nl",
        "pt",
        "pl",
        "cs",
        "sk",
        "sl",
        "hr",
        "hu",
        "ro",
        "sv",
        "da",
        "no",
        "fi",
        "et",
        "lv",
        "lt",
        "tr",
        "vi",
        "id",
        "ms",
        "ca",
        "gl",
        "eu",
        "cy",
        "is",
        "mt",
        "sq",
        "af",
        "sw",
        "tl",
    ],
    LATIN,
) | {
    **dict.fromkeys(("ru", "uk", "be", "bg", "mk", "kk", "mn", "tg", "tt", "ba"), ("Cyrillic", *LATIN)),
    "zh": ("Han", *LATIN),
    "yue": ("Han", *LATIN),
    "ja": ("Han", "Hiragana", "Katakana", *LATIN),
    "ko": ("Hangul", "Han", *LATIN),
    "el": ("Greek", *LATIN),
    "he": ("Hebrew", *LATIN),
    "ar": ("Arabic", *LATIN),
    "fa": ("Arabic", *LATIN),
    "hi": ("Devanagari", *LATIN),
    "th": ("Thai", *LATIN),
    "ka": ("Georgian", *LATIN),
    "hy": ("Armenian", *LATIN),
}

# They are no sign of their own, and a tokenizer would take them for one: zero width space, word joiner, byte order mark,
# soft hyphen, marks of direction, control characters but white space. Joiners within words are spelling and stay.
MARKS = "\u200b\u2060\ufeff\u00ad\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
CONTROLS = (*range(9), *range(14, 28), *range(0x7F, 0x85), *range(0x86, 0xA0))
INVISIBLE = str.maketrans("", "", MARKS + "".join(map(chr, CONTROLS)))
# Apostrophes and hyphens inside a word are spelling: "geht's", "по-прежнему".
PUNCTUATION = regex.compile(r"(?<!\w)['’‑-]|['’‑-](?!\w)|[^\w\s\p{S}\p{M}'’‑-]|_")
# KsponSpeech's two readings, as written and as spoken, and its marks for breath, noise and laughter, repeats and doubt.
KOREAN_READINGS = regex.compile(r"\(([^()]*)\)\s*/\s*\(([^()]*)\)")
KOREAN_MARKS = regex.compile(r"(?<!\w)[bnlou]/|[*+]")


@dataclass(frozen=True)
class TextRules:
    """How a language's transcripts are cleaned and checked; the fields are described in `params.Text`."""

    lower_case: bool = False
    punctuation: bool = True
    simplified: bool = False
    korean: str = "keep"
    scripts: tuple[str, ...] | None = None
    characters_a_second: tuple[float, float] = (0.2, 40.0)


def rules_of(values: Mapping[str, Mapping]) -> dict[str, TextRules]:
    """Rules by language, from `params.Text` by name."""
    return {
        language: TextRules(
            **{name: tuple(value) if isinstance(value, list) else value for name, value in rule.items()}
        )
        for language, rule in values.items()
    }


def clean(text: str, rules: TextRules = TextRules(), language: str = "") -> str:
    """`text` in Unicode NFC (one code point for "ü"), each run of white space a single space, none at the ends.

    What `rules` ask for beyond that is done in this order: Korean readings, simplified characters, lower case, punctuation.
    """
    text = unicodedata.normalize("NFC", text).translate(INVISIBLE)
    if rules.korean != "keep" and language in ("ko", ""):
        text = KOREAN_READINGS.sub(r"\1" if rules.korean == "written" else r"\2", text)
        text = KOREAN_MARKS.sub(" ", unicodedata.normalize("NFKC", text))
    if rules.simplified:
        text = _to_simplified().convert(text)
    if rules.lower_case:
        text = unicodedata.normalize("NFC", text.lower())
    if not rules.punctuation:
        text = PUNCTUATION.sub("" if language in SPACELESS else " ", text)
    return " ".join(text.split())


def foreign_characters(text: str, language: str, rules: TextRules) -> str:
    """The letters of a clean text that its language does not write with, each once; none where that is not known."""
    scripts = SCRIPTS.get(language, ()) if rules.scripts is None else rules.scripts
    return "".join(dict.fromkeys(_foreign(tuple(scripts)).findall(text))) if scripts else ""


def spoken_characters(text: str) -> int:
    """Letters, digits and symbols: what takes time to say."""
    return sum(1 for character in text if not unicodedata.category(character).startswith(("P", "Z", "M")))


@cache
def _foreign(scripts: tuple[str, ...]) -> regex.Pattern:
    own = "".join(rf"\p{{Script={script}}}" for script in (*scripts, "Common", "Inherited"))
    return regex.compile(rf"(?![{own}])\p{{L}}")


@cache
def _to_simplified():
    import opencc  # only where Chinese is to be simplified

    return opencc.OpenCC("t2s")
