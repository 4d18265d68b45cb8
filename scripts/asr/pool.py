"""A function over many items in several processes, in the items' order.

    for result in in_order(checks.prepare, items, workers()): ...

The function is pickled with each task.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

from asr.errors import UserError

T = TypeVar("T")
R = TypeVar("R")

TASK_ITEMS = 16  # handed to a worker at once
TASKS_AHEAD = 4  # tasks a worker, in flight or waiting: bounds the memory


def in_order(function: Callable[[T], R], items: Iterable[T], processes: int) -> Iterator[R]:
    """`function` of each item, in the order of `items`, computed by a bounded number of tasks ahead.

    The result does not depend on `processes`; with one it is computed here.

    Raises:
        UserError: a worker died.
    """
    items = iter(items)
    tasks = iter(lambda: list(islice(items, TASK_ITEMS)), [])
    if processes == 1:
        for task in tasks:
            yield from _run(function, task)
        return
    # spawn: a forked child would inherit the locks of this process's threads
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        waiting = deque()
        try:
            for task in tasks:
                waiting.append(pool.submit(_run, function, task))
                if len(waiting) >= processes * TASKS_AHEAD:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        except BrokenProcessPool as error:
            raise UserError(
                f"one of {processes} worker processes died, perhaps out of memory; run the stage again with WORKERS=1, "
                "which computes everything in this process, or free some memory"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _run(function: Callable[[T], R], task: list[T]) -> list[R]:
    return [function(item) for item in task]
