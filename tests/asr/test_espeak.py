"""The synthesiser's laws: a clip depends on its arguments alone, and every voice of the list is speech."""

import subprocess
import sys

import espeakng_loader
import numpy as np
import pytest
import soxr

from asr import espeak as module
from asr.errors import UserError
from asr.espeak import SAMPLE_RATE, VARIANTS, Espeak

TEXT = "Schalte bitte das Licht in der Küche aus."


@pytest.fixture(scope="module")
def espeak():
    return Espeak()


def test_samples_are_int16_speech(espeak):
    samples = espeak.speak(TEXT, "de+f3", 150, 50)
    assert samples.dtype == np.int16
    assert 1.5 < len(samples) / SAMPLE_RATE < 4
    assert np.abs(samples).max() > 3000


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_was_said_before_changes_nothing(espeak, variant):
    before = espeak.speak(TEXT, f"de+{variant}", 160, 40)
    for other in ("m3", "Reed"):  # Reed is another synthesiser, with a source of random numbers of its own
        espeak.speak("Wie spät ist es in Straßburg?", f"de+{other}", 190, 80)
    np.testing.assert_array_equal(espeak.speak(TEXT, f"de+{variant}", 160, 40), before)


def test_another_process_says_the_same(espeak):
    code = (
        "import sys; from asr.espeak import Espeak;"
        f"sys.stdout.buffer.write(Espeak().speak({TEXT!r}, 'de+belinda', 160, 40).tobytes())"
    )
    path = f"import sys; sys.path[:0] = {sys.path!r};"
    output = subprocess.run([sys.executable, "-c", path + code], capture_output=True, check=True).stdout
    assert output == espeak.speak(TEXT, "de+belinda", 160, 40).tobytes()


def test_rate_pitch_and_voice_are_heard(espeak):
    slow, fast = espeak.speak(TEXT, "de+m1", 130, 50), espeak.speak(TEXT, "de+m1", 190, 50)
    assert len(slow) > 1.3 * len(fast)
    low, high = (pitch_hz(espeak.speak("Ja.", "de+m1", 130, pitch, intonation=0)) for pitch in (20, 80))
    assert high > 1.2 * low


def pitch_hz(samples: np.ndarray) -> float:
    """The fundamental frequency, from the autocorrelation's highest peak between 50 and 300 Hz."""
    middle = samples[len(samples) // 3 : 2 * len(samples) // 3].astype(float)
    correlation = np.correlate(middle, middle, "full")[len(middle) - 1 :]
    shortest, longest = SAMPLE_RATE // 300, SAMPLE_RATE // 50
    return SAMPLE_RATE / (shortest + int(correlation[shortest:longest].argmax()))


def test_empty_text_is_nearly_nothing(espeak):
    assert len(espeak.speak("", "de+f3", 150, 50)) < 0.05 * SAMPLE_RATE


@pytest.mark.parametrize("voice, named", [("de+nosuch", "nosuch"), ("xx+f3", "xx")])
def test_an_unknown_voice_is_named(espeak, voice, named):
    with pytest.raises(UserError, match=named):
        espeak.speak(TEXT, voice, 150, 50)


def test_a_long_path_to_the_data_works(espeak, tmp_path, monkeypatch):
    folder = tmp_path / ("x" * 100) / ("y" * 100)
    folder.mkdir(parents=True)
    (folder / "espeak-ng-data").symlink_to(espeakng_loader.get_data_path())
    monkeypatch.setattr(module.espeakng_loader, "get_data_path", lambda: str(folder / "espeak-ng-data"))
    np.testing.assert_array_equal(Espeak().speak(TEXT, "de+f3", 150, 50), espeak.speak(TEXT, "de+f3", 150, 50))


def test_no_two_voices_are_alike(espeak):
    assert len(set(VARIANTS)) == len(VARIANTS)
    sounds = {espeak.speak("Guten Morgen!", f"de+{variant}", 150, 50).tobytes() for variant in VARIANTS}
    assert len(sounds) == len(VARIANTS)


def test_voice_activity_detection_takes_every_voice_for_speech(espeak):
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    options = VadOptions(min_silence_duration_ms=160, speech_pad_ms=0)  # as BatchedInferencePipeline, unpadded
    for variant in VARIANTS:
        samples = espeak.speak(TEXT, f"de+{variant}", 150, 50) / np.float32(32768)
        audio = np.pad(soxr.resample(samples, SAMPLE_RATE, 16_000), 8000)
        loud = np.flatnonzero(np.abs(audio) > 0.01 * np.abs(audio).max())
        heard = sum(stretch["end"] - stretch["start"] for stretch in get_speech_timestamps(audio, options))
        assert heard > 0.8 * (loud[-1] - loud[0]), variant
