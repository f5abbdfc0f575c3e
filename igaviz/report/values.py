"""Numbers in few characters, and many of them as a line."""

from __future__ import annotations

from collections.abc import Sequence

from igaviz.checks.wording import raised
from igaviz.metrics import Value
from igaviz.metrics.resolution import least_span

SPARKS = "▁▂▃▄▅▆▇█"
"""The bars of a sparkline, from low to high."""
_ASCII_BARS = "_.-=*#"
_SPARK_WIDTH = 24


def short(value: Value) -> str:
    """A metric in at most eight characters; a dash where it has no value."""
    if value is None or isinstance(value, str):
        return value or "–"
    if value == 0 or 0.001 <= abs(value) < 10_000:
        return f"{value:.3g}"
    return raised(f"{value:.1e}")


def sparkline(
    values: Sequence[float], metric: str, *, utf8: bool = True, width: int = _SPARK_WIDTH
) -> str:
    """The course of `values` of a metric as a line of small bars, from the least to the largest.

    Bars that only rounding tells apart are the same.
    """
    bars = SPARKS if utf8 else _ASCII_BARS
    stride = max(1, -(-len(values) // width))
    picked = [*values[:-1:stride], values[-1]]
    low, high = min(picked), max(picked)
    span = max(high - low, least_span(metric, low, high)) or 1.0
    return "".join(bars[round((v - low) / span * (len(bars) - 1))] for v in picked)
