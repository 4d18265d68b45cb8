"""Recordings of any kind to what Whisper hears: one channel, 16 kHz, float32 in [-1, 1].

    waveform = decode(Path("clip.mp3"))                                    # [samples]
    waveform = decode(Recording(Path("talk.mp4"), start=3.2, end=9.87))    # a stretch, without decoding what is before it
    flac = encode_flac(waveform)

soundfile reads WAV, FLAC, OGG, Opus and MP3; PyAV (FFmpeg's libraries) reads what it cannot: m4a, webm, mp4.
"""

import io
import math
import re
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from asr.recording import Recording
from asr.truncation import missing_end
from asr.whisper_shape import SAMPLE_RATE

LOWEST_RATE = 1_000  # Hz; a header that says less is broken, and resampling would fill the memory
# An MP3's header counts the encoder's delay and padding, up to 1,290 samples in 400 clips of Common Voice; lists round.
SLACK_SAMPLES = 4 * 1152
SLACK_SECONDS = 0.5
UNKNOWN_FRAMES = 2**40  # and more is what libsndfile says of a FLAC written into a pipe
STRAY_BYTES = 4_096  # after a WAV's sound: what some recorders leave there
PREROLL_SECONDS = 1.0  # decoded before a stretch: a codec's first frames after a jump are not right yet


class CorruptAudio(ValueError):
    """Bytes that hold no usable recording; the message says why."""


class TooLong(ValueError):
    """A recording is longer than it may be; `seconds` is how long, as far as is known."""

    def __init__(self, seconds: float):
        super().__init__(f"{seconds:.2f} s")
        self.seconds = seconds


def decode(source: Recording | Path | bytes, longest: float = math.inf) -> np.ndarray:
    """The recording as float32 `[samples]`, mixed down to one channel and resampled to 16 kHz (soxr, HQ).

    Args:
        longest: seconds; no more than that is held in memory, whatever a file says of itself.

    Raises:
        CorruptAudio: it cannot be read, neither soundfile nor PyAV knows what it is, it ends before its header says, it
            holds no samples, or NaN or infinite ones, or its rate cannot be true.
        TooLong: it is longer than `longest`.
    """
    recording = source if isinstance(source, Recording) else Recording(source)
    try:
        content = recording.open()
    except (OSError, ValueError) as error:  # no permission, a bad disk, a null byte in the name
        raise CorruptAudio(str(error)) from error
    if not (content.stat().st_size if isinstance(content, Path) else len(content.getbuffer())):
        raise CorruptAudio("0 bytes")
    try:
        channels, rate = _with_soundfile(content, recording.start, recording.end, longest)
    except (soundfile.SoundFileError, OverflowError, TypeError) as error:  # TypeError: a path that ends in .raw
        channels, rate = _with_av(content, recording.start, recording.end, longest, str(error))
    if not len(channels):
        raise CorruptAudio("no samples")
    if not np.isfinite(channels).all():
        raise CorruptAudio("NaN or infinite samples")
    mono = channels[:, 0] if channels.shape[1] == 1 else channels.mean(axis=1)
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


def _with_soundfile(
    content: Path | BinaryIO, start: float, end: float | None, longest: float
) -> tuple[np.ndarray, int]:
    """`[samples, channels]` and their rate."""
    with soundfile.SoundFile(content) as file:
        rate = file.samplerate
        if rate < LOWEST_RATE:
            raise CorruptAudio(f"a rate of {rate} Hz")
        if lie := lie_of_header(file.extra_info):
            raise CorruptAudio(lie)
        if file.frames >= UNKNOWN_FRAMES:
            raise soundfile.SoundFileRuntimeError("its header does not say how long it is")
        first, last = _stretch(start, end, file.frames, rate)
        if (last - first) / rate > longest:
            raise TooLong((last - first) / rate)
        if first:
            file.seek(first)
        samples = file.read(last - first, dtype="float32", always_2d=True)
        form = file.format
    if len(samples) + SLACK_SAMPLES < last - first:
        raise CorruptAudio(f"truncated: {len(samples) / rate:.2f} s of {(last - first) / rate:.2f} s")
    if end is None and form in ("MP3", "OGG"):
        whole = content.read_bytes() if isinstance(content, Path) else content.getbuffer().tobytes()
        if missing := missing_end(whole, form):
            raise CorruptAudio(f"truncated: {missing}")
    return samples, rate


def lie_of_header(log: str) -> str:
    """How a header contradicts a file's bytes, by libsndfile's log; libsndfile itself reads what it can in silence.

    A recorder that writes into a pipe cannot know the length and claims the highest: that is no lie.
    """
    length = re.search(r"^Length *: *(\d+)", log, re.MULTILINE)
    for chunk, claimed, found in re.findall(
        r"^ *(data|SSND|Data Size) *: *(\d+)(?: \(should be (\d+)\))?", log, re.MULTILINE
    ):
        if found and int(found) < int(claimed) < 2**31 - 2**16:
            return f"its header says {claimed} bytes, there are {found}"
        unknown = "Unknown chunk marker" in log and length
        if chunk == "data" and unknown and int(length[1]) > int(claimed) + STRAY_BYTES:
            return f"its header says {claimed} bytes, but more sound follows: the file has {length[1]}"
    return ""


def _stretch(start: float, end: float | None, samples: int, rate: int) -> tuple[int, int]:
    """First and last sample of what is meant of so many."""
    first = round(start * rate)
    last = samples if end is None else round(end * rate)
    if (first and first >= samples) or last > samples + SLACK_SECONDS * rate or last < first:
        raise CorruptAudio(f"no stretch from {start:.2f} to {last / rate:.2f} s in {samples / rate:.2f} s")
    return first, min(last, samples)


def _with_av(
    content: Path | BinaryIO, start: float, end: float | None, longest: float, soundfile_says: str
) -> tuple[np.ndarray, int]:
    """`[samples, channels]` of the first audio stream, and their rate."""
    import av  # 0.1 s that most corpora never need

    if not isinstance(content, Path):
        content.seek(0)
    try:
        with av.open(str(content) if isinstance(content, Path) else content) as container:
            if not container.streams.audio:
                raise CorruptAudio("no audio stream")
            stream = container.streams.audio[0]
            rate = getattr(stream, "rate", 0) or 0  # 0: the file does not say; none: no codec for it
            if rate < LOWEST_RATE:
                raise CorruptAudio(f"a rate of {rate} Hz")
            if start > PREROLL_SECONDS:
                container.seek(int((start - PREROLL_SECONDS) * av.time_base))
            begins, samples = _frames(container, stream, rate, start, end, longest)
    except (av.FFmpegError, ValueError, ZeroDivisionError) as error:  # PyAV divides by a rate of 0
        if isinstance(error, CorruptAudio | TooLong):
            raise
        raise CorruptAudio(f"soundfile: {soundfile_says}; PyAV: {error}") from error
    if not start and end is None:
        return samples, rate
    first, last = _stretch(start - begins, None if end is None else end - begins, len(samples), rate)
    if (last - first) / rate > longest:
        raise TooLong((last - first) / rate)
    return samples[first:last], rate


def _frames(container, stream, rate: int, start: float, end: float | None, longest: float) -> tuple[float, np.ndarray]:
    """When what was decoded begins, in seconds, and it: `[samples, channels]`; no more than what is meant."""
    import av

    # Interleaved float32; layout and rate stay the stream's own. Planes of 8 and more channels PyAV reads past their end.
    resampler = av.AudioResampler(format="flt")
    blocks, begins, held = [], None, 0

    def convert(frame) -> list[np.ndarray]:
        return [out.to_ndarray().reshape(-1, out.layout.nb_channels) for out in resampler.resample(frame)]

    for frame in container.decode(stream):
        if begins is None:
            begins = max(frame.time or 0.0, 0.0)
        blocks += convert(frame)
        held += frame.samples
        if begins + held / rate > (end or math.inf) + SLACK_SECONDS:
            break
        if begins + held / rate - start > longest + SLACK_SECONDS:
            raise TooLong(float(container.duration or 0) / av.time_base or held / rate)
    blocks += convert(None) if blocks else []
    if not blocks:
        return start, np.zeros((0, 1), np.float32)
    samples = np.concatenate(blocks)
    claimed = float(container.duration or 0) / av.time_base
    if end is None and claimed - (begins + len(samples) / rate) > max(SLACK_SECONDS, 0.02 * claimed):
        raise CorruptAudio(f"truncated: {begins + len(samples) / rate:.2f} s of {claimed:.2f} s")
    if begins > start:  # the sound begins later than the picture
        silence = np.zeros((round((begins - start) * rate), samples.shape[1]), np.float32)
        begins, samples = start, np.concatenate([silence, samples])
    if end is None and not start and len(samples) / rate > longest:
        raise TooLong(len(samples) / rate)
    return begins, samples
