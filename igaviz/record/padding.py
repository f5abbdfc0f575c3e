"""Padding that was recorded as if it were residues: seen in the maps themselves."""

from __future__ import annotations

import numpy as np

from igaviz.dump.data import Booleans, Floats
from igaviz.dump.masks import APART, SAME_LEVEL, WEAKEST
from igaviz.dump.write import LayerRecord

FELT = 10.0
"""Nats below the largest logit of its row: a key that is nearer gets attention in any type."""


def padding_in(layer: LayerRecord) -> Booleans | None:
    """[N]: the keys that a mask which isn't recorded leaves out; None where there are none.

    Such a mask stands in their logits, in every row and head, or shows in the attention: it is
    exactly 0 from all residues but themselves, in every head, and its terms would have given some.
    A mask of pairs leaves padded residues any attention, hence "but themselves".
    """
    if layer.logits_before is None:
        return None
    masked = _under_a_mask(layer.logits_before)
    if masked.any():
        return masked
    if layer.attention is None or layer.geo_bias is None:
        return None
    given: Booleans = np.any(layer.attention != 0, axis=0)
    unattended: Booleans = ~np.all(given, axis=0)
    others = ~unattended
    if not unattended.any() or not others.any() or given[np.ix_(others, unattended)].any():
        return None
    logits = (layer.logits_before + layer.geo_bias_sign * layer.geo_bias)[:, others]
    below = logits.max(axis=-1, keepdims=True) - logits[..., unattended]
    felt: Booleans = np.any(below < FELT, axis=(0, 1))
    return unattended if felt.all() else None


def _under_a_mask(logits: Floats) -> Booleans:
    """[N]: the keys whose logits [H, N, N] are all far below 0, and about the same.

    None are where they aren't far below the others too: the logits of a model that diverges are as
    large as a mask, and may be alike in every row.
    """
    highest, lowest = logits.max(axis=(0, 1)), logits.min(axis=(0, 1))
    with np.errstate(over="ignore", invalid="ignore"):
        alike: Booleans = (lowest >= SAME_LEVEL * highest) | np.isneginf(highest)
        masked: Booleans = (highest <= WEAKEST) & alike
        content = logits[:, ~masked][:, :, ~masked]
        if not content.size or not masked.any():
            return np.zeros_like(masked)
        least, most = float(content.min()), float(content.max())
        if not highest[masked].max() < least - APART * (most - least):
            return np.zeros_like(masked)
    return masked
