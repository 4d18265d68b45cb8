"""Each check has its reason; tokens are counted as the decoder is taught them."""

import io
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from asr.audio import decode
from asr.checks import Checks
from asr.labels import Labeler
from asr.recording import Recording
from asr.text import TextRules
from asr.utterance import Rejected, Segment, Utterance
from asr.vocabulary import whisper_tokenizer

TEXTS = ["Ja.", "Grün ist es, sagt Jürgen.", "<|de|><|0.00|> und <|endoftext|>", "東京は今日も暑い", "  x"]


def sound(seconds: float, loudness: float = 0.1, rate: int = 16_000, **form) -> Recording:
    buffer = io.BytesIO()
    samples = loudness * np.random.default_rng(0).uniform(-1, 1, round(seconds * rate))
    soundfile.write(buffer, samples, rate, format="WAV", **form)
    return Recording(buffer.getvalue())


GOOD = Utterance("a/1", sound(2.0), "Grün ist es.", "de", "p/S", "a", "d", "train")


@pytest.fixture(scope="module")
def checks(tmp_path_factory) -> Checks:
    folder = tmp_path_factory.mktemp("model")
    whisper_tokenizer(80).save_pretrained(folder)
    return Checks(folder / "tokenizer.json", 0.3, {"a": 30.0, "long": 600.0}, 0.001, 40)


@pytest.mark.parametrize("language", ["de", "ja"])
def test_tokens_are_the_labelers(checks, language):
    texts = [text.strip() for text in TEXTS]
    assert [checks.tokens(text, language) for text in texts] == Labeler(whisper_tokenizer(80)).count(texts, language)
    assert checks.tokens("", language) == 0


def test_a_good_row_keeps_all_but_its_sound(checks):
    prepared = checks.prepare(replace(GOOD, origin="MLS"))
    assert prepared == replace(GOOD, origin="MLS", audio=prepared.audio, seconds=2.0)
    assert np.abs(decode(prepared.audio) - decode(GOOD.audio)).max() <= 1 / 2**15


SPOILT = {
    "unreadable_audio": {"audio": Recording(b"RIFF, or so it says")},
    "too_short": {"audio": sound(0.2)},
    "too_long": {"audio": sound(30.1)},
    "silent": {"audio": sound(2.0, 0.0005)},
    "empty_text": {"text": " \u200b "},
    "too_many_tokens": {"text": "Donaudampfschifffahrt " * 20},
    "foreign_characters": {"text": "Grün ist яблоко."},
    "characters_a_second": {"audio": sound(0.4), "text": "Donaudampfschifffahrt."},
    "truncated": {"seconds": 2.6},
    "longer_than_stated": {"seconds": 1.4},
    "bad_segments": {"segments": (Segment(1.0, 1.5, "Grün"), Segment(0.5, 1.9, "ist es."))},
}


@pytest.mark.parametrize("reason", SPOILT)
def test_each_check_has_its_reason(checks, reason):
    rejected = checks.prepare(replace(GOOD, **SPOILT[reason]))
    assert isinstance(rejected, Rejected)
    assert (rejected.id, rejected.source, rejected.split, rejected.reason) == ("a/1", "a", "train", reason)
    assert rejected.detail
    # To listen to: what could be decoded, else the bytes as they are, unless they are many.
    assert rejected.audio[:4] == {"unreadable_audio": b"RIFF", "too_long": b""}.get(reason, b"fLaC")


def test_a_rejection_does_not_say_where_this_machine_has_its_files(checks, tmp_path):
    (tmp_path / "a.wav").write_bytes(b"RIFF, or so it says")
    for name in ("a.wav", "none.wav"):
        rejected = checks.prepare(replace(GOOD, audio=Recording(tmp_path / name)))
        assert rejected.reason == "unreadable_audio" and name in rejected.detail
        assert str(tmp_path) not in rejected.detail


def test_what_a_reader_has_rejected_stays(checks):
    rejected = Rejected("a/1", "a", "train", "", "missing_clip", "no file", Recording(b"x"))
    assert checks.prepare(rejected) == replace(rejected, audio=b"x")


def test_nobody_speaks_only_where_that_is_meant(checks):
    silence = replace(GOOD, audio=sound(2.0, 0.0), text="")
    assert checks.prepare(silence).reason == "empty_text"
    meant = replace(checks, no_speech=frozenset({"a"}))
    assert meant.prepare(silence).text == ""
    bare = replace(meant, text={"de": TextRules(punctuation=False)})
    assert bare.prepare(replace(silence, text="...")).detail == "cleaning leaves nothing of '...'"


def test_a_long_recording_is_for_test_alone(checks):
    long = replace(GOOD, source="long", audio=sound(31.0), text="Grün ist es. " * 2)
    assert checks.prepare(replace(long, split="test")).seconds == 31.0
    assert checks.prepare(long).reason == "too_long"


def test_segments_are_kept_cleaned_and_inside_the_sound(checks):
    segments = (Segment(0.0, 0.9, "Gru\u0308n "), Segment(0.9, 1.0, " "), Segment(1.0, 2.3, "ist  es."))
    prepared = checks.prepare(replace(GOOD, text="", segments=segments))
    assert prepared.segments == (Segment(0.0, 0.9, "Grün"), Segment(1.0, 2.0, "ist es."))
    assert prepared.text == "Grün ist es."
    late = replace(GOOD, segments=(Segment(0.0, 2.6, "Grün ist es."),))
    assert checks.prepare(late).detail == "a segment ends at 2.60 s of 2.00 s"


def test_a_text_and_its_segments_say_the_same(checks):
    segments = (Segment(0.0, 0.9, "grün – "), Segment(1.0, 2.0, "IST es"))
    assert checks.prepare(replace(GOOD, segments=segments)).text == "Grün ist es."
    more = checks.prepare(replace(GOOD, text="Grün ist es nicht.", segments=segments))
    assert (more.reason, more.detail[:29]) == ("bad_segments", "its text is not what its segm")


def test_no_segment_is_left_without_sound(checks):
    segments = (Segment(0.0, 1.0, "Grün"), Segment(2.1, 2.4, "ist es."))
    assert checks.prepare(replace(GOOD, segments=segments)).detail == "a segment begins at 2.10 s of 2.00 s"


def test_small_overlaps_are_times_set_by_hand(checks):
    segments = (Segment(0.0, 1.1, "Grün"), Segment(1.0, 2.0, "ist es."))
    assert checks.prepare(replace(GOOD, segments=segments)).segments[1].start == 1.1


def test_what_follows_the_last_segment_of_a_long_recording_is_left_out(checks):
    tail = replace(GOOD, audio=sound(40.0), segments=(Segment(0.0, 2.5, "Grün ist es."),))
    assert checks.prepare(tail).seconds == 2.5
    assert checks.prepare(replace(tail, segments=())).reason == "too_long"


def test_timestamps_of_segments_count_as_tokens(checks):
    words = replace(GOOD, text="a " * 18, audio=sound(20.0))
    segments = tuple(Segment(i, i + 1, "a") for i in range(18))
    assert checks.prepare(words).seconds == 20.0
    assert checks.prepare(replace(words, segments=segments)).reason == "too_many_tokens"


@pytest.mark.parametrize("audio", [sound(2.0, rate=4_000), sound(2.0, rate=192_000), sound(2.0, subtype="DOUBLE")])
def test_any_rate_and_format_gives_16_khz(checks, audio):
    assert checks.prepare(replace(GOOD, audio=audio)).seconds == pytest.approx(2.0, abs=1e-3)
