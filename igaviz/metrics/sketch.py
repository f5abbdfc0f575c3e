"""A few numbers of a map from which two maps of the same item can be compared later.

Random bilinear forms uᵀ(A − 1/N)v with signs ±1: the mean product of two maps' numbers estimates
the sum of products of their entries (for signs of equal chance it is that on average), so cosines
and distances of maps come from these few numbers and no map has to be kept. The signs depend on N
alone. Of two maps that are alike the estimate is good: its error goes with their difference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from igaviz.dump.data import Floats

FORMS = 48
"""How many numbers stand for a map."""

_SEED = 209

Sketch = tuple[float, ...]


def sketch(attention: Floats) -> Sketch:
    """The numbers that stand for the square map `attention`, less the uniform map."""
    n = len(attention)
    left, right, uniform = _signs(n)
    seen = attention @ right
    seen -= uniform
    seen *= left
    return tuple(seen.sum(axis=0).tolist())


def closest(sketches: Sequence[Sketch]) -> list[float | None]:
    """The largest cosine of each map with another one, None where all others or it are uniform."""
    forms = np.array(sketches, dtype=np.float64).reshape(len(sketches), FORMS)
    with np.errstate(all="ignore"):  # a hostile map's forms may overflow: it is like no other
        products = forms @ forms.T
        squares = products.diagonal()
        cosines = products / np.sqrt(squares[:, None] * squares)
    cosines[~np.isfinite(cosines)] = -np.inf
    np.fill_diagonal(cosines, -np.inf)
    best = cosines.max(axis=1, initial=-np.inf)
    return [float(cosine) if np.isfinite(cosine) else None for cosine in best]


def moved(before: Sequence[float], after: Sequence[float]) -> float | None:
    """How far a map went, by the larger of the two's distance from uniform; None where both are it.

    The root of the summed squares of A_after − A_before by that of the map less the uniform one: 0
    where nothing moved, about √2 where the two have nothing to do with each other.
    """
    size = math.sqrt(max(_dot(before, before), _dot(after, after)))
    difference = [b - a for a, b in zip(before, after, strict=True)]
    return math.sqrt(_dot(difference, difference)) / size if size > 0 else None


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return math.fsum(a * b for a, b in zip(one, other, strict=True))


@lru_cache(maxsize=4)
def _signs(n: int) -> tuple[Floats, Floats, Floats]:
    """The left and the right signs [N, 48], and what the uniform map makes of the right ones."""
    generator = np.random.default_rng([_SEED, n])
    signs: npt.NDArray[Any] = generator.integers(0, 2, size=(2, n, FORMS), dtype=np.int8)
    left, right = (2 * signs - 1).astype(np.float32)
    return left, right, (right.sum(axis=0, dtype=np.float64) / n).astype(np.float32)
