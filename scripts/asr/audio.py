"""Recordings of any kind to what Whisper hears: one channel, 16 kHz, float32 in [-1, 1].

    waveform = decode(Path("clip.mp3").read_bytes())     # [samples]
    flac = encode_flac(waveform)

soundfile reads WAV, FLAC, OGG, Opus and MP3; PyAV (FFmpeg's libraries) reads what it cannot: m4a, webm, mp4.
"""

import io
from pathlib import Path

import numpy as np
import soundfile
import soxr

from asr.whisper_shape import SAMPLE_RATE

LOWEST_RATE = 1_000  # Hz; a header that says less is broken, and resampling would fill the memory


class CorruptAudio(ValueError):
    """Bytes that hold no usable recording; the message says why."""


def decode(source: bytes | Path) -> np.ndarray:
    """The recording as float32 `[samples]`, mixed down to one channel and resampled to 16 kHz (soxr, HQ).

    Raises:
        CorruptAudio: neither soundfile nor PyAV can read it, or it holds no samples, or NaN or infinite ones, or its
            rate cannot be true.
    """
    content = source.read_bytes() if isinstance(source, Path) else source
    if not content:
        raise CorruptAudio("0 bytes")
    try:
        channels, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)  # [samples, channels]
    except (soundfile.SoundFileError, ValueError) as error:
        channels, rate = _decode_with_av(content, str(error))
    if not len(channels):
        raise CorruptAudio("no samples")
    if not np.isfinite(channels).all():
        raise CorruptAudio("NaN or infinite samples")
    if rate < LOWEST_RATE:
        raise CorruptAudio(f"a rate of {rate} Hz")
    mono = channels.mean(axis=1)
    if rate == SAMPLE_RATE:
        return mono
    try:
        resampled = soxr.resample(mono, rate, SAMPLE_RATE, quality="HQ")
    except (ValueError, RuntimeError) as error:
        raise CorruptAudio(f"a rate of {rate} Hz: {error}") from error
    if not len(resampled):
        raise CorruptAudio(f"no samples: {len(mono)} at {rate} Hz")
    return resampled


def encode_flac(waveform: np.ndarray, rate: int = SAMPLE_RATE) -> bytes:
    """float32 `[samples]` as 16-bit FLAC; samples outside [-1, 1] are clipped."""
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform, rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def _decode_with_av(content: bytes, soundfile_says: str) -> tuple[np.ndarray, int]:
    """`[samples, channels]` and the rate of the first audio stream."""
    import av  # 0.1 s that most corpora never need

    try:
        with av.open(io.BytesIO(content)) as container:
            if not container.streams.audio:
                raise CorruptAudio("no audio stream")
            resampler = av.AudioResampler(format="fltp")  # planar float32; layout and rate stay the stream's own
            planes, rate = [], container.streams.audio[0].rate or 0  # 0: the file does not say
            for frame in container.decode(audio=0):
                planes += [out.to_ndarray() for out in resampler.resample(frame)]  # [channels, samples]
            planes += [out.to_ndarray() for out in resampler.resample(None)] if planes else []
            samples = np.concatenate(planes, axis=1).T if planes else np.zeros((0, 1), np.float32)
    except (av.FFmpegError, ValueError, ZeroDivisionError) as error:  # PyAV divides by a rate of 0
        if isinstance(error, CorruptAudio):
            raise
        raise CorruptAudio(f"soundfile: {soundfile_says}; PyAV: {error}") from error
    return samples, rate
