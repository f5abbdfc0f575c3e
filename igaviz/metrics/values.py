"""A number, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from igaviz.metrics.data import Value


@dataclass(frozen=True)
class Missing:
    """Why a metric has no value."""

    reason: str


Result = float | int | str | Missing
"""What a metric's function gives back."""

Results = dict[str, Result]


def quotient(
    numerator: float | Missing, denominator: float | Missing, reason: str
) -> float | Missing:
    """`numerator / denominator`, missing where one of them is, or for `reason` where it is by 0."""
    if isinstance(numerator, Missing):
        return numerator
    if isinstance(denominator, Missing):
        return denominator
    return Missing(reason) if denominator == 0 else float(numerator) / float(denominator)


def median(values: npt.NDArray[np.float64], reason: str) -> float | Missing:
    """The median of `values`, missing for `reason` where there are none."""
    if not len(values):
        return Missing(reason)
    ordered = np.sort(values)  # NaN last; far less ado than np.median's for a few hundred values
    middle = (ordered[(len(values) - 1) // 2] + ordered[len(values) // 2]) / 2
    return float(middle if ordered[-1] == ordered[-1] else ordered[-1])


def settle(results: Mapping[str, Result]) -> tuple[dict[str, Value], dict[str, str]]:
    """The values, None where missing or not finite, and the reasons of what is None, by name."""
    values: dict[str, Value] = {}
    reasons: dict[str, str] = {}
    for name, result in results.items():
        if isinstance(result, Missing):
            values[name], reasons[name] = None, result.reason
        elif isinstance(result, float) and not math.isfinite(result):
            values[name], reasons[name] = None, "it is not finite"
        else:
            values[name] = result
    return values, reasons
