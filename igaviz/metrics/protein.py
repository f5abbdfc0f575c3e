"""What the residues of a batch item are to each other, whatever coordinates a layer gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from igaviz.dump.data import Booleans, Structure
from igaviz.metrics.contacts import Contacts, Tile, tiles_of
from igaviz.metrics.distance import chain_step, chain_step_spread, distances, query_blocks
from igaviz.metrics.offsets import Offsets
from igaviz.metrics.places import have_coordinates, on_one_point
from igaviz.metrics.table import LONG_RANGE


@dataclass(frozen=True, eq=False)
class Protein:
    """What follows from the sequence of `structure`, and from its clean structure if it has one.

    Made once per batch item: layers that move their residues each have `Pairs` of their own, and
    this in common.
    """

    structure: Structure

    def has(self, structure: Structure) -> bool:
        """Whether another structure has the same sequence numbers, chains and clean structure."""
        mine, other = self.structure.ca_reference, structure.ca_reference
        if mine is None or other is None:
            alike = mine is other
        else:
            alike = np.array_equal(mine, other, equal_nan=True)
        return (
            alike
            and np.array_equal(self.structure.residue_index, structure.residue_index)
            and np.array_equal(self.structure.chain_index, structure.chain_index)
        )

    @cached_property
    def longrange(self) -> Booleans:
        """[N, N]: i ≠ j in different chains or with |Δ residue_index| ≥ 6."""
        n = self.structure.n_residues
        table = np.empty((n, n), dtype=bool)
        for rows in query_blocks(n):
            table[rows] = far_in_sequence(self.structure, rows)
        return table

    def offsets(self, queries: slice) -> Offsets:
        """The offsets of the pairs of some queries, made once for all layers."""
        block = queries.start, queries.stop
        if block not in self._offsets:
            self._offsets[block] = Offsets.of(self.structure, queries)
        return self._offsets[block]

    @cached_property
    def _offsets(self) -> dict[tuple[int, int], Offsets]:
        return {}

    @cached_property
    def candidates(self) -> tuple[Tile, ...]:
        """The long-range pairs i < j, of known distance or not."""
        return tiles_of(self.longrange)

    @cached_property
    def contacts(self) -> Contacts | None:
        """The candidates in the clean structure, None where there is none."""
        reference = self.structure.ca_reference
        return None if reference is None else Contacts.of(distances(reference), self.candidates)

    @cached_property
    def step(self) -> float | None:
        """The median Cα–Cα distance in Å of residues that follow each other, clean structure."""
        reference = self.structure.ca_reference
        return None if reference is None else chain_step(reference, self.structure)

    @cached_property
    def step_spread(self) -> float | None:
        """How unlike these distances are; None without a clean structure."""
        reference = self.structure.ca_reference
        return None if reference is None else chain_step_spread(reference, self.structure)

    @cached_property
    def missing(self) -> Booleans:
        """[N]: which residues have no coordinates in the clean structure; none without one."""
        reference = self.structure.ca_reference
        if reference is None:
            return np.zeros(self.structure.n_residues, dtype=bool)
        return ~have_coordinates(reference)

    @cached_property
    def piled(self) -> Booleans:
        """[N]: which residues lie on one point with another one there; none without one."""
        reference = self.structure.ca_reference
        if reference is None:
            return np.zeros(self.structure.n_residues, dtype=bool)
        return on_one_point(reference)


def far_in_sequence(
    structure: Structure, queries: slice | Sequence[int] | npt.NDArray[np.intp]
) -> Booleans:
    """[Q, N]: which residues are in another chain than a query, or at least 6 numbers from it."""
    number, chain = structure.residue_index.astype(np.int64), structure.chain_index
    apart: Booleans = np.abs(number[queries, None] - number[None, :]) >= LONG_RANGE
    apart |= chain[queries, None] != chain[None, :]
    return apart
