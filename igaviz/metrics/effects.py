"""What each term moves: attention against what it would be without geometry, without content."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from igaviz.dump.data import AttentionMap, Booleans, Floats
from igaviz.metrics.pairs import Pairs
from igaviz.metrics.profiles import Array
from igaviz.metrics.terms import Terms


@dataclass(frozen=True, eq=False)
class Effect:
    """What one term moves.

    `moved` [N, N] is attention less what it would be without the term: above 0 gained, below
    lost. `by_query` [N] is half the sum of its magnitudes in each row, the share of the query's
    attention that goes elsewhere. Both are NaN in the rows that aren't finite. `mean` is over the
    other rows: the metrics `geometry_effect` and `content_effect`.
    """

    moved: Floats
    by_query: Array
    mean: float | None


@dataclass(frozen=True, eq=False)
class Effects:
    """What geometry and what content move; None where a term is missing."""

    geometry: Effect | None
    content: Effect | None

    @classmethod
    def of(cls, map: AttentionMap, pairs: Pairs) -> Effects:
        """The effects on the attention of `map`: A − softmax(S), and A − softmax(G)."""
        terms = Terms.of([map], pairs.groups)
        A, S, G = terms.attention, terms.logits, terms.bias
        if A is None:
            return cls(None, None)
        return cls(
            geometry=None if S is None else _effect(A.values[0], S.softmax[0], terms.rows),
            content=None if G is None else _effect(A.values[0], G.softmax[0], terms.rows),
        )


def _effect(attention: Floats, without: Floats, rows: Booleans) -> Effect:
    n = len(rows)
    moved = np.full((n, n), np.nan, dtype=np.float32)
    moved[rows] = attention - without
    by_query = np.full(n, np.nan)
    by_query[rows] = 0.5 * np.abs(moved[rows]).sum(axis=1, dtype=np.float64)
    return Effect(moved, by_query, float(by_query[rows].mean()) if rows.any() else None)
