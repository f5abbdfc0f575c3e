"""Attention by residue and by pair: how much each key receives, and which pairs are strongest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from igaviz.dump.data import Booleans, Floats, Structure
from igaviz.metrics.distance import query_blocks
from igaviz.metrics.protein import far_in_sequence


@dataclass(frozen=True, eq=False)
class Received:
    """What each residue receives, [N]: N × the mean over queries i of A_ij.

    1 is what uniform attention gives. `queries` is how many rows the mean is over, `left_out` how
    many had a value that isn't finite. All NaN where no row is left.
    """

    values: npt.NDArray[np.float64]
    queries: int
    left_out: int

    @classmethod
    def of(cls, attention: Floats, queries: Sequence[int] | None = None) -> Received:
        """What the keys of [N, N] `attention` receive from `queries` (positions; None for all)."""
        n = len(attention)
        asked = range(n) if queries is None else queries
        total, used = np.zeros(n), 0
        for i in asked:
            row = attention[i]
            if np.isfinite(row).all():
                total += row
                used += 1
        values = total * (n / used) if used else np.full(n, np.nan)
        return cls(values, used, len(asked) - used)


@dataclass(frozen=True)
class StrongPair:
    """One of the strongest pairs: the positions of query and key, the weight A_ij.

    `long_range` says that they are in different chains, or at least 6 apart in sequence.
    """

    query: int
    key: int
    weight: float
    long_range: bool


def strongest_pairs(
    attention: Floats,
    structure: Structure,
    count: int,
    *,
    queries: Sequence[int] | None = None,
    among: Booleans | None = None,
    long_range: bool = False,
) -> tuple[StrongPair, ...]:
    """The `count` largest A_ij of i ≠ j, largest first; ties by i, then j.

    Of [N, N] `attention` and its `structure`: rows of `queries` only where they are given, both
    ends in `among` [N] where it is given, and only long-range pairs where that is asked for.
    Weights that are 0 or not finite make no pair. Blocks of rows, so that little is held.
    """
    n = len(attention)
    asked = np.arange(n) if queries is None else np.unique(np.asarray(queries, dtype=np.intp))
    known = np.ones(n, dtype=bool) if among is None else among
    best = np.zeros((0, 3))
    for block in query_blocks(n):
        rows = asked[(asked >= block.start) & (asked < block.stop)]
        weights = attention[rows].astype(np.float64)
        taken = np.isfinite(weights) & (weights > 0) & known[rows, None] & known[None, :]
        taken[np.arange(len(rows)), rows] = False
        if long_range:
            taken &= far_in_sequence(structure, rows)
        values = weights[taken]
        if len(values) > count > 0:
            taken &= weights >= np.partition(values, -count)[-count]  # with all ties
        r, j = np.nonzero(taken)
        found = np.column_stack([weights[r, j], rows[r], j])
        best = _largest(np.concatenate([best, found]), count)
    return tuple(
        StrongPair(int(i), int(j), weight, bool(far_in_sequence(structure, [int(i)])[0, int(j)]))
        for weight, i, j in best.tolist()
    )


def _largest(found: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
    """The `count` rows (weight, i, j) of the largest weights, in order."""
    order = np.lexsort((found[:, 2], found[:, 1], -found[:, 0]))
    return found[order[:count]]
