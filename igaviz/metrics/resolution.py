"""Which differences between numbers are data: what rounding makes of one number is none.

A number that doesn't change is written in other digits by a scalars file than by the maps of the
next step. Whoever draws numbers takes from here how far apart two must be to be told apart.
"""

from __future__ import annotations

from typing import Final

from igaviz.metrics.table import BOUNDS

DIGITS: Final = 6
"""Significant digits of the numbers of a scalars file: fewer than float32's."""

_ROUNDED: Final = 10.0 ** (1 - DIGITS)
"""By this part of their size two numbers of `DIGITS` digits differ that were one."""

_HALF: Final = 2.0**-12
"""A share that is half a sum of differences of attention: float16, in which maps hold it, moves
each weight by up to 2⁻¹¹ of itself, and a sum of magnitudes doesn't average that out."""

_OF_DIFFERENCES: Final = frozenset({"geometry_effect", "content_effect"})

_NO_SHARE: Final = 1e-7
"""A smaller share is what float32 makes of none."""

_SPAN: Final = 50.0
"""A scale spans so many times what is resolved, at least: rounding is too small to be seen."""

_AROUND: Final = 0.1
"""A scale of one number reaches by this part of it to both sides."""


def resolved(metric: str, size: float) -> float:
    """By how much numbers of `metric` that are as large as `size` differ where they are two."""
    relative = _ROUNDED * abs(size)
    return max(relative, _HALF) if metric in _OF_DIFFERENCES else relative


def alike(metric: str, low: float, high: float) -> bool:
    """Whether `low` and `high`, and all between them, may be one number that was rounded."""
    return high - low <= resolved(metric, max(abs(low), abs(high)))


def least_span(metric: str, low: float, high: float) -> float:
    """How much a scale of `metric` must span, at least, that holds `low` to `high`."""
    return _SPAN * resolved(metric, max(abs(low), abs(high)))


def scale_ends(metric: str, low: float, high: float) -> tuple[float, float]:
    """Both ends of an even scale for numbers of `metric` from `low` to `high`.

    It begins at 0 where that is near, and stays within the bounds that the metric has.
    """
    low, high = without_noise(metric, low), without_noise(metric, high)
    least, most = BOUNDS.get(metric, (-float("inf"), float("inf")))
    if low == high == 0:
        return (least, most) if metric in BOUNDS else (0.0, 1.0)
    span = max(high - low, least_span(metric, low, high))
    middle = low / 2 + high / 2
    if alike(metric, low, high):
        middle = float(f"{middle:.{DIGITS - 1}g}")  # 0.0005 has round ends, 0.00050000004 none
        span = max(span, 2 * _AROUND * abs(middle))
    ends = max(middle - span / 2, least), min(middle + span / 2, most)
    if low >= 0 and ends[0] < 0.6 * high:
        return 0.0, min(max(high, span), most)
    return ends


def without_noise(metric: str, value: float) -> float:
    """`value`, or 0 where it is a share that is smaller than what rounding makes of none."""
    return 0.0 if metric in BOUNDS and abs(value) < _NO_SHARE else value
