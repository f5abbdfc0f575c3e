"""Softmax over keys: the one definition that the reader and the metrics share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]


def softmax(logits: Floats) -> Floats:
    """The softmax of `logits` [..., N] over the last axis, in their own precision.

    A key at -∞ gets 0. A row with a NaN or +∞, or with no key above -∞, is NaN throughout.
    Row sums of float32 are pairwise (numpy, along the contiguous axis) over terms in [0, 1], so
    they are right to (9 + log₂ N) ulp, less than exp's own error adds up to.
    """
    if logits.shape[-1] == 0:
        return logits.copy()
    with np.errstate(invalid="ignore"):
        weights, sums = exponentials(logits)
        weights /= sums
    return weights


def exponentials(logits: Floats) -> tuple[Floats, Floats]:
    """exp(`logits` less their largest) [..., N], and its sums [..., 1]: the softmax undivided."""
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        weights: Floats = logits - logits.max(axis=-1, keepdims=True, initial=-np.inf)
        np.exp(weights, out=weights)
        return weights, weights.sum(axis=-1, keepdims=True)
