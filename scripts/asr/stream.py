"""A recording of any length, audio or video, decoded piecewise: what is held in memory does not grow with it.

    seconds(Path("talk.mp4"))                      # 5400.0; None where the file does not say
    for block in blocks(Path("talk.mp4")): ...     # float32 [samples], 16 kHz, 1 s each

As `audio.decode`, which holds a recording as a whole: soundfile reads what it can and PyAV the rest, channels are mixed
down, and soxr resamples with its state kept across blocks. A recording that ends too early is given as far as it goes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from asr.audio import LOWEST_RATE, SLACK_SAMPLES, SLACK_SECONDS, UNKNOWN_FRAMES, CorruptAudio, lie_of_header
from asr.truncation import missing_end
from asr.whisper_shape import SAMPLE_RATE

BLOCK_SECONDS = 1
PAGE_BYTES = 65_307  # at most, of an Ogg page (RFC 3533, section 6)


class Truncated(CorruptAudio):
    """A recording ends too early; all that could be decoded of it has been given."""


def seconds(path: Path) -> float | None:
    """How long a file says that it is; None: it does not, or cannot be read."""
    try:
        with soundfile.SoundFile(path) as file:
            if file.frames < UNKNOWN_FRAMES:
                return file.frames / file.samplerate
    except (soundfile.SoundFileError, TypeError):
        pass
    import av

    try:
        with av.open(str(path)) as container:
            return container.duration / av.time_base if container.duration else None
    except (av.FFmpegError, OSError, ValueError):
        return None


def blocks(path: Path) -> Iterator[np.ndarray]:
    """Float32 `[samples]` at 16 kHz, a second at a time, the last one shorter.

    Raises:
        CorruptAudio: as `audio.decode` does.
        Truncated: after the last block, if the recording ends before it says that it does.
    """
    try:
        empty = not path.stat().st_size
        with path.open("rb"):  # the file system's own words for what is wrong with it
            pass
    except (OSError, ValueError) as error:
        raise CorruptAudio(str(error)) from error
    if empty:
        raise CorruptAudio("0 bytes")
    held, samples, given = [], 0, 0
    try:
        for part in _resampled(path):
            held.append(part)
            samples += len(part)
            while samples >= BLOCK_SECONDS * SAMPLE_RATE:
                whole = np.concatenate(held)
                held, samples = [whole[BLOCK_SECONDS * SAMPLE_RATE :]], samples - BLOCK_SECONDS * SAMPLE_RATE
                given += 1
                yield whole[: BLOCK_SECONDS * SAMPLE_RATE]
    except Truncated:
        if samples:
            yield np.concatenate(held)
        if not samples and not given:
            raise CorruptAudio("no samples") from None
        raise
    if not samples and not given:
        raise CorruptAudio("no samples")
    if samples:
        yield np.concatenate(held)


def _resampled(path: Path) -> Iterator[np.ndarray]:
    """One channel at 16 kHz, in parts of any length."""
    resampler = rate_before = cut_off = None
    parts = _mono(path)
    while True:
        try:
            mono, rate = next(parts)
        except StopIteration:
            break
        except Truncated as error:
            cut_off = error
            break
        if not np.isfinite(mono).all():
            raise CorruptAudio("NaN or infinite samples")
        if rate != rate_before:
            if resampler is not None:
                raise CorruptAudio(f"its rate changes from {rate_before} to {rate} Hz")
            rate_before = rate
            resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
        yield mono if rate == SAMPLE_RATE else resampler.resample_chunk(mono)
    if resampler is not None and rate_before != SAMPLE_RATE:
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)
    if cut_off is not None:
        raise cut_off


def _mono(path: Path) -> Iterator[tuple[np.ndarray, int]]:
    """Parts of one channel, and their rate."""
    try:
        file = soundfile.SoundFile(path)
    except (soundfile.SoundFileError, TypeError) as error:  # TypeError: a path that ends in .raw
        yield from _with_av(path, str(error))
        return
    with file:
        if file.frames < UNKNOWN_FRAMES:
            yield from _with_soundfile(file, path)
            return
    yield from _with_av(path, "its header does not say how long it is")


def _with_soundfile(file: soundfile.SoundFile, path: Path) -> Iterator[tuple[np.ndarray, int]]:
    rate, claimed, read = file.samplerate, file.frames, 0
    if rate < LOWEST_RATE:
        raise CorruptAudio(f"a rate of {rate} Hz")
    while True:
        try:
            samples = file.read(BLOCK_SECONDS * rate, dtype="float32", always_2d=True)  # [samples, channels]
        except soundfile.SoundFileError as error:
            raise _early(f"cannot be decoded after {read / rate:.2f} s: {error}", read) from error
        if not len(samples):
            break
        read += len(samples)
        yield samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1), rate
    if lie := lie_of_header(file.extra_info):
        raise Truncated(lie)
    if read + SLACK_SAMPLES < claimed:
        raise Truncated(f"truncated: {read / rate:.2f} s of {claimed / rate:.2f} s")
    if file.format in ("MP3", "OGG") and (missing := _missing_end(path, file.format)):
        raise Truncated(f"truncated: {missing}")


def _with_av(path: Path, soundfile_says: str) -> Iterator[tuple[np.ndarray, int]]:
    import av

    read, rate, begins = 0, 0, None
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise CorruptAudio("no audio stream")
            stream = container.streams.audio[0]
            rate = getattr(stream, "rate", 0) or 0  # 0: the file does not say; none: no codec for it
            if rate < LOWEST_RATE:
                raise CorruptAudio(f"a rate of {rate} Hz")
            resampler = av.AudioResampler(format="flt", rate=rate)  # interleaved; planes of 8 channels are misread
            for frame in container.decode(stream):
                if begins is None:
                    begins = max(frame.time or 0.0, 0.0)
                    for _ in range(int(begins)):  # the sound begins later than the picture
                        yield np.zeros(rate, np.float32), rate
                    yield np.zeros(round(begins % 1 * rate), np.float32), rate
                for out in resampler.resample(frame):
                    read += out.samples
                    yield out.to_ndarray().reshape(-1, out.layout.nb_channels).mean(axis=1), rate
            for out in resampler.resample(None) if read else ():
                read += out.samples
                yield out.to_ndarray().reshape(-1, out.layout.nb_channels).mean(axis=1), rate
            claimed = float(container.duration or 0) / av.time_base
    except (av.FFmpegError, ValueError, ZeroDivisionError) as error:  # PyAV divides by a rate of 0
        if isinstance(error, CorruptAudio):
            raise
        raise _early(f"soundfile: {soundfile_says}; PyAV: {error}", read) from error
    heard = (begins or 0.0) + read / rate
    if claimed - heard > max(SLACK_SECONDS, 0.02 * claimed):
        raise _early(f"truncated: {heard:.2f} s of {claimed:.2f} s", read)


def _early(message: str, read: int) -> CorruptAudio:
    return Truncated(message) if read else CorruptAudio(message)


def _missing_end(path: Path, form: str) -> str:
    """As `truncation.missing_end`, which wants bytes, but without all of them in memory."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if form == "MP3":
            return missing_end(_Slices(file, size), form)
        file.seek(max(0, size - PAGE_BYTES))
        return missing_end(file.read(), form)


class _Slices:
    """The bytes of a file, read when they are asked for."""

    def __init__(self, file: BinaryIO, size: int):
        self._file, self._size = file, size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        start, stop, _ = part.indices(self._size)
        self._file.seek(start)
        return self._file.read(max(0, stop - start))
