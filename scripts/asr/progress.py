"""How far a long loop has come: a bar with an ETA on a terminal, a line every half minute in a log."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")

LOG_SECONDS = 30.0


def progress(items: Iterable[T], total: int, what: str, unit: str) -> Iterator[T]:
    """`items` as they are; `total` is their number, `what` the verb in front of the bar, `unit` one of them."""
    bar = tqdm(items, total=total, desc=what, unit=f" {unit}", disable=None)
    if not bar.disable:
        yield from bar
        return
    start = said = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - said >= LOG_SECONDS:
            said = now
            print(tqdm.format_meter(done, total, now - start, prefix=what, unit=f" {unit}"), flush=True)
