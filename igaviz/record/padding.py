"""Padding that was recorded as if it were residues: seen in the maps themselves."""

from __future__ import annotations

import numpy as np

from igaviz.dump.data import Booleans
from igaviz.dump.write import LayerRecord

MASKED = -5e3
"""Half of -1e4, the weakest of the additive masks that are common."""


def unattended(layer: LayerRecord) -> Booleans | None:
    """[N]: the keys that no other residue attends in any head; None where that is not one group.

    They are what an additive mask in the logits is laid over in every row, or, where attention was
    recorded, keys to which all residues but themselves give exactly 0. A mask of pairs leaves
    padded residues their attention to each other and to all, hence "but themselves".
    """
    if layer.logits_before is not None:
        masked: Booleans = layer.logits_before.max(axis=(0, 1)) <= MASKED
        if masked.any():
            return masked
    if layer.attention is None:
        return None
    given: Booleans = np.any(layer.attention != 0, axis=0)
    left_out: Booleans = ~np.all(given, axis=0)
    if left_out.all() or given[np.ix_(~left_out, left_out)].any():
        return None
    return left_out if left_out.any() else None
