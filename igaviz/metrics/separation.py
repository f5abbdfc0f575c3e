"""Attention against the distance in sequence: what position alone may explain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from igaviz.dump.data import AttentionMap, Floats
from igaviz.metrics.pairs import Pairs
from igaviz.metrics.profiles import Counts, Curve, curve_over
from igaviz.softmax import softmax

SEPARATION_LIMIT: Final = 10_000
"""Residue numbers farther apart than this are left out: a stray number costs no memory."""


@dataclass(frozen=True, eq=False)
class Separations:
    """Attention by |i − j|, the difference of residue numbers in one chain, 0 for the query itself.

    `attention` is as recorded, `content` what the logits before geometry alone would give; each
    None where it is missing. Values that are not finite are left out.
    """

    attention: Curve | None
    content: Curve | None

    @classmethod
    def of(cls, map: AttentionMap, pairs: Pairs) -> Separations:
        """The two curves of `map`."""
        structure = pairs.structure
        number, chain = structure.residue_index.astype(np.int64), structure.chain_index
        apart = np.abs(number[:, None] - number[None, :])
        same = (chain[:, None] == chain[None, :]) & (apart <= SEPARATION_LIMIT)
        places = np.flatnonzero(same)
        keys = apart.ravel()[places].astype(np.uint16)  # 16 bits are sorted by radix
        order = np.argsort(keys, kind="stable")
        places, keys = places[order], keys[order].astype(np.int64)
        before = map.logits_before
        return cls(
            attention=_curve(map.attention, places, keys),
            content=None if before is None else _curve(softmax(before), places, keys),
        )


def _curve(values: Floats | None, places: Counts, keys: Counts) -> Curve | None:
    if values is None:
        return None
    ordered = values.ravel()[places]
    finite = np.isfinite(ordered)
    return curve_over(ordered[finite], keys[finite])
