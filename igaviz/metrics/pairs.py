"""The tables of one structure that every metric and figure of its maps looks up."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from igaviz.defaults import LOCAL_RADIUS
from igaviz.dump.data import Booleans, Structure
from igaviz.metrics.contacts import Contacts
from igaviz.metrics.data import Unplaced
from igaviz.metrics.distance import chain_step, chain_step_spread, distances, query_blocks
from igaviz.metrics.groups import Groups, distance_bins
from igaviz.metrics.places import all_on_one_point, have_coordinates, on_one_point
from igaviz.metrics.protein import Protein
from igaviz.metrics.table import BIN_LIMIT, NEAR_RADIUS


@dataclass(frozen=True, eq=False)
class Pairs:
    """What the residues of one structure are to each other: [N, N] tables, axes query and key.

    `distance` is Cα–Cα in Å (float32, 0 on the diagonal, NaN or infinite where a coordinate is),
    and `local` says i ≠ j and d < `radius`. Made once per batch item and shared by its layers and
    heads, as long as the layers see the same coordinates; `protein` is shared in any case.
    """

    structure: Structure
    radius: float
    distance: npt.NDArray[np.float32]
    local: Booleans
    protein: Protein

    @classmethod
    def of(
        cls, structure: Structure, radius: float = LOCAL_RADIUS, protein: Protein | None = None
    ) -> Pairs:
        """The tables of `structure`; `radius` in Å is the limit of `local`.

        `protein` is that of another layer of the same item, made anew where left out.
        """
        distance = distances(structure.ca)
        local = distance < radius
        np.fill_diagonal(local, False)
        return cls(
            structure=structure,
            radius=radius,
            distance=distance,
            local=local,
            protein=Protein(structure) if protein is None else protein,
        )

    def are_of(self, structure: Structure, radius: float) -> bool:
        """Whether they are the tables of `structure` too."""
        return (
            self.radius == radius
            and np.array_equal(self.structure.ca, structure.ca, equal_nan=True)
            and self.protein.has(structure)
        )

    @property
    def n_residues(self) -> int:
        """N, the number of residues."""
        return len(self.distance)

    @property
    def longrange(self) -> Booleans:
        """[N, N]: i ≠ j in different chains or with |Δ residue_index| ≥ 6."""
        return self.protein.longrange

    @cached_property
    def distant(self) -> Booleans:
        """The *global* pairs: i ≠ j, a known distance, and not local."""
        known: Booleans = np.isfinite(self.distance)
        np.fill_diagonal(known, False)
        return known & ~self.local

    @property
    def near(self) -> Booleans:
        """[N, N]: d < 15 Å, the query included."""
        return self.distance < NEAR_RADIUS

    @property
    def bins(self) -> npt.NDArray[np.int16]:
        """[N, N]: ⌊d⌋, -1 on the diagonal, where there is no distance, and beyond 1,024 Å."""
        return distance_bins(self.distance, np.arange(self.n_residues))

    @cached_property
    def n_bins(self) -> int:
        """How many bins of 1 Å hold all pairs that have one."""
        farthest = float(self.distance.max(initial=0))
        if self.n_residues > 1 and farthest < BIN_LIMIT:  # all of them: no NaN is less
            return int(farthest) + 1
        within = self.distance < BIN_LIMIT
        np.fill_diagonal(within, False)
        return int(self.distance.max(initial=-1, where=within)) + 1

    @cached_property
    def blocks(self) -> tuple[Groups, ...]:
        """The pairs by distance, sequence and query, in blocks of queries: what is summed over."""
        return tuple(Groups.of(self, queries) for queries in query_blocks(self.n_residues))

    @cached_property
    def groups(self) -> Groups:
        """The same of all queries in one block."""
        if len(self.blocks) == 1:
            return self.blocks[0]
        return Groups.of(self, slice(0, self.n_residues))

    @cached_property
    def contacts(self) -> Contacts:
        """The long-range pairs i < j, and which of them touch in the clean structure."""
        return self.protein.contacts or Contacts.of(self.distance, self.protein.candidates)

    @cached_property
    def ca_step(self) -> float | None:
        """The median Cα–Cα distance in Å of residues that follow each other in sequence."""
        return chain_step(self.structure.ca, self.structure)

    @cached_property
    def step_spread(self) -> float | None:
        """How unlike these distances are, of the clean structure where there is one."""
        if self.structure.ca_reference is not None:
            return self.protein.step_spread
        return chain_step_spread(self.structure.ca, self.structure)

    @property
    def reference_step(self) -> float | None:
        """The median distance in the clean structure, None where there is none."""
        return self.protein.step

    @cached_property
    def unplaced(self) -> Unplaced | None:
        """The residues without a place of their own, None where each has one."""
        ca = self.structure.ca
        no_extent = all_on_one_point(ca)
        missing = ~have_coordinates(ca) | self.protein.missing
        piled = self.protein.piled if no_extent else on_one_point(ca) | self.protein.piled
        if not (no_extent or missing.any() or piled.any()):
            return None
        n_local = int(self.local.sum())
        of_piled = int(self.local[piled | piled[:, None]].sum())
        return Unplaced(
            missing=int(missing.sum()),
            piled=int(piled.sum()),
            local_share=of_piled / max(n_local, 1),
            no_extent=no_extent,
        )
