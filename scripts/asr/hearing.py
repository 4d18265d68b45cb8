"""What each model wrote of each test set, how long it took, and what else it was asked of them.

    heard = listen(plan, waveforms, languages, Ways(batch=16, beam_size=5, threads=2, piece_seconds=30))
    heard.texts["merge_lora", "general"]            # in the recordings' order
    heard.speed()                                   # {"merge_lora": {"general": {"seconds": 12.1, "real_time_factor": 0.02, …}}}

In: what is judged on what, and the recordings, float32 `[samples]` at 16 kHz, by test set. Each folder is opened once.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

from asr.english import ENGLISH, knows_english_alone
from asr.errors import UserError
from asr.judged import TRANSFORMERS, Judged
from asr.whisper_shape import SAMPLE_RATE

if TYPE_CHECKING:
    import numpy as np

    from asr.transformers_engine import Start

Key = tuple[str, str]  # model and test set


@dataclass(frozen=True)
class Ways:
    """How engines decode; `piece_seconds` is the most that a model in transformers hears of a long recording at once."""

    batch: int
    beam_size: int
    threads: int
    piece_seconds: float


@dataclass
class Heard:
    """By model and test set; each list is in the recordings' order."""

    texts: dict[Key, list[str]]
    starts: "dict[Key, list[Start]]"
    timestamps: dict[Key, list[bool]]  # whether they are valid
    lengths: dict[str, float]  # seconds of sound, by test set
    seconds: dict[Key, float] = field(default_factory=dict)  # of decoding `texts`

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
    ways: Ways,
) -> Heard:
    """Let every model hear its test sets.

    Raises:
        UserError: it was interrupted, a folder cannot be opened, or an English model is to hear another language.
    """
    from asr.progress import progress

    require_languages(plan, languages)

    def empty(attribute: str) -> dict[Key, list]:
        return {(one.model, name): [None] * len(waveforms[name]) for one in plan for name in getattr(one, attribute)}

    lengths = {name: sum(map(len, clips)) / SAMPLE_RATE for name, clips in waveforms.items()}
    heard = Heard(empty("test_sets"), empty("started"), empty("timed"), lengths)
    count = sum(len(answers) for of in (heard.texts, heard.starts, heard.timestamps) for answers in of.values())
    said = _said(plan, waveforms, languages, ways, heard)
    try:
        for answers, position, answer in progress(said, count, "evaluation", "transcript"):
            answers[position] = answer
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


def _said(plan, waveforms, languages, ways: Ways, heard: Heard) -> Iterator[tuple[list, int, object]]:
    """A list of answers, a position in it and the answer, one folder after the other."""
    engine = None
    for _, group in groupby(sorted(plan, key=lambda judged: judged.folder), lambda judged: judged.folder):
        judgements = list(group)
        del engine  # no two are in memory at once
        give_back_memory()
        engine = _open(judgements[0], ways)
        for judged in judgements:
            for name in judged.test_sets:
                key, clips, language = (judged.model, name), waveforms[name], languages[name]
                start = time.perf_counter()
                for position, text in _decode(engine, judged, name, clips, language, ways):
                    yield heard.texts[key], position, text
                heard.seconds[key] = time.perf_counter() - start
                if judged.engine == "convert_to_faster":  # as long as it takes who decodes in this way alone
                    heard.seconds[key] += engine.seconds_saved()
                if name in judged.started:
                    for position, first in engine.starts(clips):
                        yield heard.starts[key], position, first
                if name in judged.timed:
                    for position, tokens in engine.with_timestamps(clips, language):
                        length = len(clips[position]) / SAMPLE_RATE
                        yield heard.timestamps[key], position, engine.has_valid_timestamps(tokens, length)


def give_back_memory() -> None:
    """What PyTorch keeps of a GPU's for itself, since the next engine may be another library's."""
    import torch

    torch.cuda.empty_cache()  # does nothing without a GPU


def _open(judged: Judged, ways: Ways):
    """Seconds each; who only plans does without the imports."""
    if judged.engine == TRANSFORMERS:
        from asr.transformers_engine import Transformers

        return Transformers(judged.folder, ways.batch)
    if judged.engine == "convert_to_faster":
        from asr.faster_engine import FasterWhisper

        return FasterWhisper(judged.folder, ways.batch, ways.beam_size, ways.threads)
    if judged.engine == "convert_to_ggml":
        from asr.whisper_cpp import WhisperCpp, open_in_child

        file = judged.folder / "ggml-model.bin"
        open_in_child(file, ways.threads)
        return WhisperCpp(file, ways.threads)
    from asr.onnx_engine import Onnx

    return Onnx(judged.folder, ways.batch, ways.threads)


def _decode(engine, judged: Judged, name: str, clips, language: str, ways: Ways) -> Iterator[tuple[int, str]]:
    if judged.engine == TRANSFORMERS and name in judged.long:
        return _in_pieces(engine, clips, language, ways.piece_seconds)
    return getattr(engine, judged.decoding)(clips, language)


def _in_pieces(engine, recordings, language: str, piece_seconds: float) -> Iterator[tuple[int, str]]:
    """Recordings of any length, cut where nobody speaks, as `transcribe` does."""
    from asr.pieces import cut

    for number, recording in enumerate(recordings):
        pieces = [piece.waveform for piece in cut([recording], piece_seconds)]
        texts = dict(engine.greedy(pieces, language))
        yield number, " ".join(texts[i] for i in range(len(pieces)))
