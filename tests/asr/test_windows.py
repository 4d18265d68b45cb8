"""Laws of the window plan: nothing lost, nothing doubled, the same for any number of devices."""

from collections import Counter

import numpy as np
import pytest

from asr.windows import FULL_FRAMES, POOLED_STEPS, RankBatches, Shapes, Source, plan_steps


def make_source(size=50, share=1.0, languages=("de",), first_row=0, seed=3):
    rng = np.random.default_rng(seed)
    return Source(
        share=share,
        rows=np.arange(first_row, first_row + size),
        frames=rng.integers(80, 900, size),
        tokens=rng.integers(3, 60, size),
        languages=[languages[i % len(languages)] for i in range(size)],
    )


def make_shapes(**changes):
    values = {
        "full_share": 0.3, "full_batch": 4, "jitter_seconds": 1.0, "packed_share": 0.7, "packed_batch": 12, "full_from": 0.0,
        "gap_seconds": (0.1, 1.0), "timestamps_share": 0.5, "zero_padded_share": 0.5, "frequency_warp": 0.1, "packed_seconds": (30.0, 30.0),
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
        heard(plan(full_share=0.0, packed_share=0.0, steps=2 * POOLED_STEPS))
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
        [make_source(500)], full_share=0.0, full_from=0.2, packed_share=1.0, packed_seconds=(10.0, 25.0), steps=100
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


@pytest.mark.parametrize(("world", "accumulation"), [(1, 1), (1, 4), (2, 1), (2, 2), (4, 1)])
def test_devices_and_accumulation_share_a_step_out(world, accumulation):
    whole = plan(steps=10)
    ranks = [list(RankBatches(lambda: iter(whole), 10, accumulation, rank, world)) for rank in range(world)]
    for step, windows in enumerate(whole):
        dealt = [w for rank in ranks for batch in rank[step * accumulation : (step + 1) * accumulation] for w in batch]
        assert Counter(dealt) == Counter(windows)
    assert {len(batches) for batches in ranks} == {10 * accumulation}
