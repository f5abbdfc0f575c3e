"""A number, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
Heads = npt.NDArray[np.float64] | Sequence[Result]
"""A number of each head."""

Columns = dict[str, list[Result]]
"""Results of some heads, by metric."""


def quotient(
    numerator: float | Missing, denominator: float | Missing, reason: str
) -> float | Missing:
    """`numerator / denominator`, missing where one of them is, or for `reason` where it is by 0."""
    if isinstance(numerator, Missing):
        return numerator
    if isinstance(denominator, Missing):
        return denominator
    return Missing(reason) if denominator == 0 else float(numerator) / float(denominator)


def quotients(numerators: Heads, denominators: Heads | float, reason: str) -> list[Result]:
    """The `quotient` of each head; one denominator may serve them all."""
    above = _listed(numerators)
    below = [denominators] * len(above) if isinstance(denominators, float) else denominators
    return [quotient(a, b, reason) for a, b in zip(above, _listed(below), strict=True)]


def _listed(numbers: Heads) -> list[Any]:
    return numbers.tolist() if isinstance(numbers, np.ndarray) else [*numbers]


def medians(
    values: npt.NDArray[np.float64], reason: str, counted: npt.NDArray[np.bool_] | None = None
) -> list[Result]:
    """The median of each row of [H, Q] `values`, of those that are `counted`.

    Missing for `reason` where there are none.
    """
    n_heads, n_values = values.shape
    if not n_values:
        return [Missing(reason)] * n_heads
    count = np.full(n_heads, n_values)
    if counted is not None:
        values, count = np.where(counted, values, np.inf), counted.sum(axis=1)
    ordered = np.sort(values, axis=1)  # NaN last; far less ado than np.median's for a few hundred
    heads = np.arange(n_heads)
    middle = (ordered[heads, (count - 1) // 2] + ordered[heads, count // 2]) / 2
    middle[np.isnan(ordered[:, -1])] = np.nan
    return [m if n else Missing(reason) for m, n in zip(middle.tolist(), count, strict=True)]


def alike(result: Result, names: Iterable[str], n_heads: int) -> Columns:
    """The same result under each of `names`, for so many heads."""
    return {name: [result] * n_heads for name in names}


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
