"""A function over many items in several processes, in the items' order.

    for flac in in_order(partial(recording, seed=1), clips, workers()): ...
    for path in in_order(partial(prepare_slice, …), slices, workers(), task_items=1): ...

The function is pickled with each task. asr.cluster does the same on many machines.
"""

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context, parent_process
from threading import Thread, current_thread, main_thread
from typing import TypeVar

from asr.errors import UserError

T = TypeVar("T")
R = TypeVar("R")

TASKS_AHEAD = 4  # tasks a worker, in flight or waiting: bounds the memory


def in_order(function: Callable[[T], R], items: Iterable[T], processes: int, task_items: int = 16) -> Iterator[R]:
    """`function` of each item, in the order of `items`, computed by a bounded number of tasks ahead.

    The result does not depend on `processes`; with one it is computed here. `task_items` are handed to a process at once.

    Raises:
        UserError: a worker died.
    """
    items = iter(items)
    tasks = iter(lambda: list(islice(items, task_items)), [])
    if processes == 1:
        for task in tasks:
            with _interrupted_afterwards():
                results = _run(function, task)
            yield from results
        return
    # spawn: a forked child would inherit the locks of this process's threads
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=_start_worker) as pool:
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


@contextmanager
def _interrupted_afterwards() -> Iterator[None]:
    """Ctrl-C waits for the end of the task: inside of a library's callback Python drops the KeyboardInterrupt, and a
    recording that is read or written at that moment would end there without an error.
    """
    if current_thread() is not main_thread():
        yield
        return
    pressed = []
    before = signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


def _start_worker() -> None:
    """A worker whose parent is killed would wait for ever; Ctrl-C is its parent's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent_process().join()
    os._exit(1)


def _run(function: Callable[[T], R], task: list[T]) -> list[R]:
    return [function(item) for item in task]
