"""The pairs of one structure as flat indices, so that a map is summed by groups in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from igaviz.dump.data import Booleans, Floats, Structure
from igaviz.metrics.table import NEAR_KEYS, OFFSET_LIMIT

if TYPE_CHECKING:
    from igaviz.metrics.pairs import Pairs

Indices = npt.NDArray[np.intp]
Doubles = npt.NDArray[np.float64]

OTHER_CHAIN = 2 * OFFSET_LIMIT + 1
"""The class of offsets that keys in another chain share."""

NO_OFFSET = OTHER_CHAIN + 1
"""The class of offsets of masked keys."""

_LANES = 8
"""Sums of one class that take turns: keys side by side share a class, and adding to one sum waits
for the addition before."""


@dataclass(frozen=True, eq=False)
class Sums:
    """What a map adds up to over the groups of pairs i ≠ j of known distance (float64).

    `bins[k]` is the sum over k ≤ d < k + 1 Å; each of the others is [over all, over long-range].
    """

    bins: Doubles
    local: Doubles
    distant: Doubles


@dataclass(frozen=True, eq=False)
class Groups:
    """Which pairs belong together, over Q queries and N keys; made once per structure.

    `query` [Q] is the key that each query itself is. `distance` is [Q, N] in Å, 0 where there is
    none. `classes` [Q·N] numbers the group of each pair; a pair of class 0 is in no group (the
    query itself, an unknown distance, a masked key). `offsets` [Q·N] numbers residue offsets, in
    8 lanes by turns. `near` are the flat indices of near keys, query by query, `near_counts` how
    many each has; queries with fewer than 3 are left out. `n_local` [Q] counts local keys.
    """

    query: Indices
    distance: Floats
    classes: Indices
    n_bins: int
    offsets: Indices
    near: Indices
    near_counts: Indices
    n_local: Indices

    @classmethod
    def of(cls, pairs: Pairs) -> Groups:
        """The groups of all pairs: every residue is a query."""
        known = pairs.local | pairs.distant
        # 16 bits hold six times the farthest bin; the tables are large, so they are made in place
        classes = (pairs.bins + 1).astype(np.int16)
        classes *= 6
        classes += 3 * pairs.longrange.astype(np.int8)
        classes += 1
        classes += pairs.local
        classes *= known
        return cls._build(
            query=np.arange(pairs.n_residues),
            distance=np.where(known, pairs.distance, np.float32(0)),
            classes=classes.astype(np.intp),
            n_bins=int(pairs.bins.max(initial=-1)) + 1,
            offsets=_offsets(pairs.structure),
            near=pairs.near,
            local=pairs.local,
        )

    def only(self, queries: Booleans) -> Groups:
        """The groups of some queries, `queries` [Q], with all keys."""
        return self._build(
            query=self.query[queries],
            distance=self.distance[queries],
            classes=self.classes.reshape(self.shape)[queries],
            n_bins=self.n_bins,
            offsets=self._offset_table[queries],
            near=self._near_table[queries],
            local=self._local_table[queries],
        )

    def without(self, masked: Booleans) -> Groups:
        """The groups without the pairs of `masked` [Q, N], which are no keys to their queries."""
        return self._build(
            query=self.query,
            distance=self.distance,
            classes=np.where(masked, 0, self.classes.reshape(self.shape)),
            n_bins=self.n_bins,
            offsets=np.where(masked, NO_OFFSET, self._offset_table),
            near=self._near_table & ~masked,
            local=self._local_table & ~masked,
        )

    @classmethod
    def _build(
        cls,
        query: Indices,
        distance: Floats,
        classes: Indices,
        n_bins: int,
        offsets: Indices,
        near: Booleans,
        local: Booleans,
    ) -> Groups:
        enough = near.sum(axis=1) >= NEAR_KEYS
        return cls(
            query=query,
            distance=distance,
            classes=classes.ravel(),
            n_bins=n_bins,
            offsets=_in_lanes(offsets),
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
    def counts(self) -> Sums:
        """The number of pairs in each group."""
        return self._fold(np.bincount(self.classes, minlength=self._n_classes))

    def sums(self, values: Floats) -> Sums:
        """The sums of [Q, N] `values` over each group, in float64."""
        return self._fold(np.bincount(self.classes, values.ravel(), minlength=self._n_classes))

    def shares(self, weights: Floats) -> Sums:
        """The sums of non-negative [Q, N] `weights` over local and over global pairs; no bins.

        Rows are added in float32: over at least 8 lanes, a sum of N terms of one sign is right to
        N/8 ulp. The rows' sums are added in float64.
        """
        near, far = self._distant_tables
        by_range = [
            np.einsum("ij,ij->i", weights, table).sum(dtype=np.float64) for table in (near, far)
        ]
        local, long_range = self._local_pairs
        chosen = weights.take(local).astype(np.float64)
        return Sums(
            bins=np.zeros(0),
            local=np.array([chosen.sum(), chosen[long_range].sum()]),
            distant=np.array([sum(by_range), by_range[1]]),
        )

    @cached_property
    def offset_counts(self) -> Indices:
        """The number of pairs of each residue offset from -32 to 32, then in other chains."""
        counts = np.bincount(self.offsets, minlength=_LANES * (NO_OFFSET + 1))
        by_offset: Indices = counts.reshape(-1, _LANES).sum(axis=1)[:NO_OFFSET]
        return by_offset

    def offset_sums(self, values: Floats) -> Doubles:
        """The sums of [Q, N] `values` over each residue offset, in float64."""
        sums = np.bincount(self.offsets, values.ravel(), minlength=_LANES * (NO_OFFSET + 1))
        by_offset: Doubles = sums.reshape(-1, _LANES).sum(axis=1, dtype=np.float64)[:NO_OFFSET]
        return by_offset

    @property
    def _n_classes(self) -> int:
        return 6 * (self.n_bins + 1)

    @property
    def _local_table(self) -> Booleans:
        local: Booleans = (self.classes % 3 == 2).reshape(self.shape)
        return local

    @cached_property
    def _local_pairs(self) -> tuple[Indices, Booleans]:
        """The flat indices of local pairs, and which of them are long-range."""
        local = np.flatnonzero(self.classes % 3 == 2)
        return local, self.classes[local] % 6 >= 3

    @cached_property
    def _distant_tables(self) -> tuple[Floats, Floats]:
        """[Q, N] float32, 1 for global pairs: those near in sequence, and the long-range ones."""
        kind = (self.classes % 6).reshape(self.shape)
        return (kind == 1).astype(np.float32), (kind == 4).astype(np.float32)

    @property
    def _offset_table(self) -> Indices:
        return (self.offsets // _LANES).reshape(self.shape)

    @property
    def _near_table(self) -> Booleans:
        near = np.zeros(self.shape, dtype=bool)
        near.ravel()[self.near] = True
        return near

    @staticmethod
    def _fold(by_class: npt.NDArray[np.generic]) -> Sums:
        # bin (the first holds pairs beyond all bins) × (near, far in sequence) × (none, distant,
        # local): groups are added up, never subtracted, so that what underflowed to 0 stays 0.
        table = by_class.astype(np.float64).reshape(-1, 2, 3)
        by_range = table.sum(axis=0)
        return Sums(
            bins=table[1:, :, 1:].sum(axis=(1, 2)),
            local=np.array([by_range[:, 2].sum(), by_range[1, 2]]),
            distant=np.array([by_range[:, 1].sum(), by_range[1, 1]]),
        )


def _in_lanes(offsets: Indices) -> Indices:
    """The flat classes of offsets, each in the lane whose turn it is; `offsets` is used up."""
    flat = np.ascontiguousarray(offsets).ravel()
    flat *= _LANES
    for lane in range(1, _LANES):
        flat[lane::_LANES] += lane
    return flat


def _offsets(structure: Structure) -> Indices:
    """The class of each pair's residue offset [N, N]: clipped to ±32, another chain its own."""
    number = structure.residue_index.astype(np.int64)
    chain = structure.chain_index
    apart = number[None, :] - number[:, None]
    np.clip(apart, -OFFSET_LIMIT, OFFSET_LIMIT, out=apart)
    apart += OFFSET_LIMIT
    apart[chain[None, :] != chain[:, None]] = OTHER_CHAIN
    return apart.astype(np.intp, copy=False)
