"""Recordings of many kinds come out as one channel at 16 kHz; what is none raises CorruptAudio."""

import io
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from asr.audio import SAMPLE_RATE, CorruptAudio, TooLong, decode, encode_flac
from asr.recording import Recording


def tone(rate: int, seconds: float = 0.5, hertz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def written(samples: np.ndarray, rate: int, form: str, subtype: str | None = None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=form, subtype=subtype)
    return buffer.getvalue()


def by_av(samples: np.ndarray, rate: int, container: str, codec: str, layout: str = "stereo") -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate)
        stream.layout = layout
        planes = np.stack([samples] * av.AudioLayout(layout).nb_channels)
        for start in range(0, planes.shape[1], 960):
            interleaved = planes[:, start : start + 960].T.reshape(1, -1)  # PyAV miscounts planes from 8 on
            frame = av.AudioFrame.from_ndarray(interleaved, "flt", layout)
            frame.rate, frame.pts = rate, start
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def patched(content: bytes, place: int, patch: bytes) -> bytes:
    return content[:place] + patch + content[place + len(patch) :]


def from_a_pipe(seconds: float) -> bytes:
    """A FLAC whose header does not say how long it is: the last 36 bits before its MD5."""
    content = written(tone(SAMPLE_RATE, seconds), SAMPLE_RATE, "FLAC")
    return patched(content, 21, bytes([content[21] & 0xF0, 0, 0, 0, 0]))


def with_rate(rate: int) -> bytes:
    """A WAV whose header says a wrong rate."""
    return patched(written(tone(16_000), 16_000, "WAV"), 24, rate.to_bytes(4, "little"))


def claiming(size: int) -> bytes:
    """A WAV of 32,000 bytes of sound whose header says another number."""
    content = written(tone(16_000, 1.0), 16_000, "WAV")
    return patched(content, content.index(b"data") + 4, size.to_bytes(4, "little"))


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


@pytest.mark.parametrize("layout", ["stereo", "5.1", "7.1", "hexadecagonal"])
def test_channels_of_what_av_reads_are_averaged(layout):
    channels = av.AudioLayout(layout).nb_channels
    codec, container = ("aac", "mp4") if channels <= 8 else ("pcm_f32le", "mov")
    waveform = decode(by_av(tone(48_000), 48_000, container, codec, layout))
    assert 0.4 < np.abs(waveform[1600:6400]).max() < 0.6


def test_a_flac_from_a_pipe_is_read_to_its_end():
    np.testing.assert_array_equal(decode(from_a_pipe(0.5)), decode(encode_flac(tone(SAMPLE_RATE))))
    with pytest.raises(TooLong, match=r"^2\.\d\d s$"):
        decode(from_a_pipe(5.0), longest=2.0)


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
        (claiming(100_000), "its header says 100000 bytes, there are 32000"),
        (claiming(20_000), "its header says 20000 bytes, but more sound follows"),
        (claiming(10), "its header says 10 bytes, but more sound follows"),
        (written(tone(16_000), 16_000, "WAV")[:9000], "its header says 16000 bytes, there are 8956"),
        (written(np.random.default_rng(0).uniform(-1, 1, 48_000), 16_000, "FLAC")[:50_000], "lost sync"),
        (patched(written(tone(16_000), 16_000, "WAV"), 34, b"\x10\x1c"), "a rate of 0 Hz"),
    ],
    ids=[
        "empty",
        "text",
        "noise",
        "no samples",
        "nan",
        "inf",
        "cut m4a",
        "rate 0",
        "low rate",
        "high rate",
        "long lie",
        "half a lie",
        "short lie",
        "cut wav",
        "cut flac",
        "no codec",
    ],
)
def test_corrupt(content, why):
    with pytest.raises(CorruptAudio, match=why):
        decode(content)


@pytest.mark.parametrize("size", [2**31 - 1, 2**32 - 1])
def test_a_wav_from_a_pipe_claims_the_highest_length(size):
    assert len(decode(claiming(size))) == 16_000


def test_an_mp3_called_wav_is_what_its_bytes_say(tmp_path):
    content = written(tone(48_000), 48_000, "MP3")
    (tmp_path / "a.wav").write_bytes(content)
    np.testing.assert_array_equal(decode(tmp_path / "a.wav"), decode(content))


@pytest.mark.parametrize("form", ["webm", "matroska"])
def test_a_container_that_ends_before_its_header_says(form):
    content = by_av(tone(48_000, 10.0), 48_000, form, "libopus")
    assert abs(len(decode(content)) - 160_000) < 1_000
    with pytest.raises(CorruptAudio, match=r"truncated|PyAV"):
        decode(content[: len(content) // 2])


def test_sound_that_begins_late_begins_late():
    """A picture may be there first: times of subtitles count from it."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as output:
        stream = output.add_stream("flac", rate=16_000)
        stream.layout, stream.format = "mono", "s16"
        samples = (tone(16_000, 3.0) * 32767).astype(np.int16)
        for start in range(0, len(samples), 1600):
            frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1600], "s16", "mono")
            frame.rate, frame.pts = 16_000, start + 24_000
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    whole = decode(buffer.getvalue())
    assert abs(len(whole) - 72_000) < 100
    assert np.abs(whole[:23_000]).max() < 0.01 < np.abs(whole[25_000:]).max()
    for start, end in ((0.0, 4.0), (0.5, 4.0), (1.2, 4.0), (2.5, 4.0)):
        stretch = decode(Recording(buffer.getvalue(), start=start, end=end))
        expected = whole[round(16_000 * start) : round(16_000 * end)]
        assert len(stretch) == len(expected)
        assert np.abs(stretch - expected)[50:-50].max() < 0.02


@pytest.mark.parametrize(("form", "subtype"), [("AIFF", "PCM_16"), ("AU", "PCM_16"), ("WAV", "PCM_24")])
def test_a_header_that_claims_more_than_there_is(form, subtype):
    content = written(tone(16_000, 2.0), 16_000, form, subtype)
    assert len(decode(content)) == 32_000
    with pytest.raises(CorruptAudio):
        decode(content[: len(content) // 2])


def test_a_truncated_mp3_whose_header_counts_its_frames_is_noticed():
    whole = written(tone(48_000, 3.0), 48_000, "MP3")
    with pytest.raises(CorruptAudio, match=r"truncated: 1.37 s of 3.00 s"):
        decode(whole[: len(whole) // 2])


STRETCHES = {
    "wav": lambda sound: written(sound, 48_000, "WAV"),
    "flac": lambda sound: written(sound, 48_000, "FLAC"),
    "mp3": lambda sound: written(sound, 48_000, "MP3"),
    "ogg": lambda sound: written(sound, 48_000, "OGG", "VORBIS"),
    "m4a": lambda sound: by_av(sound, 48_000, "ipod", "aac"),
    "webm": lambda sound: by_av(sound, 48_000, "webm", "libopus"),
}


@pytest.mark.parametrize("form", STRETCHES)
@pytest.mark.parametrize("as_file", [False, True])
def test_a_stretch_is_what_it_would_be_of_the_whole(tmp_path, form, as_file):
    """A tone whose pitch rises says where it was cut: 100 Hz at 0 s, 1,100 Hz at 10 s."""
    seconds = np.arange(480_000) / 48_000
    sound = (0.5 * np.sin(2 * np.pi * (100 * seconds + 50 * seconds**2))).astype(np.float32)
    content = STRETCHES[form](sound)
    (tmp_path / "a").write_bytes(content)
    source = tmp_path / "a" if as_file else content
    for start, end in ((0.0, 1.5), (4.0, 6.5), (8.0, None)):
        waveform = decode(Recording(source, start=start, end=end))
        assert abs(len(waveform) / SAMPLE_RATE - ((end or 10.0) - start)) < (0.06 if end is None else 1e-3)
        middle = waveform[len(waveform) // 2 - 800 : len(waveform) // 2 + 800]
        heard = np.abs(np.fft.rfft(middle * np.hanning(len(middle)))).argmax() * SAMPLE_RATE / len(middle)
        assert abs(heard - (100 + 100 * (start + (end or 10.0)) / 2)) < 15  # 0.1 s away it would be 10 Hz off


@pytest.mark.parametrize("form", STRETCHES)
def test_no_more_is_held_than_is_allowed(form):
    content = STRETCHES[form](tone(48_000, 5.0))
    with pytest.raises(TooLong) as error:
        decode(content, longest=2.0)
    assert error.value.seconds > 2.0
    assert len(decode(Recording(content, start=1.0, end=2.5), longest=2.0)) == 24_000
    with pytest.raises(TooLong):
        decode(Recording(content, start=1.0), longest=3.7)


def test_a_stretch_outside_of_the_recording_is_none():
    content = written(tone(16_000, 2.0), 16_000, "WAV")
    assert len(decode(Recording(content, start=1.0, end=2.3))) == 16_000  # lists round
    for start, end in ((2.5, 3.0), (1.0, 3.0), (1.5, 1.0)):
        with pytest.raises(CorruptAudio, match="no stretch from"):
            decode(Recording(content, start=start, end=end))


def test_a_member_of_an_archive_is_read_where_it_lies(tmp_path):
    content = written(tone(16_000), 16_000, "WAV")
    (tmp_path / "a.tar").write_bytes(b"x" * 512 + content + b"y" * 700)
    np.testing.assert_array_equal(decode(Recording(tmp_path / "a.tar", 512, len(content))), decode(content))


def test_a_file_that_cannot_be_read_is_said(tmp_path):
    (tmp_path / "a.raw").write_bytes(b"x" * 100)
    with pytest.raises(CorruptAudio):
        decode(tmp_path / "a.raw")
    for path in (tmp_path / "none.wav", tmp_path, tmp_path / ("x" * 300)):
        with pytest.raises(CorruptAudio, match=r"No such file|Is a directory|File name too long"):
            decode(path)
