"""An evaluation of three models, made up from a seed: for the page, which is to show any."""

import random
from collections.abc import Sequence

import jiwer
import numpy as np

from asr.audio import encode_flac
from asr.page import Curve, Difference, Gate, Hypothesis, Judgement, Model, Row, TestSet

MODELS = (Model("base_model", "base"), Model("merge_lora", "tuned"), Model("convert_to_faster/int8", "exported"))
WRONG = {"base_model": 0.35, "merge_lora": 0.06, "convert_to_faster/int8": 0.08}  # share of the words
SENTENCES = """schalte das licht im wohnzimmer ein wie spät ist es morgen regnet nicht über den hafen bitte lauter fünf
minuten später öffne die haustür grüße an alle"""
GERMAN = SENTENCES.split()
CHINESE = "今天的天气很好我们去公园走请打开客厅灯现在几点"


def words_of(number: int, rng: random.Random) -> list[str]:
    return rng.choices(GERMAN if number % 4 else CHINESE, k=rng.randint(4, 14))


def written(words: Sequence[str], wrong: float, rng: random.Random) -> list[str]:
    """The words with errors of all three kinds."""
    out = []
    for word in words:
        chance = rng.random() / wrong
        if chance < 0.6:
            out.append(f"{word[:-1]}ß" if len(word) > 1 else "田")
        elif 0.8 <= chance < 1:
            out += [word, word]
        elif chance >= 1:
            out.append(word)
    return out


def tone(seconds: float, pitch: float) -> bytes:
    """A tone as FLAC."""
    time = np.arange(round(16_000 * seconds)) / 16_000
    return encode_flac((0.3 * np.sin(2 * np.pi * pitch * time)).astype(np.float32))


def some_rows(count: int, seed: int = 0) -> list[Row]:
    """Every fourth is Chinese, counted by character."""
    rng = random.Random(seed)
    rows = []
    for number in range(count):
        words = words_of(number, rng)
        gap = " " if number % 4 else ""
        hypotheses = {}
        for model in MODELS:
            of_model = written(words, WRONG[model.name], rng)
            text = gap.join(of_model)
            hypotheses[model.name] = Hypothesis(text[:1].upper() + text[1:], of_model)
        text = gap.join(words)
        seconds = round(0.4 * len(words) + rng.random(), 3)
        groups = {
            "speaker": f"s/{number % 11}",
            "domain": ("home", "street")[number % 2],
            "duration": "under 3 s" if seconds < 3 else "3 s and more",
        }
        test_set = "general" if number % 4 else "chinese"
        rows.append(
            Row(f"{test_set}/{number}", test_set, text[:1].upper() + text[1:], words, hypotheses, seconds, groups)
        )
    return rows


def figures_of(rows: Sequence[Row], model: str) -> dict[str, float]:
    """Error rates of a model on these rows, and bounds, which are made up."""
    found = jiwer.process_words(
        [" ".join(row.words) for row in rows], [" ".join(row.hypotheses[model].words) for row in rows]
    )
    words = found.hits + found.substitutions + found.deletions
    errors = {name: getattr(found, name) for name in ("substitutions", "deletions", "insertions")}
    return {
        "wer": found.wer,
        "wer_low": 0.8 * found.wer,
        "wer_high": 1.25 * found.wer,
        "cer": 0.5 * found.wer,
        "cer_low": 0.4 * found.wer,
        "cer_high": 0.6 * found.wer,
        "words": words,
        **errors,
    }


def some_judgement(count: int = 40, sounds: int = 8, seed: int = 0, **changes) -> Judgement:
    """`count` rows, the first `sounds` with a recording."""
    rows = some_rows(count, seed)
    sets = {name: [row for row in rows if row.test_set == name] for name in ("general", "chinese")}
    names = [model.name for model in MODELS]
    groups = {}
    for kind in ("speaker", "domain", "duration"):
        for value in sorted({row.groups[kind] for row in rows}):
            of_value = [row for row in rows if row.groups[kind] == value]
            groups.setdefault(kind, {})[value] = {name: figures_of(of_value, name) for name in names}
    values = {
        "models": MODELS,
        "test_sets": [TestSet("general", "de"), TestSet("chinese", "zh", "character", "cer")],
        "figures": {name: {key: figures_of(of_set, name) for key, of_set in sets.items()} for name in names},
        "rows": rows,
        "audio": {row.id: tone(row.seconds, 220 + 20 * i) for i, row in enumerate(rows[:sounds])},
        "differences": [
            Difference("merge_lora", "base_model", "general", -0.29, -0.33, -0.24, 0.0002, 1.0, 0.04),
            Difference("convert_to_faster/int8", "base_model", "general", -0.27, -0.31, -0.22, 0.0002, 1.0),
        ],
        "gates": [
            Gate("merge_lora general wer - base_model general wer", -0.29, (-0.31, -0.27), "at most 0", True),
            Gate("|convert_to_faster/int8 general wer - merge_lora general wer|", 0.021, None, "at most 0.01", False),
        ],
        "silence": {
            "base_model": {"clips": 14, "with_text": 0.5, "phantom": 0.25, "no_speech_probability": 0.125},
            "convert_to_faster/int8": {"clips": 14, "with_text": 0.0, "phantom": 0.0},
        },
        "groups": groups,
        "curves": [
            Curve("train_german_model loss", [(10 * i, 12 / (1 + i / 8)) for i in range(1, 80)]),
            Curve("train_german_model wer", [(100, 1.2), (200, 0.7), (300, 0.2), (400, 0.15), (500, 0.16)]),
        ],
        "notes": ["Normaliser whisper-basic 1, a3f09b12c4d5e6f7. Intervals from 10,000 resamples of 11 speakers."],
    }
    return Judgement(**values | changes)
