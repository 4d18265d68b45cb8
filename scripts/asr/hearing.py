"""What each model wrote of each test set, how long it took, and how sure it was that nobody speaks.

    heard = listen([Judged("merge_lora", Path("outputs/merge_lora"), TRANSFORMERS, ("general",))], waveforms, languages, …)
    heard.texts["merge_lora", "general"]            # in the recordings' order
    heard.speed()                                   # {"merge_lora": {"general": {"seconds": 12.1, "real_time_factor": 0.02, …}}}

In: what is judged on what, and the recordings, float32 `[samples]` at 16 kHz, by test set. Each folder is opened once.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from asr.english import ENGLISH, knows_english_alone
from asr.errors import UserError
from asr.whisper_shape import SAMPLE_RATE

if TYPE_CHECKING:
    import numpy as np

TRANSFORMERS = "transformers"  # a decoding; the others are methods of `FasterWhisper`


@dataclass(frozen=True)
class Judged:
    """A model, or a way to decode an export, and the test sets that it is judged on."""

    model: str
    folder: Path
    decoding: str
    test_sets: tuple[str, ...]


@dataclass
class Heard:
    """By model and test set."""

    texts: dict[tuple[str, str], list[str]]
    seconds: dict[tuple[str, str], float] = field(default_factory=dict)  # of decoding
    no_speech: dict[tuple[str, str], list[float]] = field(default_factory=dict)  # P(<|nospeech|>) of each recording
    lengths: dict[str, float] = field(default_factory=dict)  # seconds of sound, by test set

    def speed(self) -> dict[str, dict[str, dict[str, float]]]:
        """Seconds of decoding, as a share of the sound's (real-time factor), and sound a second, by model and test set."""
        found: dict[str, dict[str, dict[str, float]]] = {}
        for (model, name), seconds in self.seconds.items():
            length = self.lengths[name]
            found.setdefault(model, {})[name] = {
                "seconds": round(seconds, 3),
                "real_time_factor": round(seconds / length, 5),
                "speech_seconds_a_second": round(length / max(seconds, 1e-9), 2),
            }
        return found


def listen(
    plan: Sequence[Judged],
    waveforms: "Mapping[str, Sequence[np.ndarray]]",
    languages: Mapping[str, str],
    silent: Sequence[str],
    batch: int,
    beam_size: int,
    threads: int,
) -> Heard:
    """Let every model hear its test sets; in `silent` ones models in transformers are also asked whether anybody speaks.

    Raises:
        UserError: it was interrupted, a folder cannot be opened, or an English model is to hear another language.
    """
    from asr.progress import progress

    require_languages(plan, languages)
    heard = Heard({(judged.model, name): [""] * len(waveforms[name]) for judged in plan for name in judged.test_sets})
    heard.lengths = {name: sum(map(len, clips)) / SAMPLE_RATE for name, clips in waveforms.items()}
    count = sum(map(len, heard.texts.values()))
    written = _written(plan, waveforms, languages, silent, batch, beam_size, threads, heard)
    try:
        for model, name, position, text in progress(written, count, "evaluation", "transcript"):
            heard.texts[model, name][position] = text
    except KeyboardInterrupt:
        raise UserError("interrupted: nothing is written; run the stage again") from None
    return heard


def require_languages(plan: Sequence[Judged], languages: Mapping[str, str]) -> None:
    """Raises `UserError` if a model that knows English alone is to hear a test set in another language."""
    english_alone = {judged.folder for judged in plan if knows_english_alone(judged.folder)}
    for judged in plan:
        others = [name for name in judged.test_sets if languages[name] != ENGLISH]
        if judged.folder in english_alone and others:
            sets = ", ".join(f"{name} ({languages[name]})" for name in others)
            raise UserError(
                f"{judged.model}: {judged.folder} knows English alone, and is to hear {sets}; judge it on test sets "
                "in English, or leave it out"
            )


def _written(
    plan, waveforms, languages, silent, batch, beam_size, threads, heard
) -> Iterator[tuple[str, str, int, str]]:
    """Model, test set, position and transcript, one folder after the other."""
    from asr.faster_engine import FasterWhisper
    from asr.transformers_engine import Transformers  # seconds; who only plans does without

    for folder, group in groupby(sorted(plan, key=lambda judged: judged.folder), lambda judged: judged.folder):
        judgements = list(group)
        if judgements[0].decoding == TRANSFORMERS:
            opened = Transformers(folder, batch)
            engines = {TRANSFORMERS: opened}
        else:
            opened = FasterWhisper(folder, batch, beam_size, threads)
            engines = {judged.decoding: getattr(opened, judged.decoding) for judged in judgements}
        for judged in judgements:
            for name in judged.test_sets:
                if name in silent and judged.decoding == TRANSFORMERS:
                    heard.no_speech[judged.model, name] = opened.no_speech_probabilities(waveforms[name])
                start = time.perf_counter()
                for position, text in engines[judged.decoding](waveforms[name], languages[name]):
                    yield judged.model, name, position, text
                heard.seconds[judged.model, name] = time.perf_counter() - start
