"""Two distributions of one number, side by side, with a threshold between them, as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from igaviz.checks.wording import number

BINS = 10
BAR = 24
_FULL, _PARTS = "█", " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True)
class Numbers:
    """A number of healthy and of sick maps; it counts as sick beyond `threshold`."""

    name: str
    threshold: float
    above: bool
    healthy: Sequence[float]
    sick: Sequence[float]

    @property
    def healthy_beyond(self) -> int:
        """How many healthy ones are beyond the threshold."""
        return sum(self._beyond(value) for value in self.healthy)

    @property
    def sick_within(self) -> int:
        """How many sick ones are not."""
        return sum(not self._beyond(value) for value in self.sick)

    def _beyond(self, value: float) -> bool:
        return value > self.threshold if self.above else value < self.threshold


def histogram(numbers: Numbers) -> list[str]:
    """The lines of the picture: bins from small to large, bars relative to each side's maps."""
    edges = _edges(numbers)
    places = [_label(low, high) for low, high in pairwise(edges)]
    width = max(map(len, places))
    left, right = _counts(numbers.healthy, edges), _counts(numbers.sick, edges)
    lines = [f"{numbers.name:<{width}}  {'healthy':<{BAR + 7}}  sick".rstrip()]
    for low, place, good, bad in zip(edges, places, left, right, strict=False):
        if low == numbers.threshold:
            lines.append(f"{'─' * width}  threshold {numbers.threshold:g}")
        cells = _cell(good, len(numbers.healthy)), _cell(bad, len(numbers.sick))
        lines.append(f"{place:<{width}}  {cells[0]:<{BAR + 7}}  {cells[1]}".rstrip())
    return lines


def _edges(numbers: Numbers) -> list[float]:
    """The ends of the bins, the threshold among them, the outer ones infinite."""
    values = [v for v in (*numbers.healthy, *numbers.sick) if math.isfinite(v)]
    low, high = min(values, default=0.0), max(values, default=0.0)
    threshold = numbers.threshold
    if threshold > 0 and low >= 0:
        least = min((value for value in values if value > 0), default=threshold)
        decades = math.log10(max(high, threshold) / min(least, threshold))
        factor = max(1.5, 10 ** (min(decades, 6.0) / (BINS - 2)))
        steps = [threshold * factor**k for k in range(-BINS, BINS + 1)]
    else:
        width = max(high - low, 1e-6) / (BINS - 2)
        steps = [threshold + width * k for k in range(-BINS, BINS + 1)]
    inner = [edge for edge in steps if low < edge < high or edge == threshold]
    nearest = sorted(inner, key=lambda edge: abs(inner.index(edge) - inner.index(threshold)))
    return [-math.inf, *sorted(nearest[: BINS - 1]), math.inf]


def _counts(values: Sequence[float], edges: Sequence[float]) -> list[int]:
    return [
        sum(low <= value < high or value == high == math.inf for value in values)
        for low, high in pairwise(edges)
    ]


def _label(low: float, high: float) -> str:
    if low == -math.inf:
        return f"< {number(high)}"
    return f"≥ {number(low)}" if high == math.inf else f"{number(low)} to {number(high)}"


def _cell(count: int, total: int) -> str:
    if not count:
        return "·" if total else ""
    eighths = max(1, round(8 * BAR * count / total))
    bar = _FULL * (eighths // 8) + _PARTS[eighths % 8].strip()
    return f"{bar} {count}"
