"""Clips in which nobody speaks, of all kinds, and what is counted of transcripts of them."""

import numpy as np
import pytest

from asr.silence import KINDS, silence_figures, silent_clips


def test_each_kind_comes_in_each_length_always_the_same():
    clips = silent_clips(0, [1, 30])
    assert [kind for kind, _ in clips] == [kind for kind in KINDS for _ in range(2)]
    assert {len(clip) for _, clip in clips} == {16000, 480000}
    for (_, one), (_, two) in zip(clips, silent_clips(0, [1, 30]), strict=True):
        assert one.dtype == np.float32 and np.array_equal(one, two) and np.abs(one).max() <= 1
    assert not any(clip.any() for kind, clip in clips if kind == "silence")


def test_colours_fall_with_frequency_as_they_should():
    clips = dict(silent_clips(1, [10]))
    for kind, exponent in (("white noise", 0), ("pink noise", 1), ("brown noise", 2)):
        power = np.abs(np.fft.rfft(clips[kind])) ** 2
        low, high = power[1000:2000].mean(), power[10_000:20_000].mean()  # 100 to 200 Hz, 1 to 2 kHz
        assert np.log10(low / high) == pytest.approx(exponent, abs=0.15)


def test_what_is_written_and_which_of_it_is_a_phantom():
    texts = ["", " ... ", "Untertitel der Amara.org-Community", "Thank you for watching!", "ja"]
    assert silence_figures(texts) == {"clips": 5, "with_text": 0.6, "phantom": 0.4}
