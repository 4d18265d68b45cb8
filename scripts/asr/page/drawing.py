"""Where the page's figures are drawn: scales with round numbers, and the points of curves.

scale = Scale.of([(0.02, 0.01, 0.03), (6.95, 6.9, 7.1)])    # ends at 0.03, so that small rates can be told apart
scale.at(0.02)                                              # 66.67, per cent of the width
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

FAR = 8  # times the next largest: a model so far off is drawn at the edge


@dataclass(frozen=True)
class Scale:
    """From `start` to `end`, with `ticks` at round numbers."""

    start: float
    end: float
    ticks: tuple[float, ...]

    @classmethod
    def of(cls, intervals: Iterable[tuple[float, float, float]]) -> "Scale":
        """From 0, for intervals (value, low, high), so that all can be seen but those that are far above the rest."""
        largest = sorted(max(interval) for interval in intervals if all(map(math.isfinite, interval)))
        while len(largest) > 1 and largest[-1] > FAR * max(largest[-2], 1e-6):
            largest.pop()
        return cls.between(0, largest[-1] if largest else 0)

    @classmethod
    def between(cls, low: float, high: float) -> "Scale":
        """From a round number at or below `low` to one at or above `high`."""
        width = high - low if high > low else abs(high) or 1
        step = 10 ** math.floor(math.log10(width / 2))
        step *= next(factor for factor in (1, 2, 5, 10) if width / (step * factor) <= 5)
        first, last = math.floor(low / step + 1e-9), math.ceil(max(high, low + width) / step - 1e-9)
        return cls(first * step, last * step, tuple(number * step for number in range(first, last + 1)))

    def at(self, value: float) -> float:
        """Per cent of the way from start to end, within them."""
        return round(100 * min(max((value - self.start) / (self.end - self.start), 0), 1), 2)

    def holds(self, value: float) -> bool:
        return self.start - 1e-9 <= value <= self.end + 1e-9


@dataclass(frozen=True)
class Drawn:
    """A curve in a field of `width` by `height`."""

    name: str
    path: str  # of SVG
    across: Scale
    up: Scale
    last: tuple[float, float]  # step, value
    least: tuple[float, float]


def draw(name: str, points: Sequence[tuple[float, float]], width: float, height: float) -> Drawn | None:
    """The curve's finite points; none if there are none."""
    points = [point for point in points if all(map(math.isfinite, point))]
    if not points:
        return None
    steps, values = zip(*points, strict=True)
    across, up = Scale.between(min(*steps, 0), max(steps)), Scale.between(min(*values, 0), max(values))
    places = [f"{across.at(x) * width / 100:.1f} {height - up.at(y) * height / 100:.1f}" for x, y in points]
    # A curve of one point is a dot: a line without length has round ends.
    path = f"M{'L'.join(places)}" if len(places) > 1 else f"M{places[0]}h0"
    return Drawn(name, path, across, up, points[-1], min(points, key=lambda point: point[1]))
