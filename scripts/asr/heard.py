"""Real recordings with what is said in them, for a proof on a few of them.

    heard = read_heard(Path("outputs/prepare_audio"), utterances=32)

In: prepare_audio's folder. Out: utterances of its dev split, always the same ones, in one language: the one asked for,
else the one that most of them are in.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr.audio import CorruptAudio, decode
from asr.errors import UserError
from asr.utterance import load_split
from asr.whisper_shape import WINDOW_SECONDS


@dataclass(frozen=True)
class Heard:
    """Recordings in one language, each at most 30 s, and what is said in them."""

    waveforms: Sequence[np.ndarray]  # float32 [samples]
    texts: Sequence[str]
    speakers: Sequence[str]
    language: str


def read_heard(audio_dir: Path, utterances: int, language: str | None = None) -> Heard:
    """At most so many of the dev split; none if a language is given that no recording is in.

    Raises:
        UserError: it has no transcribed recording of at most 30 s.
    """
    split = load_split(audio_dir, "dev")
    columns = (split[name] for name in ("text", "task", "language", "seconds"))
    rows = [
        (i, spoken)
        for i, (text, task, spoken, seconds) in enumerate(zip(*columns, strict=True))
        if text and task == "transcribe" and seconds <= WINDOW_SECONDS
    ]
    if not rows:
        raise UserError(
            f"{audio_dir}/dev: no transcribed recording of at most 30 s to compare an export with its model on"
        )
    if language is None:
        language = Counter(spoken for _, spoken in rows).most_common(1)[0][0]
    indices = [i for i, spoken in rows if spoken == language]
    chosen = split.select(sorted(np.random.default_rng(0).permutation(indices)[:utterances].tolist()))
    waveforms = []
    for id, audio in zip(chosen["id"], chosen["audio"], strict=True):
        try:
            waveforms.append(decode(audio))
        except CorruptAudio as error:
            raise UserError(
                f"{audio_dir}/dev: {id}: its recording cannot be read; run the stage prepare_audio again: {error}"
            ) from error
    return Heard(waveforms, chosen["text"][:], chosen["speaker"][:], language)
