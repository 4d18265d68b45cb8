"""A step is dealt out to devices and accumulation steps: every window once, wherever it goes."""

from collections import Counter

import pytest

from asr.windows import Part, RankBatches, Window


def steps(*sizes):
    """Steps of so many windows, each window another."""
    numbers = iter(range(10**6))
    return [[Window((Part(next(numbers), 0),), 100, False, False) for _ in range(size)] for size in sizes]


@pytest.mark.parametrize(("world", "accumulation"), [(1, 1), (1, 4), (2, 1), (2, 2), (4, 1)])
@pytest.mark.parametrize("sizes", [[8, 8, 4], [7, 11, 5]])  # the second: bounded by seconds
def test_devices_and_accumulation_share_a_step_out(sizes, world, accumulation):
    whole = steps(*sizes)
    ranks = [list(RankBatches(lambda: iter(whole), len(whole), accumulation, rank, world)) for rank in range(world)]
    for step, windows in enumerate(whole):
        shares = [batch for rank in ranks for batch in rank[step * accumulation : (step + 1) * accumulation]]
        assert Counter(window for share in shares for window in share) == Counter(windows)
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
        assert min(map(len, shares)) >= 1
    assert {len(batches) for batches in ranks} == {len(whole) * accumulation}
