"""How far a long loop has come: a bar with an ETA on a terminal, a line every half minute in a log."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")

LOG_SECONDS = 30.0


def progress(
    items: Iterable[T], total: int | None, what: str, unit: str, size: Callable[[T], int] = lambda _: 1
) -> Iterator[T]:
    """`items` as they are; `what` is the verb in front of the bar, `total` counts `unit`s, of which an item
    has `size`; None: nobody knows.
    """
    bar = tqdm(total=total, desc=what, unit=f" {unit}", disable=None)
    start = said = time.monotonic()
    done = 0
    for item in items:
        yield item
        done += size(item)
        if not bar.disable:
            bar.update(size(item))
            continue
        now = time.monotonic()
        if now - said >= LOG_SECONDS:
            said = now
            print(tqdm.format_meter(done, total, now - start, prefix=what, unit=f" {unit}"), flush=True)
    bar.close()
