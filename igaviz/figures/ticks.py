"""Where an axis has its ticks, and what is written there."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.ticker import MaxNLocator

from igaviz.figures import text

_FEW = 4  # where few ticks have room, a quarter would take a digit more
_LONGEST = len("−0.25")
"""Longer labels would run into the name of their axis."""


def value_ticks(
    low: float, high: float, *, log: bool = False, most: int = 5
) -> tuple[list[float], list[str]]:
    """Places and labels of ticks between two values: decades, or round numbers."""
    if log:
        first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
        exponents = range(first, last + 1, max(1, math.ceil((last - first) / most)))
        return [10.0**e for e in exponents], [_decade(e) for e in exponents]
    steps = [1, 2, 5, 10] if most <= _FEW else [1, 2, 2.5, 5, 10]
    ticks = MaxNLocator(nbins=most, steps=steps).tick_values(low, high)
    slack = 1e-9 * max(abs(low), abs(high))  # an end that is a round number but for rounding
    inside = [float(tick) for tick in ticks if low - slack <= tick <= high + slack]
    return inside, _round_labels(inside)


def scaled_ticks(low: float, high: float, *, most: int = 5) -> tuple[list[float], list[str], str]:
    """Ticks between two values, and the power of ten that their labels are in units of, or nothing.

    The labels are short, with fewer ticks where many would take more digits; longer ones are left
    where the values differ by less than a hundredth of themselves.
    """
    largest = max(abs(low), abs(high))
    exponents = [0] if largest == 0 or 0.02 <= largest < 1_000 else []
    if largest:
        exponents.append(3 * math.floor(math.log10(largest) / 3))
    choices = [
        (*value_ticks(low / 10.0**exponent, high / 10.0**exponent, most=count), exponent)
        for count in range(most, 1, -1)
        for exponent in exponents
    ]
    told_apart = [choice for choice in choices if len(choice[0]) > 1] or choices
    ticks, labels, exponent = min(told_apart, key=lambda choice: max(_LONGEST, _longest(choice[1])))
    power = f"10{text.superscript(exponent)}" if exponent else ""
    return [t * 10.0**exponent for t in ticks], labels, power


def axis_name(title: str, power: str, unit: str = "") -> str:
    """The name of an axis whose numbers are in units of `power` of ten times `unit`."""
    inside = f"{power} {unit}".strip() if unit or not power else f"× {power}"
    return f"{title} ({inside})" if inside else title


def signed_ticks(high: float, within: float) -> tuple[list[float], list[str]]:
    """Decades from `within` to `high` with both signs, and 0 between them."""
    decades, labels = value_ticks(within, high, log=True)
    return (
        [-decade for decade in reversed(decades)] + [0.0] + decades,
        [f"−{label}" for label in reversed(labels)] + ["0"] + labels,
    )


def _decade(exponent: int) -> str:
    return {0: "1", -1: "0.1", -2: "0.01"}.get(exponent, f"10{text.superscript(exponent)}")


def _longest(labels: Sequence[str]) -> int:
    return max(map(len, labels), default=0)


def _round_labels(ticks: Sequence[float]) -> list[str]:
    """Labels of evenly spaced ticks, with as many digits as their spacing needs."""
    largest = max((abs(tick) for tick in ticks), default=0.0)
    spacing = ticks[1] - ticks[0] if len(ticks) > 1 else largest or 1.0
    if largest >= 1e5 or 0 < largest < 1e-3:
        digits = 3 + math.floor(math.log10(largest / spacing))  # one more than a round spacing has
        return [text.decimal(tick, digits) for tick in ticks]
    places = max(0, 1 - math.floor(math.log10(spacing)))
    labels = [f"{tick:,.{places}f}" for tick in ticks]
    while places and all(label.endswith("0") for label in labels):
        places -= 1
        labels = [label[:-1] for label in labels]
    return [label.rstrip(".").replace("-", "−") for label in labels]
