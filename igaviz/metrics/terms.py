"""The terms of one map over the queries whose rows are finite."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from igaviz.dump.data import AttentionMap, Booleans, Floats
from igaviz.metrics.groups import Doubles, Groups, Indices, Sums
from igaviz.softmax import exponentials, softmax

_SMALL = 32.0
"""Up to this magnitude of S and G, exp(S) × exp(G) stands for exp(S + G): neither overflows, and
of what a row of them adds up to each is as exact as exp is."""


def row_sums(values: Floats) -> Floats:
    """[Q]: the sums of the rows of [Q, N], in their own precision.

    As `values.sum(axis=1)` in half the time: einsum adds in 8 lanes, to within N/8 ulp where no
    value is negative.
    """
    sums: Floats = np.einsum("ij->i", values)
    return sums


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

    `groups` leaves the masked pairs out, and so do the sums [Q] of the rows.
    """

    values: Floats
    row_sums: Doubles
    masked: Indices
    groups: Groups

    @cached_property
    def n_keys(self) -> Doubles:
        """[Q]: how many keys are not masked."""
        n_queries, n_keys = self.values.shape
        masked = np.bincount(self.masked // max(n_keys, 1), minlength=n_queries)
        left: Doubles = (n_keys - masked).astype(np.float64)
        return left

    @property
    def means(self) -> Doubles:
        """[Q]: the mean over the keys that are not masked."""
        return self.row_sums / self.n_keys

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
    def exponentials(self) -> tuple[Floats, Floats]:
        """[Q, N] and [Q, 1]: the same attention undivided, and its sums.

        Small logits need nothing taken off before exp: a row of a million adds up to 1e20 at most.
        """
        if not self.is_small:
            return exponentials(self.values)
        undivided: Floats = np.exp(self.values)
        return undivided, row_sums(undivided)[:, None]

    @cached_property
    def softmax(self) -> Floats:
        """[Q, N]: the attention that this term alone would give."""
        undivided, sums = self.exponentials
        weights: Floats = undivided / sums
        return weights

    @cached_property
    def is_small(self) -> bool:
        """Whether no value is above 32 in magnitude."""
        return bool(self.values.max(initial=0) <= _SMALL and self.values.min(initial=0) >= -_SMALL)

    @cached_property
    def sums(self) -> Sums:
        """The term summed over the groups of pairs."""
        return self.groups.sums(self.values)


@dataclass(frozen=True, eq=False)
class Weights:
    """Attention weights, [Q, N] float32."""

    values: Floats
    groups: Groups

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
    """S (`logits`), G (`bias`) and A (`attention`) of a map, over the finite rows of a block.

    Each is None where it was neither recorded nor derived. A row is left out of all three where
    one of them holds a NaN or an infinity; `nonfinite` counts these over what was recorded.
    -∞ in S where A is 0 (or not known) is a mask: that pair is left out of what is said about S
    and about G, which is taken as -∞ there, and is a pair like any other to A. A query with no
    key left is left out, whatever attention it has where the mask stood inside the logits.
    `rows` says which of the block's queries stayed, Q of them.
    """

    logits: Logits | None
    bias: Logits | None
    attention: Weights | None
    rows: Booleans
    nonfinite: int

    @classmethod
    def of(cls, map: AttentionMap, groups: Groups) -> Terms:
        """The terms of `map` over the queries of `groups`, G with the sign that adds it."""
        S, G, A = (
            _plain(term, groups.queries)
            for term in (map.logits_before, map.geo_bias, map.attention)
        )
        if G is not None and map.geo_bias_sign != 1:
            G = -G
        rows = np.ones(groups.shape[0], dtype=bool)
        logit_groups = groups
        nonfinite = 0
        masked = np.zeros(0, dtype=np.intp)
        S_sums, G_sums = _row_sums(S), _row_sums(G)
        if not (_all_finite(S_sums, G_sums) and _is_finite(A)):
            mask = _mask(S, A if map.attention_recorded else None, shape=groups.shape)
            if S is not None and map.mask is not None:
                mask |= np.isneginf(S).all(axis=1, keepdims=True)
            rows, nonfinite = _finite_rows(S, G, A, mask, count_attention=map.attention_recorded)
            groups, mask = groups.only(rows), mask[rows]
            logit_groups, masked = groups.without(mask), np.flatnonzero(mask)
            S, G, A = (None if term is None else term[rows] for term in (S, G, A))
            S_sums, G_sums = (_row_sums(t if t is None else np.where(mask, 0, t)) for t in (S, G))
            G = None if G is None else np.where(mask, np.float32(-np.inf), G)
        return cls(
            logits=_logits(S, S_sums, masked, logit_groups),
            bias=_logits(G, G_sums, masked, logit_groups),
            attention=None if A is None else Weights(A, groups),
            rows=rows,
            nonfinite=nonfinite,
        )

    @property
    def replayed(self) -> Floats | None:
        """[Q, N]: softmax(S + G), None where one of them is missing.

        From the softmax of each where that is as exact: exp takes most of the time.
        """
        S, G = self.logits, self.bias
        if S is None or G is None:
            return None
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            if not (S.is_small and G.is_small):
                return softmax(S.values + G.values)
            weights: Floats = S.exponentials[0] * G.exponentials[0]
            weights /= row_sums(weights)[:, None]
        return weights


def _plain(term: Floats | None, queries: slice) -> Floats | None:
    """Rows of `term` as contiguous float32: as out of a dump, whatever a caller passes."""
    with np.errstate(over="ignore"):
        return None if term is None else np.ascontiguousarray(term[queries], dtype=np.float32)


def _row_sums(values: Floats | None) -> Doubles | None:
    with np.errstate(invalid="ignore"):
        return None if values is None else values.sum(axis=1, dtype=np.float64)


def _all_finite(*found: Floats | None) -> bool:
    """Whether all of `found` is finite: a sum only is where everything is that it adds up.

    A sum of huge float32 may overflow and have its map looked at more closely, to no harm.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return all(np.isfinite(values.sum()) for values in found if values is not None)


def _is_finite(weights: Floats | None) -> bool:
    """The same of attention, whose squares add up fastest and don't overflow either."""
    return weights is None or bool(np.isfinite(np.vdot(weights, weights)))


def _logits(
    values: Floats | None, row_sums: Doubles | None, masked: Indices, groups: Groups
) -> Logits | None:
    if values is None or row_sums is None:
        return None
    return Logits(values, row_sums, masked, groups)


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
