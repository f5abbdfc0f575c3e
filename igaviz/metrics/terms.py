"""The terms of one map over the queries whose rows are finite."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from igaviz.dump.data import AttentionMap, Booleans, Floats
from igaviz.metrics.groups import Doubles, Groups, Indices, Sums

if TYPE_CHECKING:
    from igaviz.metrics.pairs import Pairs
from igaviz.softmax import softmax


@dataclass(frozen=True, eq=False)
class Centred:
    """A term less its centres, [Q, N], and the sum of its squares in each row, [Q]."""

    values: Floats
    row_squares: Doubles

    @classmethod
    def of(cls, values: Floats, centres: Doubles | float, left_out: Indices) -> Centred:
        """`values` [Q, N] less `centres` ([Q, 1] or one number), 0 at the indices `left_out`.

        Two passes in float32: what centring rounds off is below the resolution of `values`, and
        a row of squares adds up to within N/8 ulp (einsum adds in 8 lanes or more). Where that
        overflows, in float64.
        """
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            centred = values - np.asarray(centres, dtype=values.dtype)
            centred.ravel()[left_out] = 0
            squares = np.einsum("ij,ij->i", centred, centred).astype(np.float64)
        if values.dtype == np.float32 and not np.isfinite(squares).all():
            return cls.of(values.astype(np.float64), centres, left_out)
        return cls(centred, squares)


@dataclass(frozen=True, eq=False)
class Logits:
    """A term of the logits, [Q, N] float32, and the flat indices of masked keys, where it is -∞.

    `groups` leaves the masked pairs out.
    """

    values: Floats
    masked: Indices
    groups: Groups

    @cached_property
    def n_keys(self) -> Doubles:
        """[Q]: how many keys are not masked."""
        n_queries, n_keys = self.values.shape
        masked = np.bincount(self.masked // max(n_keys, 1), minlength=n_queries)
        left: Doubles = (n_keys - masked).astype(np.float64)
        return left

    @cached_property
    def row_sums(self) -> Doubles:
        """[Q]: the sum over the keys that are not masked."""
        values = self.values
        if len(self.masked):
            values = values.copy()
            values.ravel()[self.masked] = 0
        row_sums: Doubles = values.sum(axis=1, dtype=np.float64)
        return row_sums

    @property
    def means(self) -> Doubles:
        """[Q]: the mean over the keys that are not masked."""
        return self.row_sums / self.n_keys

    @cached_property
    def by_row(self) -> Centred:
        """The term less its row means, 0 at masked keys."""
        return Centred.of(self.values, self.means[:, None], left_out=self.masked)

    @property
    def key_stds(self) -> Doubles:
        """[Q]: the standard deviation over the keys that are not masked."""
        return np.sqrt(self.by_row.row_squares / self.n_keys)

    @cached_property
    def near_stds(self) -> Doubles:
        """The same over near keys, for the queries with at least 3 of them."""
        groups = self.groups
        near = self.values.take(groups.near).astype(np.float64)
        means = np.add.reduceat(near, groups.near_starts) / groups.near_counts
        near -= np.repeat(means, groups.near_counts)
        near *= near
        return np.sqrt(np.add.reduceat(near, groups.near_starts) / groups.near_counts)

    @cached_property
    def softmax(self) -> Floats:
        """[Q, N]: the attention that this term alone would give."""
        return softmax(self.values)

    @cached_property
    def sums(self) -> Sums:
        """The term summed over the groups of pairs."""
        return self.groups.sums(self.values)

    def forget(self) -> None:
        """Let go of the arrays [Q, N] that were computed; they are anew where asked for again."""
        for name in ("by_row", "softmax"):
            self.__dict__.pop(name, None)


@dataclass(frozen=True, eq=False)
class Weights:
    """Attention weights, [Q, N] float32."""

    values: Floats
    groups: Groups

    @cached_property
    def row_sums(self) -> Doubles:
        """[Q]: the sum over keys, 1 but for rounding."""
        row_sums: Doubles = self.values.sum(axis=1, dtype=np.float64)
        return row_sums

    @cached_property
    def own(self) -> Doubles:
        """[Q]: the attention of each query to itself."""
        return self.values.take(self.groups.diagonal).astype(np.float64)

    @cached_property
    def sums(self) -> Sums:
        """The weights summed over the groups of pairs."""
        return self.groups.sums(self.values)


@dataclass(frozen=True, eq=False)
class Terms:
    """S (`logits`), G (`bias`) and A (`attention`) of one map over its Q finite rows.

    Each is None where it was neither recorded nor derived. A row is left out of all three where
    one of them holds a NaN or an infinity; `nonfinite` counts these over what was recorded.
    -∞ in S where A is 0 (or not known) is a mask: that pair is left out of what is said about S
    and about G, which is taken as -∞ there, and is a pair like any other to A. A query with no
    key left is left out. `rows` [N] says which queries stayed.
    """

    logits: Logits | None
    bias: Logits | None
    attention: Weights | None
    rows: Booleans
    nonfinite: int

    @classmethod
    def of(cls, map: AttentionMap, pairs: Pairs) -> Terms:
        """The terms of `map`, G with the sign that adds it."""
        S, G, A = (_plain(term) for term in (map.logits_before, map.effective_bias, map.attention))
        rows = np.ones(pairs.n_residues, dtype=bool)
        groups = pairs.groups
        logit_groups = groups
        nonfinite = 0
        masked = np.zeros(0, dtype=np.intp)
        if not all(np.isfinite(term).all() for term in (S, G, A) if term is not None):
            mask = _mask(S, A if map.attention_recorded else None, shape=groups.shape)
            rows, nonfinite = _finite_rows(S, G, A, mask, count_attention=map.attention_recorded)
            groups, mask = groups.only(rows), mask[rows]
            logit_groups, masked = groups.without(mask), np.flatnonzero(mask)
            S, G, A = (None if term is None else term[rows] for term in (S, G, A))
            G = None if G is None else np.where(mask, np.float32(-np.inf), G)
        return cls(
            logits=None if S is None else Logits(S, masked, logit_groups),
            bias=None if G is None else Logits(G, masked, logit_groups),
            attention=None if A is None else Weights(A, groups),
            rows=rows,
            nonfinite=nonfinite + (map.gamma is not None and not np.isfinite(map.gamma)),
        )

    def forget(self) -> None:
        """Let go of what was computed of the terms of the logits."""
        for term in (self.logits, self.bias):
            if term is not None:
                term.forget()

    @property
    def replayed(self) -> Floats | None:
        """[Q, N]: softmax(S + G), None where one of them is missing."""
        if self.logits is None or self.bias is None:
            return None
        with np.errstate(over="ignore", invalid="ignore"):
            return softmax(self.logits.values + self.bias.values)


def _plain(term: Floats | None) -> Floats | None:
    """`term` as contiguous float32: as it comes out of a dump, whatever a caller passes."""
    with np.errstate(over="ignore"):
        return None if term is None else np.ascontiguousarray(term, dtype=np.float32)


def _mask(logits: Floats | None, attention: Floats | None, shape: tuple[int, int]) -> Booleans:
    """Which pairs [N, N] are masked: -∞ in S where A is 0."""
    if logits is None:
        return np.zeros(shape, dtype=bool)
    mask: Booleans = np.isneginf(logits)
    return mask if attention is None else mask & (attention == 0)


def _finite_rows(
    S: Floats | None, G: Floats | None, A: Floats | None, mask: Booleans, *, count_attention: bool
) -> tuple[Booleans, int]:
    """Which rows [N] are finite and have a key, and the number of non-finite values.

    A derived attention spoils its rows but isn't counted: its NaN come from the terms'.
    """
    rows: Booleans = np.logical_not(mask.all(axis=1))
    nonfinite = 0
    for term, counted in ((S, True), (G, True), (A, count_attention)):
        if term is not None:
            broken = ~np.isfinite(term) & ~mask if term is S else ~np.isfinite(term)
            rows &= ~broken.any(axis=1)
            nonfinite += int(broken.sum()) if counted else 0
    return rows, nonfinite
