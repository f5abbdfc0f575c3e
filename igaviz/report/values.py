"""Numbers in few characters, and many of them as a line."""

from __future__ import annotations

from collections.abc import Sequence

from igaviz.metrics import Value

_BARS = "▁▂▃▄▅▆▇█"
_ASCII_BARS = "_.-=*#"
_SPARK_WIDTH = 24


def short(value: Value) -> str:
    """A metric in at most eight characters; a dash where it has no value."""
    if value is None or isinstance(value, str):
        return value or "–"
    if value == 0 or 0.001 <= abs(value) < 10_000:
        return f"{value:.3g}"
    return f"{value:.1e}"


def sparkline(values: Sequence[float], *, utf8: bool = True, width: int = _SPARK_WIDTH) -> str:
    """The course of `values` as a line of small bars, from their least to their largest."""
    bars = _BARS if utf8 else _ASCII_BARS
    stride = max(1, -(-len(values) // width))
    picked = [*values[:-1:stride], values[-1]]
    low, high = min(picked), max(picked)
    if high == low:
        return bars[0] * len(picked)
    return "".join(bars[round((v - low) / (high - low) * (len(bars) - 1))] for v in picked)
