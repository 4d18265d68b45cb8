"""Results come in the items' order whatever the number of processes, and a dead worker is said."""

import os
import signal

import pytest

from asr.errors import UserError
from asr.pool import in_order


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("count", [0, 1, 200])
def test_the_order_is_the_items(processes, count):
    assert list(in_order(abs, iter(range(-count, 0)), processes)) == list(range(count, 0, -1))


def test_items_are_not_read_far_ahead():
    drawn = []
    results = in_order(abs, (drawn.append(i) or i for i in range(10_000)), 2)
    next(results)
    results.close()
    assert len(drawn) < 500


def test_a_worker_that_dies_is_said():
    with pytest.raises(UserError, match=r"one of 2 worker processes died, perhaps out of memory; .*WORKERS=1"):
        list(in_order(os._exit, [1], 2))


def interrupting(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGINT)
    return number


def test_ctrl_c_waits_for_the_end_of_the_task_and_is_not_lost():
    before = signal.getsignal(signal.SIGINT)
    results = in_order(interrupting, range(9), 1, task_items=2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(KeyboardInterrupt):
        next(results)
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_does_not_end_a_worker():
    assert list(in_order(interrupting, range(9), 2, task_items=2)) == list(range(9))
