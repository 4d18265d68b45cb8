"""What engines that decode clips have in common: how much is written at most, in which order, from which windows.

    for positions in clip_batches(waveforms, 16):
        features = encoder_windows([waveforms[i] for i in positions], filters, "cpu")     # float32 [batch, mels, 3000]

An engine is called with waveforms (float32 `[samples]`, 16 kHz) and the language that they are in (Whisper's code). It
yields the position of a waveform and its transcript as it goes, not in order; it never guesses the language.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from asr.errors import UserError
from asr.features import compose, log_mels
from asr.whisper_shape import MAX_TOKENS, SAMPLE_RATE, WINDOW_FRAMES, WINDOW_SAMPLES

# A model that rambles is stopped at what speech could hold: fast German has about 7 tokens a second, and Whisper's
# decoder has room for 15 (448 in 30 s). Without it an untrained model writes 448 tokens for each word it hears.
TOKENS_A_SECOND = 15
EXTRA_TOKENS = 16  # a clip of one word has little but its word
MOST_TOKENS = MAX_TOKENS // 2  # as in openai-whisper (`sample_len`) and in CTranslate2


def max_tokens(samples: int) -> int:
    """The most text tokens that greedy decoding writes for a clip of so many samples."""
    return min(int(samples / SAMPLE_RATE * TOKENS_A_SECOND) + EXTRA_TOKENS, MOST_TOKENS)


def longest_first(waveforms: Sequence[np.ndarray]) -> list[int]:
    """What does not fit into memory fails at once, and the ETA errs on the safe side."""
    return sorted(range(len(waveforms)), key=lambda i: -len(waveforms[i]))


def clip_batches(waveforms: Sequence[np.ndarray], size: int) -> Iterator[list[int]]:
    """Clips of like length together: none waits for the many words of another."""
    order = longest_first(waveforms)
    if order and len(waveforms[order[0]]) > WINDOW_SAMPLES:
        raise ValueError("a clip of over 30 s; only faster-whisper's own engines take it")
    for start in range(0, len(order), size):
        yield order[start : start + size]


def encoder_windows(clips: list[np.ndarray], filters: np.ndarray, device: str) -> np.ndarray:
    """float32 `[batch, mels, 3000]`."""
    return np.stack([compose([(log_mel, 0)], WINDOW_FRAMES) for log_mel in log_mels(clips, filters, device)])


def read_suppressed(file: Path) -> tuple[list[int], list[int]]:
    """What generation_config.json says is never written, and what is never written first.

    Raises:
        UserError: it is no JSON object.
        FileNotFoundError: there is none.
    """
    try:
        if not isinstance(given := json.loads(file.read_text(encoding="utf-8")), dict):
            raise ValueError("no JSON object")
    except ValueError as error:
        raise UserError(f"{file}: cannot be read; make the export again: {error}") from error
    return given.get("suppress_tokens") or [], given.get("begin_suppress_tokens") or []


def text_tokens(tokens: list[int], end: int, limit: int) -> list[int]:
    """What stands before the end; ids from the end on are control tokens and timestamps.

    Cut to the clip's own limit, so that a transcript does not depend on its neighbours in the batch.
    """
    if end in tokens:
        tokens = tokens[: tokens.index(end)]
    return [token for token in tokens[:limit] if token < end]
