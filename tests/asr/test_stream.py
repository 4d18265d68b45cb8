"""Read piecewise, a recording is what it is as a whole; what is broken says so."""

import io

import av
import numpy as np
import pytest
import soundfile

from asr.audio import CorruptAudio, decode
from asr.stream import Truncated, blocks, seconds


def sound(rate, length=7.3, channels=1):
    time = np.arange(int(rate * length)) / rate
    tones = [0.3 * np.sin(2 * np.pi * (200 + 100 * number) * time) for number in range(channels)]
    return np.stack(tones, axis=1).astype(np.float32) + 0.01 * np.random.default_rng(0).standard_normal((len(time), 1))


def write(path, rate, **shape):
    if path.suffix in (".m4a", ".mp4"):
        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=rate)
            frame = av.AudioFrame.from_ndarray(sound(rate, **shape).T[:1].astype(np.float32), "fltp", "mono")
            frame.rate = rate
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                container.mux(packet)
    else:
        opus = {"format": "OGG", "subtype": "OPUS"} if path.suffix == ".opus" else {}
        soundfile.write(path, sound(rate, **shape), rate, **opus)
    return path


@pytest.mark.parametrize(
    ("name", "rate", "channels"),
    [("a.wav", 16_000, 1), ("a.wav", 44_100, 2), ("a.wav", 8_000, 6), ("a.mp3", 22_050, 2), ("a.flac", 48_000, 1),
     ("a.ogg", 44_100, 1), ("a.opus", 48_000, 1), ("a.m4a", 44_100, 1), ("a.mp4", 16_000, 1)],
)  # fmt: skip
def test_the_blocks_together_are_the_whole(tmp_path, name, rate, channels):
    path = write(tmp_path / name, rate, channels=channels)
    found = list(blocks(path))
    assert {len(block) for block in found[:-1]} == {16_000} and 0 < len(found[-1]) <= 16_000
    whole, joined = decode(path), np.concatenate(found)
    assert abs(len(whole) - len(joined)) <= 1
    most = min(len(whole), len(joined))
    np.testing.assert_allclose(joined[:most], whole[:most], atol=2e-5)
    assert seconds(path) == pytest.approx(len(joined) / 16_000, abs=0.1)


def test_a_header_that_does_not_say_the_length_is_read_to_the_end(tmp_path):
    buffer = io.BytesIO()
    soundfile.write(buffer, sound(16_000), 16_000, format="FLAC")
    streamed = bytearray(buffer.getvalue())
    streamed[21] &= 0xF0  # the number of samples in STREAMINFO, 36 bits
    streamed[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(streamed)
    assert sum(map(len, blocks(tmp_path / "a.flac"))) == 116_800


@pytest.mark.parametrize(
    ("name", "share"), [("a.wav", 0.5), ("a.mp3", 0.5), ("a.ogg", 0.7), ("a.flac", 0.5), ("a.m4a", 0.97)]
)
def test_what_ends_too_early_is_given_as_far_as_it_goes(tmp_path, name, share):
    content = write(tmp_path / name, 16_000).read_bytes()
    (tmp_path / f"cut_{name}").write_bytes(content[: int(len(content) * share)])
    given = []
    with pytest.raises(CorruptAudio) as raised:
        for block in blocks(tmp_path / f"cut_{name}"):
            given.append(block)
    if raised.type is Truncated:
        assert 3 <= sum(map(len, given)) / 16_000 < 7.3
    else:
        assert name == "a.m4a"  # without its index, which stands at the end, nothing of it can be decoded


@pytest.mark.parametrize("content", [b"", b"no sound at all\n" * 50, b"RIFF\x24\x00\x00\x00WAVEfmt "])
def test_what_is_no_recording_is_one_error(tmp_path, content):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(CorruptAudio) as raised:
        list(blocks(tmp_path / "a.wav"))
    assert raised.type is CorruptAudio
    assert seconds(tmp_path / "a.wav") is None


def test_no_samples_and_wrong_samples_are_errors(tmp_path):
    soundfile.write(tmp_path / "none.wav", np.zeros(0, np.float32), 16_000)
    with pytest.raises(CorruptAudio, match="no samples"):
        list(blocks(tmp_path / "none.wav"))
    soundfile.write(tmp_path / "nan.wav", np.full(99, np.nan, np.float32), 16_000, subtype="FLOAT")
    with pytest.raises(CorruptAudio, match="NaN"):
        list(blocks(tmp_path / "nan.wav"))
    with pytest.raises(CorruptAudio, match="No such file"):
        list(blocks(tmp_path / "nowhere.wav"))
