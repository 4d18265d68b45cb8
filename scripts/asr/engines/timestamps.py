"""Tokens with timestamps to segments, for engines that give nothing but tokens.

heard, end = split(tokens, first_timestamp=50364, seconds=12.4)
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from asr.whisper_shape import SAMPLE_RATE, TIMESTAMP_SECONDS

MAX_FIRST = 1.0  # seconds; the first timestamp is no later, as in openai-whisper
SHORTEST_REST = 0.1  # seconds, in which nothing more is looked for


@dataclass(frozen=True)
class Stretch:
    """Text tokens between two timestamps; `first` is the place of the first one among all tokens. Times in seconds."""

    start: float
    end: float
    tokens: list[int]
    first: int


def split(tokens: Sequence[int], first_timestamp: int, seconds: float) -> tuple[list[Stretch], float]:
    """The stretches, and where decoding has to go on; `seconds` where nothing is left.

    As openai-whisper's `transcribe`: two timestamps in a row end a stretch, and what follows the last pair is heard again
    from there, unless a single timestamp ends it. Without any timestamp all of it is one stretch.

    Args:
        tokens: as written, without control tokens before and after.
        first_timestamp: the id of <|0.00|>.
        seconds: what was heard.
    """
    stamped = [token >= first_timestamp for token in tokens]
    pairs = [i + 1 for i in range(len(tokens) - 1) if stamped[i] and stamped[i + 1]]
    closed = stamped[-2:] == [False, True]
    if not pairs:
        times = [(token - first_timestamp) * TIMESTAMP_SECONDS for token in tokens if token >= first_timestamp]
        start = times[0] if stamped[:1] == [True] else 0.0
        end = times[-1] if times and times[-1] > start else seconds
        first = next((i for i, is_time in enumerate(stamped) if not is_time), 0)
        text = [token for token in tokens if token < first_timestamp]
        return ([Stretch(start, min(end, seconds), text, first)] if text else []), seconds
    stretches, last = [], 0
    for place in [*pairs, *([len(tokens)] if closed else [])]:
        part = tokens[last:place]
        start, end = (
            (part[i] - first_timestamp) * TIMESTAMP_SECONDS if part[i] >= first_timestamp else 0.0 for i in (0, -1)
        )
        if text := [token for token in part if token < first_timestamp]:
            stretches.append(Stretch(start, min(end, seconds), text, last + (part[0] >= first_timestamp)))
        last = place
    ends = seconds if closed else (tokens[last - 1] - first_timestamp) * TIMESTAMP_SECONDS
    return stretches, min(ends, seconds)


def decode_on(
    waveform: np.ndarray, decode: Callable[[np.ndarray], tuple[list[int], object]], first_timestamp: int
) -> Iterator[tuple[float, Stretch, object]]:
    """Decode a waveform, and again from where the model has closed a stretch and left the rest open.

    Args:
        waveform: float32 `[samples]`, 16 kHz.
        decode: a waveform to its tokens, and whatever else is to be known of them.

    Yields:
        Where the waveform that was decoded starts in the whole one (seconds), a stretch in it, and what else.
    """
    at = 0
    while len(waveform) - at > SHORTEST_REST * SAMPLE_RATE:
        part = waveform[at:]
        tokens, more = decode(part)
        stretches, end = split(tokens, first_timestamp, len(part) / SAMPLE_RATE)
        for stretch in stretches:
            yield at / SAMPLE_RATE, stretch, more
        if not (ahead := round(end * SAMPLE_RATE)):
            break  # a pair <|0.00|><|0.00|>: the model would say the same again
        at += ahead


def timestamp_rules(written: Sequence[int], logits: np.ndarray, first_timestamp: int, end: int) -> None:
    """Set to -inf what may not follow where timestamps are written; openai-whisper's `ApplyTimestampRules`.

    They come in pairs, but at the start and before the end; they do not decrease; and where they are likelier together
    than any text, one of them is written.

    Args:
        written: tokens after the prompt.
        logits: of the next, `[vocabulary]`.
        first_timestamp, end: ids of <|0.00|>, of which the one before is <|notimestamps|>, and of <|endoftext|>.
    """
    logits[first_timestamp - 1] = -np.inf
    if not written:
        logits[:first_timestamp] = -np.inf
        logits[first_timestamp + round(MAX_FIRST / TIMESTAMP_SECONDS) + 1 :] = -np.inf
        return
    stamped = [token >= first_timestamp for token in written]
    if stamped[-1]:
        if len(written) < 2 or stamped[-2]:
            logits[first_timestamp:] = -np.inf
        else:
            logits[:end] = -np.inf
    if times := [token for token in written if token >= first_timestamp]:
        # A stretch has some length, so that the same time is not written for ever.
        least = times[-1] if stamped[-1] and not (len(written) < 2 or stamped[-2]) else times[-1] + 1
        logits[first_timestamp:least] = -np.inf
    text, stamps = logits[:first_timestamp].astype(np.float64), logits[first_timestamp:].astype(np.float64)
    most = stamps.max()
    if np.isfinite(most) and most + np.log(np.exp(stamps - most).sum()) > text.max():
        logits[:first_timestamp] = -np.inf
