"""The tables of one structure that every metric and figure of its maps looks up."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from igaviz.dump.data import Booleans, Structure

if TYPE_CHECKING:
    from igaviz.metrics.contacts import Contacts
    from igaviz.metrics.groups import Groups

LOCAL_RADIUS = 8.0
"""Å: pairs closer than this are local (the default of `--radius`)."""

NEAR_RADIUS = 15.0
"""Å: the keys over which the spread of a row does not grow with the protein."""

LONG_RANGE = 6
"""Residue numbers apart (or another chain): neighbours in space that sequence doesn't explain."""

BIN_LIMIT = 1024
"""Å: farther pairs belong to no distance bin, so that a stray coordinate costs no memory."""


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
        binned = others & (distance < BIN_LIMIT)
        return cls(
            structure=structure,
            radius=radius,
            distance=distance,
            local=others & (distance < radius),
            near=distance < NEAR_RADIUS,
            longrange=longrange_pairs(structure),
            bins=np.where(binned, distance, -1.0).astype(np.int32),
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
        """The pairs as flat indices by distance, sequence and query: what `measure` sums over."""
        from igaviz.metrics.groups import Groups

        return Groups.of(self)

    @cached_property
    def contacts(self) -> Contacts:
        """The long-range pairs i < j and which of them touch in the clean structure."""
        from igaviz.metrics.contacts import Contacts

        return Contacts.of(self)


def distances(ca: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Cα–Cα distances [N, N] as float32 of coordinates [N, 3], in their unit; the diagonal is 0.

    A pair with a non-finite coordinate gets a non-finite distance. From differences in float64,
    not from a Gram matrix, so that a common shift of the coordinates costs no digits.
    """
    ca = np.asarray(ca, dtype=np.float64)
    squared = np.zeros((len(ca), len(ca)))
    with np.errstate(over="ignore", invalid="ignore"):
        for axis in range(ca.shape[1]):
            squared += (ca[:, None, axis] - ca[None, :, axis]) ** 2
        distance = np.sqrt(squared).astype(np.float32)
    np.fill_diagonal(distance, 0.0)
    return distance


def longrange_pairs(structure: Structure) -> Booleans:
    """Which pairs [N, N] lie in different chains or at least 6 residue numbers apart."""
    number = structure.residue_index.astype(np.int64)
    chain = structure.chain_index
    apart = np.abs(number[:, None] - number[None, :]) >= LONG_RANGE
    longrange: Booleans = apart | (chain[:, None] != chain[None, :])
    return longrange
