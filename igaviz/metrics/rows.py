"""What is known of the rows of some maps before it becomes metrics: one pass, in blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from igaviz.dump.data import AttentionMap, Booleans
from igaviz.metrics.attention import AttentionRows
from igaviz.metrics.geometry import BiasRows, ContentRows
from igaviz.metrics.pairs import Pairs
from igaviz.metrics.replay import ReplayRows
from igaviz.metrics.tally import of_all_heads, of_all_queries
from igaviz.metrics.terms import Kind, Terms

# Freed once, an untouched block of 8 MB has glibc keep smaller ones: else it gives the memory of
# each array back to the system and takes it anew, page by page, a fifth of the time of a map.
np.empty(2**20, dtype=np.float64)

_AT_ONCE = 2**17
"""Pairs of so many heads that calls of numpy cost little beside what they do."""


@dataclass(frozen=True, eq=False)
class Rows:
    """What is known of the queries of maps whose rows are finite; None where a term is missing."""

    bias: BiasRows | None
    content: ContentRows | None
    attention: AttentionRows | None
    replay: ReplayRows | None

    @classmethod
    def of(cls, terms: Terms, like: AttentionMap) -> Rows:
        """Those of `terms`, of maps that are like this one."""
        S, G, A = terms.logits, terms.bias, terms.attention
        return cls(
            bias=None if G is None else BiasRows.of(G),
            content=None if S is None else ContentRows.of(S),
            attention=None if A is None else AttentionRows.of(A, terms),
            replay=ReplayRows.of(terms, like.compute_dtype) if like.attention_recorded else None,
        )


@dataclass(frozen=True, eq=False)
class Known:
    """The `rows` of maps of one kind, None where none is finite; which are `finite`, [N].

    `nonfinite` counts the values that are not. Maps that are whole have them all in common.
    """

    rows: Rows | None
    finite: Booleans
    nonfinite: int

    @classmethod
    def of(cls, maps: Sequence[AttentionMap], kind: Kind, pairs: Pairs) -> Known:
        """What is known of `maps`, a few at once: more would go through memory, not the cache."""
        at_once = max(1, _AT_ONCE // max(1, pairs.n_residues**2))
        stretches = [maps[start : start + at_once] for start in range(0, len(maps), at_once)]
        known = [cls._in_blocks(stretch, kind, pairs) for stretch in stretches]
        rows = [part.rows for part in known if part.rows is not None]
        return cls(of_all_heads(rows) if rows else None, known[0].finite, known[0].nonfinite)

    @classmethod
    def _in_blocks(cls, maps: Sequence[AttentionMap], kind: Kind, pairs: Pairs) -> Known:
        parts: list[Rows] = []
        finite = np.zeros(pairs.n_residues, dtype=bool)
        nonfinite = 0
        for groups in pairs.blocks:
            terms = Terms.of(maps, groups, kind)
            finite[groups.queries] = terms.rows
            nonfinite += terms.nonfinite
            if terms.rows.any():
                parts.append(Rows.of(terms, maps[0]))
        return cls(of_all_queries(parts) if parts else None, finite, nonfinite)
