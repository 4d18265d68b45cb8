"""What a recording and its transcript must satisfy to be trained on or judged by.

    checks = Checks(tokenizer_file=…, min_seconds=0.3, max_seconds={"general": 30.0}, min_peak=0.001, max_tokens=440)
    checks.prepare(utterance)      # as it comes from a reader -> mono 16 kHz FLAC and clean text, or a Rejected

`prepare` is a pure function of its item, so that any number of processes gives the same result; what only shows beside
other items, a repetition, is `Seen`'s.
"""

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from asr.audio import CorruptAudio, decode, encode_flac
from asr.labels import plain_tokenizer, spoken
from asr.text import clean
from asr.utterance import Rejected, Utterance
from asr.whisper_shape import SAMPLE_RATE, WINDOW_SECONDS


@dataclass(frozen=True)
class Checks:
    """The limits; seconds, a share of full scale, text tokens."""

    tokenizer_file: Path
    min_seconds: float
    max_seconds: dict[str, float]  # by source
    min_peak: float
    max_tokens: int

    def prepare(self, utterance: Utterance | Rejected) -> Utterance | Rejected:
        """The utterance with FLAC bytes, its length and a clean text, or the first check that it fails.

        What a reader has rejected stays as it is.
        """
        if isinstance(utterance, Rejected):
            return utterance
        text = clean(utterance.text)
        tokens = self.tokens(text, utterance.language)
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
        if utterance.split != "test":  # a longer recording cannot be one training window
            limit = min(limit, WINDOW_SECONDS)
        if seconds < self.min_seconds:
            return _reject(utterance, "too_short", f"{seconds:.2f} s, at least {self.min_seconds} s")
        if seconds > limit:
            return _reject(utterance, "too_long", f"{seconds:.2f} s, at most {limit} s in {utterance.split}")
        peak = float(np.abs(waveform).max())
        if text and peak < self.min_peak:
            return _reject(utterance, "silent", f"loudest sample {peak:.6f}, at least {self.min_peak}")
        return replace(utterance, audio=encode_flac(waveform), text=text, seconds=seconds)

    def tokens(self, text: str, language: str) -> int:
        """How many tokens the decoder is taught for a clean text: those of `asr.labels.Labeler`."""
        return len(_tokenizer(self.tokenizer_file).encode(spoken(text, language), add_special_tokens=False))


class Seen:
    """Rejects what a source holds twice: an id, or the same recording with the same text."""

    def __init__(self):
        self._digests: set[bytes] = set()

    def check(self, item: Utterance | Rejected) -> Utterance | Rejected:
        """The item, or its rejection as a repetition of an earlier utterance."""
        if isinstance(item, Rejected):
            return item
        content = f"{item.source}\0{item.text}\0".encode() + item.audio
        names = {"the id": item.id.encode(), "audio and text": content}
        digests = {name: hashlib.blake2b(value, digest_size=16).digest() for name, value in names.items()}
        repeated = [name for name, digest in digests.items() if digest in self._digests]
        if repeated:
            return _reject(item, "duplicate", f"{' and '.join(repeated)} of an earlier row")
        self._digests.update(digests.values())
        return item


@lru_cache(maxsize=1)  # of the process: a `Checks` is pickled with each task
def _tokenizer(file: Path) -> Tokenizer:
    return plain_tokenizer(file.read_text(encoding="utf-8"))


def _reject(utterance: Utterance, reason: str, detail: str) -> Rejected:
    return Rejected(utterance.id, utterance.source, utterance.split, utterance.speaker, reason, detail)
