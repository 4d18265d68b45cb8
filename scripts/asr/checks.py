"""What a recording and its transcript must satisfy to be trained on or judged by.

    checks = Checks(tokenizer_file=…, min_seconds=0.3, max_seconds={"general": 30.0}, min_peak=0.001, max_tokens=440)
    checks.prepare(utterance)      # as it comes from a reader -> mono 16 kHz FLAC and clean text, or a Rejected

`prepare` is a pure function of its utterance, so that any number of processes gives the same result.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from asr.audio import SAMPLE_RATE, CorruptAudio, decode, encode_flac
from asr.text import clean
from asr.utterance import Rejected, Utterance

WINDOW_SECONDS = 30.0  # what the encoder hears at once: a longer recording cannot be one training window


@dataclass(frozen=True)
class Checks:
    """The limits; seconds, a share of full scale, text tokens."""

    tokenizer_file: Path
    min_seconds: float
    max_seconds: dict[str, float]  # by source
    min_peak: float
    max_tokens: int

    def prepare(self, utterance: Utterance) -> Utterance | Rejected:
        """The utterance with FLAC bytes, its length and a clean text, or the first check that it fails."""
        text = clean(utterance.text)
        tokens = len(_tokenizer(self.tokenizer_file).encode(text, add_special_tokens=False))
        if tokens > self.max_tokens:
            return _reject(
                utterance, "too_many_tokens", f"{tokens} text tokens, at most {self.max_tokens}: {text[:80]}…"
            )
        try:
            waveform = decode(utterance.audio)
        except CorruptAudio as error:
            return _reject(utterance, "unreadable_audio", str(error))
        seconds = len(waveform) / SAMPLE_RATE
        limit = self.max_seconds[utterance.source]
        if utterance.split != "test":
            limit = min(limit, WINDOW_SECONDS)
        if seconds < self.min_seconds:
            return _reject(utterance, "too_short", f"{seconds:.2f} s, at least {self.min_seconds} s")
        if seconds > limit:
            return _reject(utterance, "too_long", f"{seconds:.2f} s, at most {limit} s in {utterance.split}")
        peak = float(np.abs(waveform).max())
        if text and peak < self.min_peak:
            return _reject(utterance, "silent", f"loudest sample {peak:.6f}, at least {self.min_peak}")
        return replace(utterance, audio=encode_flac(waveform), text=text, seconds=seconds)


@lru_cache(maxsize=1)  # of the process: a `Checks` is pickled with each task
def _tokenizer(file: Path) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.encode_special_tokens = True  # "<|de|>" in a transcript is six characters, not a token
    return tokenizer


def _reject(utterance: Utterance, reason: str, detail: str) -> Rejected:
    return Rejected(utterance.id, utterance.source, utterance.split, utterance.speaker, reason, detail)
