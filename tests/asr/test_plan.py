"""Laws of the window plan: nothing lost, nothing doubled, every share kept."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from asr.plan import plan_steps
from asr.whisper_shape import WINDOW_FRAMES as FULL_FRAMES
from asr.windows import Shapes, Source


def make_source(size=50, share=1.0, languages=("de",), first_row=0, seed=3, speakers=("",)):
    rng = np.random.default_rng(seed)
    return Source(
        share=share,
        rows=np.arange(first_row, first_row + size),
        frames=rng.integers(80, 900, size),
        tokens=rng.integers(3, 60, size),
        languages=[languages[i % len(languages)] for i in range(size)],
        speakers=[speakers[i % len(speakers)] for i in range(size)],
    )


def make_shapes(**changes):
    values = {
        "full_share": 0.3, "full_batch": 4, "jitter_seconds": 1.0, "packed_share": 0.7, "packed_batch": 12, "full_from": 0.0,
        "gap_seconds": (0.1, 1.0), "timestamps_share": 0.5, "zero_padded_share": 0.5, "frequency_warp": 0.1, "packed_seconds": (30.0, 30.0), "pooled_steps": 16, "look_ahead": 20,
    }  # fmt: skip
    return Shapes(**values | changes)


def plan(sources=None, steps=60, batch=8, seed=0, **changes):
    return list(plan_steps(sources or [make_source()], make_shapes(**changes), steps, batch, seed))


def test_a_plan_is_a_function_of_its_seed():
    assert plan(seed=5) == plan(seed=5)
    assert plan(seed=5) != plan(seed=6)


def test_windows_know_their_step():
    assert [{window.step for window in windows} for windows in plan(steps=5)] == [{0}, {1}, {2}, {3}, {4}]


@pytest.mark.parametrize("full_share", [0.0, 1.0])
@pytest.mark.parametrize("packed_share", [0.0, 1.0])
def test_every_window_begins_with_a_little_silence_or_none(full_share, packed_share):
    steps = plan(full_share=full_share, packed_share=packed_share, jitter_seconds=0.5, packed_seconds=(20.0, 20.0))
    leads = [window.parts[0].offset for windows in steps for window in windows]
    assert min(leads) < 5 and 45 < max(leads) <= 50


def heard(steps):
    return [part.utterance for windows in steps for window in windows for part in window.parts]


def test_each_utterance_comes_once_before_any_comes_again():
    order = heard(plan(full_share=1.0))
    for first in range(0, len(order) - 50, 50):
        assert len(set(order[first : first + 50])) == 50
    times = Counter(
        heard(plan(full_share=0.0, packed_share=0.0, steps=32, pooled_steps=16))
    )  # short steps are sorted, a pool at a time
    assert len(times) == 50 and max(times.values()) - min(times.values()) <= 1


def test_short_steps_hold_utterances_of_like_lengths():
    source = make_source(size=500)
    frames = [windows[0].frames for windows in plan([source], full_share=0.0, packed_share=0.0, jitter_seconds=0.0)]
    unsorted = np.random.default_rng(0).choice(source.frames, (60, 8)).max(axis=1)
    assert np.mean(frames) < 0.75 * np.mean(unsorted)
    assert len(set(np.sign(np.diff(frames)))) > 1  # not from the shortest to the longest


def test_steps_are_full_or_cut_to_their_longest():
    source = make_source()
    kinds = Counter()
    for windows in plan([source], packed_share=0.3, packed_seconds=(20.0, 20.0)):
        lasts = [window.parts[-1] for window in windows]
        longest = max(last.offset + source.frames[last.utterance] for last in lasts)
        frames, packed = {window.frames for window in windows}, any(len(window.parts) > 1 for window in windows)
        full = frames == {FULL_FRAMES}
        assert len(frames) == 1
        assert len(windows) == (4 if full else 12 if packed else 8)
        if not full:
            assert longest <= windows[0].frames <= longest + 101
            assert windows[0].frames % 2 == 0
            assert not any(window.zero_padded for window in windows)
        kinds[full, packed] += 1
    assert len(kinds) == 4


def test_packed_windows_are_as_long_as_they_may_be():
    steps = plan(
        [make_source(500)],
        full_share=0.0,
        full_from=0.2,
        packed_share=1.0,
        packed_seconds=(10.0, 25.0),
        steps=100,
        look_ahead=0,
    )
    assert all(len(window.parts) == 1 for windows in steps[:20] for window in windows)
    frames = [windows[0].frames for windows in steps[20:]]
    assert min(frames) < 2000 and 2300 < max(frames) <= 2602  # of a step's 12 the longest, and up to 1 s of silence


def test_packed_utterances_do_not_overlap_and_fit():
    source = make_source()
    packed = [window for windows in plan([source]) for window in windows if len(window.parts) > 1]
    assert packed
    for window in packed:
        ends = [part.offset + source.frames[part.utterance] for part in window.parts]
        assert ends[-1] <= FULL_FRAMES
        gaps = [part.offset - end for part, end in zip(window.parts[1:], ends, strict=False)]
        assert all(10 <= gap <= 100 for gap in gaps)
        assert sum(source.tokens[part.utterance] + 2 for part in window.parts) <= 440


def test_the_end_of_a_packed_window_is_filled_with_the_longest_that_fits():
    source = make_source(500, speakers=("anna", "bert"))

    def seconds(look_ahead, **changes):
        windows = windows_of([source], full_share=1.0, packed_share=1.0, steps=50, look_ahead=look_ahead, **changes)
        assert all(sum(source.tokens[part.utterance] + 2 for part in window.parts) <= 440 for window in windows)
        times = Counter(part.utterance for window in windows for part in window.parts)
        assert max(times.values()) - min(times.values()) <= 1
        return np.mean([sum(source.frames[part.utterance] for part in window.parts) for window in windows]) / 100

    assert seconds(0) < 25 and seconds(10) > 26 and seconds(100) > 26.5
    windows = windows_of([source], full_share=1.0, packed_share=1.0, one_speaker_share=1.0, look_ahead=100, steps=20)
    alone = [len({source.speakers[part.utterance] for part in window.parts}) == 1 for window in windows]
    assert np.mean(alone) > 0.9  # not filled by another while he has more to say


def test_more_steps_sorted_together_waste_less_of_a_context():
    def wasted(pooled_steps):
        source = make_source(500)
        steps = plan(
            [source], packed_share=0.0, full_share=0.0, jitter_seconds=0.0, steps=256, pooled_steps=pooled_steps
        )
        needed = sum(source.frames[part.utterance] for windows in steps for window in windows for part in window.parts)
        return sum(len(windows) * windows[0].frames for windows in steps) / needed - 1

    assert wasted(1) > 0.5 and wasted(16) < 0.12 and wasted(64) < 0.04


def test_a_packed_window_has_one_language():
    source = make_source(languages=("de", "de", "ru"))
    windows = [window for step in plan([source], full_share=1.0, packed_share=1.0) for window in step]
    assert any(len(window.parts) > 1 for window in windows)
    assert all(len({source.languages[part.utterance] for part in window.parts}) == 1 for window in windows)


def test_full_steps_begin_when_they_are_told():
    steps = plan(full_share=1.0, packed_share=1.0, full_from=0.5)
    assert all(window.frames < FULL_FRAMES and len(window.parts) == 1 for windows in steps[:30] for window in windows)
    assert all(window.frames == FULL_FRAMES for windows in steps[30:] for window in windows)


def test_shares_are_kept():
    sources = [make_source(share=3.0), make_source(share=1.0, first_row=1000)]
    windows = [window for step in plan(sources, steps=400, full_share=0.25) for window in step]
    from_second = np.mean([window.parts[0].utterance >= 1000 for window in windows])
    assert from_second == pytest.approx(0.25, abs=0.03)
    assert np.mean([window.timestamps for window in windows]) == pytest.approx(0.5, abs=0.03)
    assert np.mean(
        [step[0].frames == FULL_FRAMES for step in plan(steps=400, full_share=0.25, packed_share=0.0)]
    ) == pytest.approx(0.25, abs=0.06)


def test_an_utterance_of_thirty_seconds_is_a_window_of_its_own():
    source = Source(1.0, np.arange(3), np.full(3, FULL_FRAMES), np.full(3, 100), ["de"] * 3)
    for windows in plan([source], full_share=1.0, packed_share=1.0):
        assert all(window.parts[0].offset == 0 and len(window.parts) == 1 for window in windows)


def windows_of(*args, **kwargs):
    return [window for windows in plan(*args, **kwargs) for window in windows]


def test_what_is_switched_on_moves_no_other_draw():
    """So that an experiment with a feature is comparable with the one without it, and old results can be had again."""
    plain = windows_of(steps=100, look_ahead=0)  # which fills what would else be cut off
    for changes in ({"previous_share": 0.5}, {"cut_off_share": 0.5}, {"one_speaker_share": 1.0}, {"speed": (0.5, 2.0)}):
        changed = windows_of(steps=100, look_ahead=0, **changes)
        assert [window.parts for window in changed] == [window.parts for window in plain]
        assert [window.timestamps for window in changed] == [window.timestamps for window in plain]


def test_what_the_window_cuts_off_is_heard_in_part_and_comes_again_whole():
    source = make_source()
    windows = windows_of([source], full_share=1.0, packed_share=1.0, cut_off_share=1.0)
    cut = [window for window in windows if window.cut_off]
    assert cut and all(window.timestamps for window in cut)  # nothing can be taught of it without
    for window in cut:
        first, length = window.cut_off.offset, source.frames[window.cut_off.utterance]
        last = window.parts[-1]
        assert last.offset + source.frames[last.utterance] < first < FULL_FRAMES < first + length
    times = Counter(part.utterance for window in windows for part in window.parts)
    assert len(times) == 50 and max(times.values()) - min(times.values()) <= 1


def test_no_window_is_cut_off_unless_it_is_wished():
    assert not any(window.cut_off for window in windows_of())


def test_a_share_of_the_windows_has_no_speech():
    windows = windows_of(steps=300, no_speech_share=0.2)
    silent = [window for window in windows if not window.parts]
    assert len(silent) / len(windows) == pytest.approx(0.2, abs=0.02)
    assert all(80 <= window.heard <= window.frames for window in silent)
    assert len({window.seed for window in windows}) == len(windows)


def test_steps_bounded_by_seconds_hold_as_many_windows_as_fit():
    steps = plan(full_share=0.0, packed_share=0.0, step_seconds=60.0, batch=40, jitter_seconds=0.0, steps=200)
    seconds = [len(windows) * windows[0].frames / 100 for windows in steps]
    assert max(seconds) <= 60.0 + 0.01 * 40  # a context is made even
    assert len({len(windows) for windows in steps}) > 5
    assert all(
        len(windows) % 2 == 0 for windows in steps
    )  # as many devices as divide two windows of 30 s divide each step
    assert np.mean(seconds) > 45
    times = Counter(heard(steps))
    assert len(times) == 50


def test_one_speaker_says_what_he_has_to_say():
    source = make_source(200, speakers=("anna", "bert", "carl", "dora"))
    for share, expected in ((0.0, 0.1), (1.0, 0.8)):
        windows = windows_of([source], full_share=1.0, packed_share=1.0, one_speaker_share=share, steps=50)
        several = [window for window in windows if len(window.parts) > 1]
        alone = [len({source.speakers[part.utterance] for part in window.parts}) == 1 for window in several]
        assert (np.mean(alone) < expected) if share == 0 else (np.mean(alone) > expected)
        times = Counter(part.utterance for window in windows for part in window.parts)
        assert len(times) == 200 and max(times.values()) - min(times.values()) <= 1


def test_windows_of_several_languages_are_filled_with_their_own():
    """Of 50 languages in one source, each window has one, and is not ended by the next utterance in another."""
    languages = [f"l{number}" for number in range(10)]
    source = make_source(1000, languages=languages)
    windows = windows_of([source], full_share=1.0, packed_share=1.0, steps=50)
    assert all(len({source.languages[part.utterance] for part in window.parts}) == 1 for window in windows)
    assert np.mean([len(window.parts) for window in windows]) > 3


def test_previous_texts_are_of_the_same_recording_where_there_is_one():
    before = np.array([i - 1 if i % 5 else -1 for i in range(50)])  # ten recordings of five utterances
    source = replace(make_source(), before=before)
    windows = windows_of([source], previous_share=0.5, steps=200)
    told = [window for window in windows if window.previous]
    assert len(told) / len(windows) == pytest.approx(0.5, abs=0.05)
    inside = [window for window in told if window.parts[0].utterance % 5]
    assert inside
    for window in inside:
        first = window.parts[0].utterance
        assert window.previous == tuple(range(first - len(window.previous), first))
        assert window.previous[0] // 5 == first // 5


def test_a_window_is_of_one_domain_and_what_nobody_says_is_told_one_too():
    """The prompt tells a window's domain: of two it would be wrong, and without it a model learns that no prompt is silence."""
    source = replace(make_source(200), domains=["normal", "dyslexic", "dyslexic"] * 66 + ["normal"] * 2)
    windows = windows_of([source], full_share=1.0, packed_share=1.0, no_speech_share=0.3, previous_share=1.0)
    for window in windows:
        assert len({source.domains[part.utterance] for part in window.parts}) <= 1
    silent = [window for window in windows if not window.parts]
    assert {source.domains[window.told_as] for window in silent} == {"normal", "dyslexic"}
    assert any(window.previous for window in silent)


def test_previous_texts_of_single_clips_are_others_in_the_same_language():
    source = make_source(languages=("de", "ru"))
    told = [window for window in windows_of([source], previous_share=1.0) if window.previous]
    assert told
    for window in told:
        spoken = source.languages[window.parts[0].utterance]
        assert {source.languages[row] for row in window.previous} == {spoken}
        assert window.parts[0].utterance not in window.previous


def test_speed_changes_lengths_and_nobody_gets_longer_than_a_window():
    source = make_source(size=60)
    source.frames[:10] = 2900
    windows = windows_of([source], speed_share=1.0, speed=(0.5, 1.5), full_share=1.0, packed_share=1.0, steps=40)
    speeds = {part.utterance: part.speed for window in windows for part in window.parts}
    assert 0.5 <= min(speeds.values()) < 0.7 and 1.3 < max(speeds.values()) <= 1.5
    assert all(speeds[row] >= 2900 / FULL_FRAMES for row in range(10))
    for window in windows:
        ends = [part.offset + source.frames[part.utterance] / part.speed for part in window.parts]
        assert ends[-1] <= FULL_FRAMES
        assert all(part.offset >= end for part, end in zip(window.parts[1:], ends, strict=False))
