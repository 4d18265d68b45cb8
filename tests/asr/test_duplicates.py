"""A repetition is rejected, whatever repeats, and only within its source."""

from dataclasses import replace

from asr.duplicates import Seen
from asr.utterance import Rejected, Utterance

FIRST = Utterance("a/1", b"sound", "Ja.", "de", "a/S", "a", "d", "train")


def test_a_repetition_is_rejected():
    repetitions = {
        "duplicate_row": replace(FIRST, audio=b"other"),
        "duplicate_audio": replace(FIRST, id="a/2", text="Nein."),
    }
    for reason, repetition in repetitions.items():
        seen = Seen()
        assert seen.check(FIRST) is FIRST
        rejected = seen.check(repetition)
        assert isinstance(rejected, Rejected)
        assert (rejected.id, rejected.reason, rejected.audio) == (repetition.id, reason, repetition.audio)
        assert seen.check(rejected) is rejected


def test_one_silence_is_like_another():
    seen = Seen()
    for number in range(2):
        silence = replace(FIRST, id=f"a/{number}", text="")
        assert seen.check(silence) is silence


def test_one_sound_is_not_both_speech_and_silence():
    silence = replace(FIRST, id="a/2", text="")
    for first, second in ((FIRST, silence), (silence, FIRST)):
        seen = Seen()
        assert seen.check(first) is first
        assert seen.check(second).reason == "duplicate_audio"


def test_what_is_rejected_blocks_nothing_and_another_source_is_another():
    seen = Seen()
    assert seen.check(FIRST) is FIRST
    seen.check(replace(FIRST, audio=b"other"))
    later = replace(FIRST, id="a/3", audio=b"other")
    assert seen.check(later) is later
    elsewhere = replace(FIRST, id="b/1", source="b")
    assert seen.check(elsewhere) is elsewhere
