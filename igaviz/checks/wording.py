"""How numbers and lists are said: rounded for people, never with more digits than they mean."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence

_EXPONENT = re.compile(r"(?<=\d)(?:\.0)?e\+?(-?)0*(\d+)")
"""That of 2.0e-05, with the mantissa's digits that say nothing."""


def number(value: float) -> str:
    """`value` with three significant digits and no exponent where people can do without."""
    if not math.isfinite(value):
        return "not finite"
    size = abs(value)
    if size >= 1e7 or 0 < size < 1e-5:
        return raised(f"{value:.2g}")
    if size >= 100:
        return f"{value:,.0f}"
    return raised(f"{value:.3g}")


def raised(text: str) -> str:
    """`text` with the exponents of Python's numbers as people write them: 2e−5, not 2e-05."""
    return _EXPONENT.sub(lambda found: f"e{found[1].replace('-', '−')}{found[2]}", text)


def span(values: Iterable[float], say: Callable[[float], str] = number) -> str:
    """The range of `values` in words: `0.8–2.5 %`, or one number where the ends read the same."""
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return "not finite"
    low, high = say(min(known)), say(max(known))
    if low == high:
        return low
    unit = " %"
    dash = " to " if low.startswith("-") or high.startswith("-") else "–"
    return f"{low.removesuffix(unit) if high.endswith(unit) else low}{dash}{high}"


def ranges(numbers: Iterable[int]) -> str:
    """Whole numbers as `0-3, 5`; sorted, each once."""
    runs: list[list[int]] = []
    for value in sorted(set(numbers)):
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def counted(count: int, noun: str) -> str:
    """`1 map`, `12 maps`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def listed(words: Sequence[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"
