"""A cut inside of a frame or a page is noticed; what is whole is never said to be cut."""

import io
import random
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.truncation import missing_end

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
RATES = [8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000]


def written(form: str, subtype: str, rate: int, seed: int = 0) -> bytes:
    buffer = io.BytesIO()
    samples = 0.1 * np.random.default_rng(seed).standard_normal(3 * rate)
    soundfile.write(buffer, samples, rate, format=form, subtype=subtype)
    return buffer.getvalue()


def share_noticed(content: bytes, form: str) -> float:
    rng = random.Random(0)
    cuts = [rng.randrange(len(content) // 10, len(content)) for _ in range(200)]
    return sum(bool(missing_end(content[:cut], form)) for cut in cuts) / len(cuts)


@pytest.mark.parametrize("rate", RATES)
def test_mp3(rate):
    content = written("MP3", "MPEG_LAYER_III", rate)
    assert missing_end(content, "MP3") == ""
    assert missing_end(content + b"TAG" + bytes(125), "MP3") == ""
    assert share_noticed(content, "MP3") > 0.9


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg(subtype):
    content = written("OGG", subtype, 48_000)
    assert missing_end(content, "OGG") == ""
    assert share_noticed(content, "OGG") > 0.9


def test_other_forms_say_so_themselves():
    assert missing_end(b"anything", "FLAC") == ""


def test_no_real_recording_is_said_to_be_cut():
    clips = sorted(SHARED.glob("common_voice_*/clips/*.mp3"))
    if not clips:
        pytest.skip(f"no real recordings in {SHARED}")
    rng = random.Random(0)
    contents = [clip.read_bytes() for clip in clips]
    assert not any(missing_end(content, "MP3") for content in contents)
    cut = [missing_end(content[: rng.randrange(1_000, len(content))], "MP3") for content in contents]
    assert sum(map(bool, cut)) > 0.9 * len(cut)
