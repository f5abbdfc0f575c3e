"""The tables of one structure that every metric and figure of its maps looks up."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from igaviz.dump.data import Booleans, Structure
from igaviz.metrics.contacts import Contacts
from igaviz.metrics.distance import chain_step, chain_step_spread, distances
from igaviz.metrics.groups import Groups
from igaviz.metrics.table import BIN_LIMIT, LOCAL_RADIUS, LONG_RANGE, NEAR_RADIUS


@dataclass(frozen=True, eq=False)
class Pairs:
    """What the residues of one structure are to each other: [N, N] tables, axes query and key.

    `distance` is Cα–Cα in Å (float32, 0 on the diagonal, NaN or infinite where a coordinate is),
    `local` says i ≠ j and d < `radius`, `near` d < 15 Å with the query included, `longrange`
    i ≠ j in different chains or with |Δ residue_index| ≥ 6, and `bins` holds ⌊d⌋ (int32), -1 on
    the diagonal, where there is no distance, and beyond 1,024 Å. Made once per batch item and
    shared by its layers and heads, as long as the layers see the same coordinates.
    """

    structure: Structure
    radius: float
    distance: npt.NDArray[np.float32]
    local: Booleans
    near: Booleans
    longrange: Booleans
    bins: npt.NDArray[np.int32]

    @classmethod
    def of(cls, structure: Structure, radius: float = LOCAL_RADIUS) -> Pairs:
        """The tables of `structure`; `radius` in Å is the limit of `local`."""
        distance = distances(structure.ca)
        others = ~np.eye(len(distance), dtype=bool)
        number = structure.residue_index.astype(np.int64)
        chain = structure.chain_index
        return cls(
            structure=structure,
            radius=radius,
            distance=distance,
            local=others & (distance < radius),
            near=distance < NEAR_RADIUS,
            longrange=(np.abs(number[:, None] - number[None, :]) >= LONG_RANGE)
            | (chain[:, None] != chain[None, :]),
            bins=np.where(others & (distance < BIN_LIMIT), distance, -1.0).astype(np.int32),
        )

    @property
    def n_residues(self) -> int:
        """N, the number of residues."""
        return len(self.distance)

    @cached_property
    def distant(self) -> Booleans:
        """The *global* pairs: i ≠ j, a known distance, and not local."""
        known: Booleans = np.isfinite(self.distance)
        np.fill_diagonal(known, False)
        return known & ~self.local

    @cached_property
    def groups(self) -> Groups:
        """The pairs by distance, sequence and query as flat indices: what `measure` sums over."""
        return Groups.of(self)

    @cached_property
    def contacts(self) -> Contacts:
        """The long-range pairs i < j, and which of them touch in the clean structure."""
        return Contacts.of(self)

    @cached_property
    def ca_step(self) -> float | None:
        """The median Cα–Cα distance in Å of residues that follow each other in sequence."""
        return chain_step(self.structure.ca, self.structure)

    @cached_property
    def step_spread(self) -> float | None:
        """How unlike these distances are, of the clean structure where there is one."""
        structure = self.structure
        reference = structure.ca_reference
        return chain_step_spread(structure.ca if reference is None else reference, structure)

    @cached_property
    def reference_step(self) -> float | None:
        """The same of the clean structure, None where there is none."""
        reference = self.structure.ca_reference
        return None if reference is None else chain_step(reference, self.structure)
