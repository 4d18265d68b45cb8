"""Cut at silences: nothing that is said is lost, nothing is heard twice, and no piece is too long."""

import random
from itertools import pairwise

import librosa
import numpy as np
import pytest
from faster_whisper.vad import get_vad_model

from asr.espeak import Espeak
from asr.pieces import _speech, cut
from asr.synthesis import speech
from asr.voice_activity import WINDOW, VoiceActivity

SENTENCES = ("Guten Morgen, wie geht es dir heute?", "Schalte bitte das Licht in der Küche an.", "Öffne die Tür.")


def silence(seconds):
    return np.zeros(round(16_000 * seconds), np.float32)


@pytest.fixture(scope="module")
def said():
    espeak = Espeak()
    spoken = [speech(text, "de+m3", random.Random(number), espeak) for number, text in enumerate(SENTENCES)]
    return [librosa.resample(samples, orig_sr=22_050, target_sr=16_000) for samples in spoken]


def in_blocks(samples, size=16_000):
    return [samples[start : start + size] for start in range(0, len(samples), size)]


def test_the_network_says_the_same_however_the_sound_is_divided(said):
    sound = np.concatenate([said[0], silence(1), said[1]])
    sound = sound[: len(sound) // WINDOW * WINDOW]
    whole = get_vad_model()(sound.copy()).reshape(-1)  # of faster-whisper, all at once
    for size in (WINDOW, 700, 16_000, len(sound)):
        activity = VoiceActivity()
        found = np.concatenate([*(activity(block) for block in in_blocks(sound, size)), activity.finish()])
        np.testing.assert_allclose(found[:-1], whole[:-1], atol=1e-4)  # it blanks the last samples of the last window
    assert 0.3 < (found > 0.5).mean() < 0.95


def test_silences_are_left_out_and_speech_is_in_its_place(said):
    sound = np.concatenate([silence(3), said[0], silence(4), said[1], silence(3)])
    first, second = cut(in_blocks(sound), 30)
    places = 3, 3 + len(said[0]) / 16_000 + 4
    for piece, place, spoken in zip((first, second), places, said, strict=False):
        assert place - 0.5 < piece.start < place + 0.2
        assert piece.end == pytest.approx(place + len(spoken) / 16_000, abs=0.6)
        start = round(piece.start * 16_000)
        np.testing.assert_array_equal(piece.waveform, sound[start : start + len(piece.waveform)])


@pytest.mark.parametrize("most", [3, 5, 12, 30])
@pytest.mark.parametrize("size", [4_000, 16_000])
def test_no_piece_is_too_long_nor_overlaps_the_one_before(said, most, size):
    sound = np.concatenate([part for number in range(8) for part in (said[number % 3], silence(0.3 + 0.2 * number))])
    pieces = list(cut(in_blocks(sound, size), most))
    assert all(0 < piece.seconds <= most for piece in pieces)
    assert all(a.end <= b.start + 1e-9 for a, b in pairwise(pieces))
    covered = np.zeros(len(sound), bool)
    for piece in pieces:
        covered[round(piece.start * 16_000) :][: len(piece.waveform)] = True
    energy = np.square(sound)
    assert energy[covered].sum() > 0.999 * energy.sum()  # what is left out is silence
    again = list(cut(in_blocks(sound, 16_000), most))
    assert [(piece.start, len(piece.waveform)) for piece in again] == [(p.start, len(p.waveform)) for p in pieces]


class Told:
    """Probabilities in the network's place: the law is of the cuts, whatever the network says."""

    def __init__(self, likely):
        self._likely = list(likely)

    def __call__(self, block):
        told, self._likely = self._likely[: len(block) // WINDOW], self._likely[len(block) // WINDOW :]
        return np.array(told, np.float32)

    def finish(self):
        return np.array(self._likely, np.float32)


@pytest.mark.parametrize("seed", range(20))
def test_every_window_that_is_speech_is_in_a_piece(monkeypatch, seed):
    """Also where speech that has begun goes on below the threshold and is cut there, as it is too long."""
    rng = np.random.default_rng(seed)
    likely = np.repeat(rng.choice([0.05, 0.4, 0.6, 0.9], 40), rng.integers(1, 60, 40)).astype(np.float32)
    monkeypatch.setattr("asr.pieces.VoiceActivity", lambda: Told(likely))
    found = list(cut(in_blocks(np.zeros(len(likely) * WINDOW, np.float32), 50 * WINDOW), 3.2))
    heard = np.zeros(len(likely), bool)
    for piece in found:
        first = round(piece.start * 16_000 / WINDOW)
        heard[first : first + len(piece.waveform) // WINDOW] = True
    assert heard[_speech(likely, 0.5)].all()


def test_a_low_threshold_still_leaves_silence_out():
    assert _speech(np.array([0.2, 0.0, 0.0], np.float32), 0.1).tolist() == [True, False, False]
    assert _speech(np.array([0.2, 0.0, 0.0], np.float32), 0.0).all()


def test_cuts_fall_between_sentences(said):
    sound = np.concatenate([said[0], silence(0.8), said[1], silence(0.8), said[2], silence(0.8), said[0]])
    for piece in list(cut(in_blocks(sound), 5))[:-1]:
        after = sound[round(piece.end * 16_000) :][:800]
        assert np.abs(after).max() < 1e-3


def test_without_a_pause_it_is_cut_all_the_same(said):
    spoken = np.concatenate([part[np.abs(part) > 0.02] for part in said * 4])  # no closure of a plosive left
    pieces = list(cut(in_blocks(spoken), 5, threshold=0))
    assert all(2 <= piece.seconds <= 5 for piece in pieces[:-1])
    assert sum(len(piece.waveform) for piece in pieces) == len(spoken)


def test_nobody_speaks(said):
    rng = np.random.default_rng(0)
    for nothing in (silence(60), (0.01 * rng.standard_normal(16_000 * 60)).astype(np.float32), silence(0.01)):
        assert list(cut(in_blocks(nothing), 30)) == []
    assert sum(len(piece.waveform) for piece in cut(in_blocks(silence(60)), 30, threshold=0)) == 60 * 16_000
