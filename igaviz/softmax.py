"""Row softmax in numpy, the one definition that the reader and the metrics share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]


def softmax(logits: Floats) -> Floats:
    """Softmax over the last axis, in the type of `logits`.

    −∞ gets no weight. A row that holds NaN or +∞, or nothing but −∞, is NaN throughout: it has no
    weights, and nothing is made up for it.
    """
    with np.errstate(all="ignore"):
        shifted = logits - logits.max(axis=-1, keepdims=True)
        weights: Floats = np.exp(shifted, out=shifted)
        weights /= weights.sum(axis=-1, keepdims=True)
    return weights
