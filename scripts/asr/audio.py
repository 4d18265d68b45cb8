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

SAMPLE_RATE = 16_000  # samples a second


class CorruptAudio(ValueError):
    """Bytes that hold no usable recording; the message says why."""


def decode(source: bytes | Path) -> np.ndarray:
    """The recording as float32 `[samples]`, mixed down to one channel and resampled to 16 kHz (soxr, HQ).

    Raises:
        CorruptAudio: neither soundfile nor PyAV can read it, or it holds no samples, or NaN or infinite ones.
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
    mono = channels.mean(axis=1)
    return mono if rate == SAMPLE_RATE else soxr.resample(mono, rate, SAMPLE_RATE, quality="HQ")


def encode_flac(waveform: np.ndarray) -> bytes:
    """float32 `[samples]` at 16 kHz as 16-bit FLAC; samples outside [-1, 1] are clipped."""
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def _decode_with_av(content: bytes, soundfile_says: str) -> tuple[np.ndarray, int]:
    """`[samples, channels]` and the rate of the first audio stream."""
    import av  # 0.1 s that most corpora never need

    try:
        with av.open(io.BytesIO(content)) as container:
            if not container.streams.audio:
                raise CorruptAudio("no audio stream")
            resampler = av.AudioResampler(format="fltp")  # planar float32; layout and rate stay the stream's own
            planes, rate = [], container.streams.audio[0].rate
            for frame in container.decode(audio=0):
                planes += [out.to_ndarray() for out in resampler.resample(frame)]  # [channels, samples]
            planes += [out.to_ndarray() for out in resampler.resample(None)] if planes else []
    except (av.FFmpegError, ValueError) as error:
        if isinstance(error, CorruptAudio):
            raise
        raise CorruptAudio(f"soundfile: {soundfile_says}; PyAV: {error}") from error
    if not planes:
        raise CorruptAudio("no samples")
    return np.concatenate(planes, axis=1).T, rate
