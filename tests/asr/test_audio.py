"""Recordings of many kinds come out as one channel at 16 kHz; what is none raises CorruptAudio."""

import io
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from asr.audio import SAMPLE_RATE, CorruptAudio, decode, encode_flac


def tone(rate: int, seconds: float = 0.5, hertz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def written(samples: np.ndarray, rate: int, form: str, subtype: str | None = None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=form, subtype=subtype)
    return buffer.getvalue()


def by_av(samples: np.ndarray, rate: int, container: str, codec: str) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate)
        stream.layout = "stereo"
        planes = np.stack([samples, samples])
        for start in range(0, planes.shape[1], 960):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(planes[:, start : start + 960]), "fltp", "stereo")
            frame.rate, frame.pts = rate, start
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def with_rate(rate: int) -> bytes:
    """A WAV whose header says a wrong rate."""
    content = written(tone(16_000), 16_000, "WAV")
    return content[:24] + rate.to_bytes(4, "little") + content[28:]


def close_to_tone(waveform: np.ndarray, tolerance: float) -> bool:
    """Compared away from the ends, where filters and codecs ring."""
    middle = slice(1600, 6400)
    return bool(np.abs(waveform[middle] - tone(SAMPLE_RATE)[middle]).max() < tolerance)


def test_flac_round_trip_is_exact_to_half_a_16_bit_step():
    waveform = tone(SAMPLE_RATE)
    again = decode(encode_flac(waveform))
    assert again.dtype == np.float32
    assert np.abs(again - waveform).max() <= 0.5 / 2**15 + 1e-7
    assert encode_flac(again) == encode_flac(waveform)


@pytest.mark.parametrize("rate", [4_000, 8_000, 22_050, 44_100, 48_000, 192_000])
def test_any_rate_becomes_16_khz(rate):
    waveform = decode(written(tone(rate), rate, "WAV"))
    assert abs(len(waveform) - SAMPLE_RATE // 2) <= 1
    assert close_to_tone(waveform, 1e-3)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_any_sample_format(subtype):
    assert close_to_tone(decode(written(tone(SAMPLE_RATE), SAMPLE_RATE, "WAV", subtype)), 1e-4)


def test_channels_are_averaged():
    loud, silent = tone(SAMPLE_RATE), np.zeros(SAMPLE_RATE // 2, dtype=np.float32)
    eight = np.stack([loud, *[silent] * 7], axis=1)
    np.testing.assert_allclose(decode(written(eight, SAMPLE_RATE, "WAV", "FLOAT")), loud / 8, atol=1e-7)


def test_mp3_and_opus_by_soundfile():
    assert close_to_tone(decode(written(tone(48_000), 48_000, "MP3")), 0.05)
    assert close_to_tone(decode(written(tone(48_000), 48_000, "OGG", "OPUS")), 0.05)


@pytest.mark.parametrize(("container", "codec"), [("ipod", "aac"), ("webm", "libopus"), ("mp4", "aac")])
def test_m4a_webm_and_mp4_by_av(container, codec):
    content = by_av(tone(48_000), 48_000, container, codec)
    with pytest.raises(soundfile.SoundFileError):
        soundfile.read(io.BytesIO(content))
    waveform = decode(content)
    assert abs(len(waveform) - SAMPLE_RATE // 2) < SAMPLE_RATE // 10  # codecs pad
    spectrum = np.abs(np.fft.rfft(waveform[1600:6400]))
    assert abs(np.fft.rfftfreq(4800, 1 / SAMPLE_RATE)[spectrum.argmax()] - 440) < 5
    assert 0.4 < np.abs(waveform[1600:6400]).max() < 0.6


def test_a_path_is_read_like_its_bytes(tmp_path: Path):
    content = written(tone(8_000), 8_000, "WAV")
    (tmp_path / "a.wav").write_bytes(content)
    np.testing.assert_array_equal(decode(tmp_path / "a.wav"), decode(content))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "0 bytes"),
        (b"not a recording, but a text that someone called .mp3\n" * 50, "soundfile: .*; PyAV: "),
        (np.random.default_rng(0).bytes(5000), "soundfile: .*; PyAV: "),
        (written(tone(16_000)[:0], 16_000, "WAV"), "no samples"),
        (written(np.full(1600, np.nan, np.float32), 16_000, "WAV", "FLOAT"), "NaN or infinite"),
        (written(np.full(1600, np.inf, np.float32), 16_000, "WAV", "FLOAT"), "NaN or infinite"),
        (by_av(tone(48_000), 48_000, "ipod", "aac")[:600], "PyAV|no samples|no audio"),
        (with_rate(0), "soundfile: .*; PyAV: "),
        (with_rate(1), "a rate of 1 Hz"),
        (with_rate(2**31 - 1), "no samples: 8000 at 2147483647 Hz"),
    ],
    ids=["empty", "text", "noise", "no samples", "nan", "inf", "cut m4a", "rate 0", "low rate", "high rate"],
)
def test_corrupt(content, why):
    with pytest.raises(CorruptAudio, match=why):
        decode(content)
