"""Which pairs have one offset in residue numbers, and what a term adds up to over those."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from igaviz.dump.data import Booleans, Floats, Structure
from igaviz.metrics.arrays import Doubles, Indices, class_sums
from igaviz.metrics.table import OFFSET_LIMIT

OTHER_CHAIN = 2 * OFFSET_LIMIT + 1
"""The class of offsets that keys in another chain share."""

NO_OFFSET = OTHER_CHAIN + 1
"""The class of offsets of masked keys."""

_RUN = 8
"""From so many pairs of one class on, side by side, adding them up as a run takes less time."""


@dataclass(frozen=True, eq=False)
class Offsets:
    """The class of the residue offset of each pair of Q queries and N keys, `table` [Q, N].

    From -32 to 32, where it is clipped, as 0 to 64; keys in another chain and masked ones are
    classes of their own. Those far along the chain, or in another, follow each other: such runs of
    one class are added up as they lie, the few other pairs in the order of their classes.
    """

    table: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, structure: Structure, queries: slice) -> Offsets:
        """Those of the pairs of some queries with all residues of `structure`."""
        number = structure.residue_index.astype(np.int64)
        chain = structure.chain_index
        apart = number[None, :] - number[queries, None]
        np.clip(apart, -OFFSET_LIMIT, OFFSET_LIMIT, out=apart)
        apart += OFFSET_LIMIT
        apart[chain[None, :] != chain[queries, None]] = OTHER_CHAIN
        return cls(apart.astype(np.uint8))

    def only(self, queries: Booleans) -> Offsets:
        """Those of some queries, `queries` [Q]."""
        return Offsets(self.table[queries])

    def without(self, masked: Booleans) -> Offsets:
        """Those without the pairs of `masked` [Q, N]."""
        return Offsets(np.where(masked, np.uint8(NO_OFFSET), self.table))

    @cached_property
    def counts(self) -> Doubles:
        """[66]: the number of pairs of each class that is an offset."""
        counts = np.bincount(self.table.ravel(), minlength=NO_OFFSET)[:NO_OFFSET]
        return counts.astype(np.float64)

    def sums(self, values: Floats) -> Doubles:
        """[H, 66]: the sums of [H, Q, N] `values` over each offset.

        Runs, and the other pairs of a class, are added up in the precision of `values`, pairwise,
        and put together in float64.
        """
        flat = values.reshape(len(values), -1)
        edges, of_runs = self._runs
        runs = np.add.reduceat(flat, edges, axis=1)[:, ::2]
        sums = class_sums(of_runs, runs, NO_OFFSET + 1)
        singles, starts, of_singles = self._singles
        sums[:, of_singles] += np.add.reduceat(flat.take(singles, axis=1), starts, axis=1)
        return sums[:, :NO_OFFSET]

    @cached_property
    def _stretches(self) -> tuple[Indices, Indices]:
        """Where stretches of one class begin among the flat pairs, and how long each is."""
        flat = self.table.ravel()
        starts = np.flatnonzero(np.diff(flat, prepend=NO_OFFSET + 1))
        return starts, np.diff(starts, append=flat.size)

    @cached_property
    def _runs(self) -> tuple[Indices, Indices]:
        """Where each long stretch begins and ends, in turns, and the class of each."""
        starts, lengths = self._stretches
        begin, length = starts[lengths >= _RUN], lengths[lengths >= _RUN]
        edges = np.stack([begin, begin + length], axis=1).ravel()
        # numpy ends the last one by itself, and takes no index behind it
        return edges[edges < self.table.size], self.table.ravel()[begin].astype(np.intp)

    @cached_property
    def _singles(self) -> tuple[Indices, Indices, Indices]:
        """The flat indices of all other pairs, by class; where each class begins, and which it is.

        Counting by class as they lie takes numpy half as long again as adding up what is in order.
        """
        _, lengths = self._stretches
        singles = np.flatnonzero(np.repeat(lengths < _RUN, lengths))
        classes = self.table.ravel()[singles]
        order = np.argsort(classes, kind="stable")
        there, starts = np.unique(classes[order], return_index=True)
        return singles[order], starts, there.astype(np.intp)
