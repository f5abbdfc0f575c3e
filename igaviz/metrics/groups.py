"""The pairs of one structure as flat indices, so that a map is summed by groups in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from igaviz.dump.data import Booleans, Floats
from igaviz.metrics.arrays import Doubles, Indices, class_sums, row_sums
from igaviz.metrics.offsets import Offsets
from igaviz.metrics.table import BIN_LIMIT, BIN_PAIRS, NEAR_KEYS, NEAR_RADIUS

if TYPE_CHECKING:
    from igaviz.metrics.pairs import Pairs

Classes = npt.NDArray[np.signedinteger[Any]]

FEW_RESIDUES = 512
"""Up to so many, classes are kept as numpy counts them; of more, in 16 bits."""

_KINDS = 6
"""Classes of one bin of distance: 0 for none, then global and local pairs, 1 and 2 near in sequence
and 4 and 5 far."""

_FAR = np.int16(3)
"""By how much the class of a pair is larger where it is far in sequence."""


@dataclass(frozen=True, eq=False)
class Sums:
    """What the maps of H heads add up to over the groups of pairs i ≠ j of known distance.

    `bins[:, k]` is the sum over k ≤ d < k + 1 Å; of each of the others [H, 2], the first is over
    all pairs and the second over long-range ones. In float64.
    """

    bins: Doubles
    local: Doubles
    distant: Doubles

    @classmethod
    def of(cls, bins: Doubles, by_range: Doubles) -> Sums:
        """From `bins` and sums [H, 2, 2] of pairs near and far in sequence, distant and local.

        The second are used up: far ones are added to near ones, which are all pairs then.
        """
        by_range[:, 0] += by_range[:, 1]
        return cls(bins, local=by_range[:, :, 1], distant=by_range[:, :, 0])

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.bins + other.bins, self.local + other.local, self.distant + other.distant)


@dataclass(frozen=True, eq=False)
class Counts:
    """How many pairs the groups of `Sums` have, all heads alike: [B], [2] and [2].

    `offsets` [66] counts those of each residue offset from -32 to 32, then those in other chains,
    the query itself included.
    """

    bins: Doubles
    local: Doubles
    distant: Doubles
    offsets: Doubles

    @cached_property
    def filled(self) -> Indices:
        """The bins that hold at least 20."""
        return np.flatnonzero(self.bins >= BIN_PAIRS)

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.bins + other.bins,
            self.local + other.local,
            self.distant + other.distant,
            self.offsets + other.offsets,
        )


@dataclass(frozen=True, eq=False)
class Groups:
    """Which pairs belong together, over Q queries and N keys; made once per structure.

    `queries` are those that the block was made of. `query` [Q] is the key that each itself is.
    `distance` is [Q, N] in Å, 0 where there is none. `classes` [Q·N] numbers the group of each
    pair; a pair of class 0 is in no group (the query itself, an unknown distance, a masked key).
    `offsets` are those in residue numbers. `near` are the flat indices of near keys, query by
    query, `near_counts` how many each has; queries with fewer than 3 are left out. `n_local` [Q]
    counts local keys.
    """

    queries: slice
    query: Indices
    distance: Floats
    classes: Classes
    n_bins: int
    offsets: Offsets
    near: Indices
    near_counts: Indices
    n_local: Indices

    @classmethod
    def of(cls, pairs: Pairs, queries: slice) -> Groups:
        """The groups of the pairs of some queries with all keys."""
        query = np.arange(pairs.n_residues)[queries]
        local, distance = pairs.local[queries], pairs.distance[queries]
        classes = distance_bins(distance, query)
        classes += 1
        classes *= _KINDS
        classes += local
        classes += _FAR * pairs.longrange[queries]
        classes += 1
        known = np.isfinite(distance)
        if not known.all():
            classes[~known] = 0
            distance = np.where(known, distance, np.float32(0))
        classes[np.arange(len(query)), query] = 0
        return cls._build(
            queries=queries,
            query=query,
            distance=distance,
            classes=classes,
            n_bins=pairs.n_bins,
            offsets=pairs.protein.offsets(queries),
            near=pairs.distance[queries] < NEAR_RADIUS,
            local=local,
        )

    def only(self, queries: Booleans) -> Groups:
        """The groups of some queries, `queries` [Q], with all keys."""
        return self._build(
            queries=self.queries,
            query=self.query[queries],
            distance=self.distance[queries],
            classes=self.classes.reshape(self.shape)[queries],
            n_bins=self.n_bins,
            offsets=self.offsets.only(queries),
            near=self._near_table[queries],
            local=self._local_table[queries],
        )

    def without(self, masked: Booleans) -> Groups:
        """The groups without the pairs of `masked` [Q, N], which are no keys to their queries."""
        return self._build(
            queries=self.queries,
            query=self.query,
            distance=self.distance,
            classes=np.where(masked, 0, self.classes.reshape(self.shape)),
            n_bins=self.n_bins,
            offsets=self.offsets.without(masked),
            near=self._near_table & ~masked,
            local=self._local_table & ~masked,
        )

    @classmethod
    def _build(
        cls,
        queries: slice,
        query: Indices,
        distance: Floats,
        classes: Classes,
        n_bins: int,
        offsets: Offsets,
        near: Booleans,
        local: Booleans,
    ) -> Groups:
        enough = near.sum(axis=1) >= NEAR_KEYS
        return cls(
            queries=queries,
            query=query,
            distance=distance,
            classes=classes.ravel().astype(_kept(distance.shape[1]), copy=False),
            n_bins=n_bins,
            offsets=offsets,
            near=np.flatnonzero(near & enough[:, None]),
            near_counts=near.sum(axis=1)[enough],
            n_local=local.sum(axis=1),
        )

    @property
    def shape(self) -> tuple[int, int]:
        """(Q, N)."""
        n_queries, n_keys = self.distance.shape
        return n_queries, n_keys

    @cached_property
    def diagonal(self) -> Indices:
        """[Q]: the flat index of each query as its own key."""
        return np.arange(self.shape[0]) * self.shape[1] + self.query

    @cached_property
    def near_starts(self) -> Indices:
        """Where in `near` each query's keys begin."""
        return np.cumsum(self.near_counts) - self.near_counts

    @cached_property
    def counts(self) -> Counts:
        """The number of pairs in each group."""
        pairs = self._fold(np.bincount(_indices(self.classes), minlength=self._n_classes)[None])
        return Counts(pairs.bins[0], pairs.local[0], pairs.distant[0], self.offsets.counts)

    def sums(self, values: Floats) -> Sums:
        """The sums of [H, Q, N] `values` over each group, in float64."""
        return self._fold(class_sums(_indices(self.classes), values, self._n_classes))

    def shares(self, weights: Floats) -> Sums:
        """The sums of non-negative [H, Q, N] `weights` over local and over global pairs; no bins.

        Few pairs are local or near in sequence: they are added up and set to 0 in a copy, and what
        is left are the long-range global ones. Rows of these are added in float32, in 8 lanes.
        """
        aside, kind = self._aside
        left = weights.reshape(len(weights), -1).copy()
        sums = class_sums(kind, left.take(aside, axis=1), _KINDS)
        left[:, aside] = 0
        far = row_sums(left.reshape(weights.shape)).sum(axis=1, dtype=np.float64)
        by_range = sums.reshape(len(weights), 2, 3)[:, :, 1:]
        by_range[:, 1, 0] = far
        return Sums.of(np.zeros((len(weights), 0)), by_range)

    @property
    def _n_classes(self) -> int:
        return _KINDS * (self.n_bins + 1)

    @property
    def _local_table(self) -> Booleans:
        local: Booleans = (self.classes % _FAR == 2).reshape(self.shape)
        return local

    @cached_property
    def _aside(self) -> tuple[Indices, Indices]:
        """The flat indices of all but the long-range global pairs, and their class in a bin."""
        # Looked up by class: dividing pair by pair takes three times as long.
        kinds = np.arange(self._n_classes) % _KINDS
        aside = np.flatnonzero((kinds != _FAR + 1).take(self.classes))
        return aside, kinds.take(self.classes[aside])

    @property
    def _near_table(self) -> Booleans:
        near = np.zeros(self.shape, dtype=bool)
        near.ravel()[self.near] = True
        return near

    @staticmethod
    def _fold(by_class: npt.NDArray[np.generic]) -> Sums:
        # bin (the first holds pairs beyond all bins) × (near, far in sequence) × (none, distant,
        # local): groups are added up, never subtracted, so that what underflowed to 0 stays 0.
        table = by_class.astype(np.float64, copy=False).reshape(len(by_class), -1, 2, 3)
        return Sums.of(table[:, 1:, :, 1:].sum(axis=(2, 3)), table.sum(axis=1)[:, :, 1:])


def distance_bins(distance: Floats, query: Indices) -> npt.NDArray[np.int16]:
    """⌊d⌋ [Q, N], -1 for a query itself, without a distance, and beyond 1,024 Å."""
    with np.errstate(invalid="ignore"):
        bins = np.where(distance < BIN_LIMIT, distance, np.float32(-1)).astype(np.int16)
    bins[np.arange(len(query)), query] = -1
    return bins


def _indices(classes: Classes) -> Indices:
    """What numpy counts by; it converts other types far more slowly."""
    return classes.astype(np.intp, copy=False)


def _kept(n_residues: int) -> type[np.signedinteger[Any]]:
    return np.intp if n_residues <= FEW_RESIDUES else np.int16
