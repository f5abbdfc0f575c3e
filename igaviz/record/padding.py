"""Padding that was recorded as if it were residues: seen in the maps themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from igaviz.dump.data import Booleans, Floats
from igaviz.dump.masks import APART, SAME_LEVEL, WEAKEST
from igaviz.dump.write import LayerRecord, StepRecord
from igaviz.metrics.replay import NO_CHANCE, ROUNDING

FELT = 5.0
"""Nats below the largest logit of its row: a key that is nearer gets attention in any type."""

_NAMED = 6
"""So many items or layers are named, and the others counted."""


def padding_said(record: StepRecord) -> str:
    """Which items seem to hold padding, in which layers, as a question; "" where none does."""
    layers: set[int] = set()
    items: list[str] = []
    for item in record.items:
        counts = {}
        for layer in item.layers:
            keys = padding_in(layer, item.ca if layer.ca is None else layer.ca)
            if keys is not None:
                counts[layer.layer] = int(keys.sum())
        if counts:
            layers |= counts.keys()
            residues = "" if items else " residues"
            items.append(
                f"{max(counts.values())} of the {len(item.ca)}{residues} of item {item.batch}"
            )
    if not items:
        return ""
    word = "layer" if len(layers) == 1 else "layers"
    named = _some([str(layer) for layer in sorted(layers)])
    return f"{_some(items)} get no attention from any other ({word} {named}): is this padding?"


def padding_in(layer: LayerRecord, ca: Floats) -> Booleans | None:
    """[N]: the keys that a mask which isn't recorded leaves out; None where there are none.

    Such a mask stands in their logits, in every row and head. Or it shows in the attention: no
    other residue gives them any, in any head, though its terms would have given some, or they lie
    on one point, `ca` [N, 3]. Local attention gives most residues nothing, but each of them to
    itself, and to those beside it.
    """
    if layer.logits_before is not None:
        masked = _under_a_mask(layer.logits_before)
        if masked.any():
            return masked
    if layer.attention is None:
        return None
    given: Booleans = np.any(layer.attention != 0, axis=0)
    if given.all():
        return None
    pairs = _lacking(layer, given)
    lacking: Booleans = np.any(pairs, axis=0)
    unseen = ~given.any(axis=0)
    stacked = _on_one_point(ca)
    for keys in (lacking | unseen if lacking.any() else lacking, stacked):
        padded = _with_who_attends(keys, given)
        # Of causal attention the first residue alone is left.
        if not padded.any() or np.count_nonzero(~padded) < 2:
            continue
        # Padding may be under a causal mask too: its own queries then lack later keys only.
        if np.array_equal(padded, stacked) or not _one_way(pairs, padded):
            return padded
    return None


def _one_way(lacking: Booleans, padded: Booleans) -> bool:
    """Whether queries at `padded` [N] lack some of these keys too, and later ones only.

    Then a mask between residues hides them: causal, or by blocks. Padded queries lack themselves
    and earlier ones as well, or nothing. Of a mask in two blocks the second lacks nothing either:
    it looks like padding.
    """
    among = lacking[np.ix_(padded, padded)]
    return bool(np.count_nonzero(among) >= NO_CHANCE and not np.tril(among).any())


def _with_who_attends(keys: Booleans, given: Booleans) -> Booleans:
    """[N]: `keys`, whoever gives them attention, whoever gives those, and so on.

    What queries at padded positions give proves nothing: a mask of pairs leaves them any. From a
    residue this leads to its neighbours, and theirs, and so to all.
    """
    found, fresh = keys.copy(), keys
    while fresh.any():
        fresh = given[:, fresh].any(axis=1) & ~found
        found |= fresh
    return found


def _lacking(layer: LayerRecord, given: Booleans) -> Booleans:
    """[N, N]: queries that would give a key attention by their terms, in some head.

    And give it nothing, in any head. A query that gives nothing to anyone doesn't count.
    """
    found = np.zeros_like(given)
    if layer.logits_before is None or layer.geo_bias is None:
        return found
    nothing = ~given & given.any(axis=1, keepdims=True)
    per_nat = 2 * ROUNDING[layer.compute_dtype or "float32"]
    with np.errstate(over="ignore", invalid="ignore"):
        for scalar, bias in zip(layer.logits_before, layer.geo_bias, strict=True):
            logits = scalar + layer.geo_bias_sign * bias
            slack = per_nat * (np.abs(scalar) + np.abs(bias))
            highest = np.fmax.reduce(logits + slack, axis=-1, keepdims=True)
            found |= (highest - (logits - slack) < FELT) & nothing
    return found


def _on_one_point(ca: Floats) -> Booleans:
    """[N]: which residues have exactly the coordinates of another."""
    _, which, counts = np.unique(ca, axis=0, return_inverse=True, return_counts=True)
    shared: Booleans = counts[which.reshape(-1)] > 1
    return shared


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


def _some(words: Sequence[str]) -> str:
    """The first of `words`, and how many more there are."""
    first, more = words[:_NAMED], len(words) - _NAMED
    return ", ".join(first) + (f" and {more} more" if more > 0 else "")
