"""The terms of the maps of some heads over the queries whose rows are finite.

Heads of one layer see the same structure, so they are taken together, [H, Q, N]: each step costs
as many calls of numpy for all of them as for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from igaviz.dump.data import AttentionMap, Booleans, Floats
from igaviz.metrics.arrays import Doubles, Indices, row_products, row_sums
from igaviz.metrics.groups import Groups
from igaviz.softmax import exponentials, softmax

SMALL = 32.0
"""Up to this magnitude of S and G, exp(S) × exp(G) stands for exp(S + G): neither overflows, and
of what a row of them adds up to each is as exact as exp is."""

_ROUNDING = 4 * np.finfo(np.float64).eps
"""Of a mean of squares, what of it may be rounding."""

_SQUARED = 1e15
"""Up to this magnitude float32 has room for the squares of a row, however long."""


class Kind(NamedTuple):
    """What decides how the numbers of a map are computed: maps of one kind are taken together.

    `whole` is one of which every number is finite, and its square too. `logits_small` and
    `bias_small` say whether no value of that term is above 32 in magnitude. `form` is what the
    maps of one layer have in common: the terms there are, the bias's sign, the type of computation.
    """

    whole: bool
    logits_small: bool
    bias_small: bool
    form: tuple[bool, bool, bool, bool, int, str]

    @classmethod
    def of(cls, map: AttentionMap) -> Kind:
        """The kind of `map`."""
        S, G, A = map.logits_before, map.geo_bias, map.attention
        of_S, of_G, of_A = (_magnitude(term) for term in (S, G, A))
        return cls(
            whole=max(of_S, of_G, of_A) <= _SQUARED,
            logits_small=of_S <= SMALL,
            bias_small=of_G <= SMALL,
            form=(
                S is not None,
                G is not None,
                A is not None,
                map.attention_recorded,
                map.geo_bias_sign,
                map.compute_dtype,
            ),
        )


def _magnitude(values: Floats | None) -> float:
    """The largest magnitude; infinite where there is a NaN."""
    if values is None or not values.size:
        return 0.0
    largest = max(float(values.max()), -float(values.min()))
    return largest if largest == largest else np.inf


@dataclass(frozen=True, eq=False)
class Centred:
    """A term less its centres, [H, Q, N], and the sum of its squares in each row, [H, Q].

    `near_stds` [H, Q'] is the standard deviation over near keys, for the queries with 3 of them.
    """

    values: Floats
    row_squares: Doubles
    near_stds: Doubles

    @classmethod
    def of(cls, values: Floats, centres: Doubles, left_out: Indices, groups: Groups) -> Centred:
        """`values` [H, Q, N] less `centres` [H, Q], 0 at the flat indices `left_out` of each head.

        Two passes in float32: what centring rounds off is below the resolution of `values`, and
        a row of squares adds up to within N/8 ulp (einsum adds in 8 lanes or more). Where that
        overflows, in float64. Near keys are those of `groups`, whether they are left out or not.
        """
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            centred = values - centres[..., None].astype(values.dtype)
            near_stds = _near_stds(centred, groups)
            flat(centred)[:, left_out] = 0
            squares = row_products(centred, centred)
        if values.dtype == np.float32 and not np.isfinite(squares).all():
            return cls.of(values.astype(np.float64), centres, left_out, groups)
        return cls(centred, squares, near_stds)


def _near_stds(centred: Floats, groups: Groups) -> Doubles:
    """[H, Q']: the standard deviations over near keys of a term less the means of its rows.

    From squares and means of them in float64, which has the digits for it once the row's mean is
    off; what rounding leaves of a constant is none.
    """
    near = flat(centred).take(groups.near, axis=1, mode="wrap").astype(np.float64)
    means = np.add.reduceat(near, groups.near_starts, axis=1) / groups.near_counts
    near *= near
    squares = np.add.reduceat(near, groups.near_starts, axis=1) / groups.near_counts
    means *= means
    variances = squares - means
    variances[variances <= _ROUNDING * squares] = 0
    return np.sqrt(variances)


@dataclass(frozen=True, eq=False)
class Logits:
    """A term of the logits, [H, Q, N] float32, and the flat indices of masked keys of each head.

    There the term is -∞. `groups` leaves the masked pairs out, and so do the sums [H, Q] of the
    rows. `is_small` says whether no value is above 32 in magnitude.
    """

    values: Floats
    row_sums: Doubles
    masked: Indices
    groups: Groups
    is_small: bool

    @cached_property
    def n_keys(self) -> Doubles:
        """[Q]: how many keys are not masked."""
        n_queries, n_keys = self.groups.shape
        if not len(self.masked):
            return np.full(n_queries, float(n_keys))
        masked = np.bincount(self.masked // max(n_keys, 1), minlength=n_queries)
        left: Doubles = (n_keys - masked).astype(np.float64)
        return left

    @cached_property
    def means(self) -> Doubles:
        """[H, Q]: the mean over the keys that are not masked."""
        return self.row_sums / self.n_keys

    @cached_property
    def exponentials(self) -> tuple[Floats, Floats]:
        """[H, Q, N] and [H, Q, 1]: the softmax undivided, and its sums.

        Small logits need nothing taken off before exp: a row of a million adds up to 1e20 at most.
        """
        if not self.is_small:
            return exponentials(self.values)
        undivided: Floats = np.exp(self.values)
        return undivided, row_sums(undivided)[..., None]

    @cached_property
    def softmax(self) -> Floats:
        """[H, Q, N]: the attention that this term alone would give."""
        undivided, sums = self.exponentials
        weights: Floats = undivided / sums
        return weights


@dataclass(frozen=True, eq=False)
class Weights:
    """Attention weights, [H, Q, N] float32."""

    values: Floats
    groups: Groups

    @cached_property
    def own(self) -> Doubles:
        """[H, Q]: the attention of each query to itself."""
        return flat(self.values).take(self.groups.diagonal, axis=1).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Terms:
    """S (`logits`), G (`bias`) and A (`attention`) of maps, over the finite rows of a block.

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
    def of(cls, maps: Sequence[AttentionMap], groups: Groups, kind: Kind | None = None) -> Terms:
        """The terms of `maps` over the queries of `groups`, G with the sign that adds it.

        The maps are all of one `kind`, computed where left out, and one alone if it isn't whole.
        """
        kind = Kind.of(maps[0]) if kind is None else kind
        if not kind.whole:
            return cls._of_finite_rows(maps[0], groups)
        S, G, A = _plain(maps, groups.queries)
        nothing = np.zeros(0, dtype=np.intp)
        return cls(
            logits=None if S is None else Logits(S, _sums(S), nothing, groups, kind.logits_small),
            bias=None if G is None else Logits(G, _sums(G), nothing, groups, kind.bias_small),
            attention=None if A is None else Weights(A, groups),
            rows=np.ones(groups.shape[0], dtype=bool),
            nonfinite=0,
        )

    @classmethod
    def _of_finite_rows(cls, map: AttentionMap, groups: Groups) -> Terms:
        S, G, A = (None if term is None else term[0] for term in _plain([map], groups.queries))
        mask = _mask(S, A if map.attention_recorded else None, shape=groups.shape)
        if S is not None and map.mask is not None:
            mask |= np.isneginf(S).all(axis=1, keepdims=True)
        rows, nonfinite = _finite_rows(S, G, A, mask, count_attention=map.attention_recorded)
        groups, mask = groups.only(rows), mask[rows]
        S, G, A = (None if term is None else term[rows] for term in (S, G, A))
        return cls(
            logits=None if S is None else _masked(S, mask, groups),
            bias=None if G is None else _masked(G, mask, groups),
            attention=None if A is None else Weights(A[None], groups),
            rows=rows,
            nonfinite=nonfinite,
        )

    @cached_property
    def replayed(self) -> Floats | None:
        """[H, Q, N]: softmax(S + G), None where one of them is missing.

        From the softmax of each where that is as exact: exp takes most of the time.
        """
        S, G = self.logits, self.bias
        if S is None or G is None:
            return None
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            if not (S.is_small and G.is_small):
                return softmax(S.values + G.values)
            weights: Floats = S.exponentials[0] * G.exponentials[0]
            weights /= row_sums(weights)[..., None]
        return weights


def flat(values: Floats) -> Floats:
    """[H, Q·N]: the same values, by head."""
    return values.reshape(len(values), -1)


def _plain(
    maps: Sequence[AttentionMap], queries: slice
) -> tuple[Floats | None, Floats | None, Floats | None]:
    """Rows of S, G and A, [H, Q, N] contiguous float32, whatever a caller passes."""
    S, G, A = (
        _stacked(terms, queries)
        for terms in zip(*((m.logits_before, m.geo_bias, m.attention) for m in maps), strict=True)
    )
    if G is not None and maps[0].geo_bias_sign != 1:
        G = -G
    return S, G, A


def _stacked(terms: Sequence[Floats | None], queries: slice) -> Floats | None:
    there = [term[queries] for term in terms if term is not None]
    if not there:
        return None
    with np.errstate(over="ignore"):
        if len(there) == 1:
            return np.ascontiguousarray(there[0], dtype=np.float32)[None]
        together = _in_a_row(there)
        if together is not None:
            return together
        # what is stacked of columns that lie side by side would do so too, and not be flat
        return np.ascontiguousarray(np.stack(there, dtype=np.float32, casting="same_kind"))


def _in_a_row(terms: Sequence[Floats]) -> Floats | None:
    """`terms` as one array, not copied, where they follow each other in the memory of one.

    Those of a shard do that were read with one call.
    """
    whole = terms[0].base
    if not (
        isinstance(whole, np.ndarray) and whole.flags.c_contiguous and whole.dtype == np.float32
    ):
        return None
    size = terms[0].size
    start = _address(terms[0]) - _address(whole)
    for place, term in enumerate(terms):
        follows = _address(term) == _address(whole) + start + place * size * whole.itemsize
        if not (follows and term.base is whole and term.flags.c_contiguous):
            return None
    first = start // whole.itemsize
    return whole.reshape(-1)[first : first + len(terms) * size].reshape(-1, *terms[0].shape)


def _address(values: Floats) -> int:
    address: int = values.__array_interface__["data"][0]
    return address


def _masked(values: Floats, mask: Booleans, groups: Groups) -> Logits:
    """A term [Q, N] of one head, -∞ at `mask` [Q, N]."""
    masked = np.where(mask, np.float32(-np.inf), values)[None]
    return Logits(
        values=masked,
        row_sums=_sums(np.where(mask, 0, values)[None]),
        masked=np.flatnonzero(mask),
        groups=groups.without(mask),
        is_small=_magnitude(masked) <= SMALL,
    )


def _sums(values: Floats) -> Doubles:
    """[H, Q]: the sums of rows in float64; of as many equal values they are exact."""
    with np.errstate(invalid="ignore"):
        sums: Doubles = np.einsum("hij->hi", values, dtype=np.float64)  # a quarter less than `sum`
    return sums


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
