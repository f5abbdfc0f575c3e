"""How well strong attention tells which residues touch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from igaviz.dump.data import Booleans, Floats
from igaviz.metrics.arrays import Doubles
from igaviz.metrics.groups import FEW_RESIDUES
from igaviz.metrics.table import CONTACT_RADIUS
from igaviz.metrics.values import Missing, Results, quotient

_TILE = 2**16
"""Pairs of A + Aᵀ made at once: A is read across its rows for it, and best from a core's cache."""

_ALIASING = 512
"""Bytes: rows that lie so far apart, or a multiple of it, crowd in a core's cache by column."""

_BETWEEN = 16
"""Numbers to leave free between them, a line of the cache."""

_FIRST = 8
"""One in so many scores is looked at first, to know how large the chosen ones are at least."""


@dataclass(frozen=True, eq=False)
class Tile:
    """Some pairs i < j with i in a stretch of residues from `start` on, by i, then j.

    `places` are their flat indices in the rows from `start` to `stop` and the columns from `start`
    on of an [N, N] table.
    """

    start: int
    stop: int
    places: npt.NDArray[np.intp] | npt.NDArray[np.int32]


def tiles_of(longrange: Booleans) -> tuple[Tile, ...]:
    """The pairs i < j among those that the table [N, N] names."""
    n = len(longrange)
    tiles = []
    rows = max(1, _TILE // max(n, 1))
    for start in range(0, n, rows):
        stop = min(start + rows, n)
        places = np.flatnonzero(np.triu(longrange[start:stop, start:], 1))
        tiles.append(Tile(start, stop, places if n <= FEW_RESIDUES else places.astype(np.int32)))
    return tuple(tiles)


@dataclass(frozen=True, eq=False)
class Contacts:
    """The candidates: long-range pairs i < j of known distance, by i, then j, C in `tiles`.

    `touching` [C] says which are closer than 8 Å.
    """

    n_residues: int
    tiles: tuple[Tile, ...]
    touching: Booleans

    @classmethod
    def of(cls, distance: Floats, longrange: Sequence[Tile]) -> Contacts:
        """The candidates: the pairs of `longrange` whose `distance` [N, N] in Å is known."""
        tiles, touching = [], [np.zeros(0, dtype=bool)]
        for tile in longrange:
            apart = distance[tile.start : tile.stop, tile.start :].take(tile.places)
            known = np.isfinite(apart)
            if not known.all():
                tile, apart = replace(tile, places=tile.places[known]), apart[known]
            tiles.append(tile)
            touching.append(apart < CONTACT_RADIUS)
        return cls(len(distance), tuple(tiles), np.concatenate(touching))

    @cached_property
    def by_chance(self) -> float:
        """The share of candidates that touch; there must be some."""
        return float(self.touching.mean())

    def measure(self, attention: Floats, sums: Doubles) -> Results:
        """`contact_precision` and `contact_lift` of the weights [N, N].

        `sums` [N] are those of the rows of A + Aᵀ without its diagonal. Average-product correction:
        Dunn, Wahl, Gloor (2008), Bioinformatics 24, 333.
        """
        why = None
        if not len(self.touching):
            why = Missing("no candidates")
        elif not self.by_chance:
            why = Missing("no contacts")
        elif sums.sum() == 0:
            why = Missing("no attention between residues")
        if why is not None:
            return dict.fromkeys(("contact_precision", "contact_lift"), why)
        chosen, _ = self.strongest(attention, sums)
        if not len(chosen):
            broken = Missing("corrected attention is not finite")
            return dict.fromkeys(("contact_precision", "contact_lift"), broken)
        precision = float(self.touching[chosen].mean())
        return {
            "contact_precision": precision,
            "contact_lift": quotient(precision, self.by_chance, "no contacts"),
        }

    def strongest(
        self, attention: Floats, sums: Doubles
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.floating[Any]]]:
        """The min(N, C) candidates, ascending, with the largest scores [≤ N], and these.

        A score is A + Aᵀ less the product of its averages over the whole of it without diagonal.
        Of equal ones the first is taken. Tile by tile, so that no table of them is held.
        """
        # by a power of 2: exact, so that equal products stay equal, and none under- or overflows
        scale = 2.0 ** np.round(np.log2(sums.sum()) / 2)
        single, by_total = (sums / scale).astype(np.float32), np.float32(scale**2 / sums.sum())
        chosen, best = np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.float32)
        before = 0
        for tile in self.tiles:
            rows, columns = slice(tile.start, tile.stop), slice(tile.start, None)
            products = np.dot(single[rows, None], single[None, columns])  # half of what * takes
            products *= by_total
            both = attention[rows, columns] + _turned(attention[columns, rows])
            both -= products
            scores = both.take(tile.places, mode="wrap")  # none is outside: not looking is faster
            if len(best) == self.n_residues:  # equal to the least of the chosen comes too late
                found = np.flatnonzero(scores > best.min())
            else:
                found = np.flatnonzero(scores >= _least(scores, self.n_residues))
            chosen = np.concatenate([chosen, before + found])
            best = np.concatenate([best, scores[found]])
            kept = strongest(best, self.n_residues)
            chosen, best = chosen[kept], best[kept]
            before += len(tile.places)
        return chosen, best

    @property
    def first(self) -> npt.NDArray[np.intp]:
        """[C]: the residue i of each candidate."""
        return self._residues(0)

    @property
    def second(self) -> npt.NDArray[np.intp]:
        """[C]: the residue j of each candidate."""
        return self._residues(1)

    def _residues(self, axis: int) -> npt.NDArray[np.intp]:
        found = [np.zeros(0, dtype=np.intp)]
        for tile in self.tiles:
            place = np.divmod(tile.places, self.n_residues - tile.start)[axis]
            found.append(tile.start + place.astype(np.intp))
        return np.concatenate(found)


@dataclass(frozen=True, eq=False)
class Ranking:
    """What attention predicts: its strongest candidates in order.

    `chosen` [K] are their places among the candidates of `Contacts`, the min(N, C) strongest
    first; `hit` [K] says which touch, `precision` [K] how large a share of the first k does.
    """

    chosen: npt.NDArray[np.intp]
    hit: Booleans
    precision: npt.NDArray[np.float64]

    @classmethod
    def of(cls, contacts: Contacts, attention: Floats) -> Ranking | None:
        """The candidates by the corrected `attention` [N, N]; None where it is all 0, or broken.

        Of equal scores the first comes first, so that the last of `precision` is the metric
        `contact_precision`.
        """
        if not np.isfinite(attention).all():
            return None
        sums = _sums_of_both(_others(attention))
        if sums.sum() == 0:
            return None
        candidates, scores = contacts.strongest(attention, sums)
        chosen = candidates[np.argsort(-scores, kind="stable")]
        hit = contacts.touching[chosen]
        return cls(chosen, hit, np.cumsum(hit) / np.arange(1, len(hit) + 1))


def corrected(attention: Floats) -> Doubles | None:
    """A + Aᵀ without its diagonal, less the product of its averages; None where it is all 0."""
    others = _others(attention)
    sums = _sums_of_both(others)
    total = sums.sum()
    if total == 0:
        return None
    both = others.astype(np.float64)
    both += others.T
    both -= np.outer(sums, sums) / total
    return both


def _others(attention: Floats) -> Floats:
    """[N, N]: A without its diagonal."""
    others = attention.copy()
    np.fill_diagonal(others, 0.0)
    return others


def _sums_of_both(others: Floats) -> Doubles:
    """[N]: what each row of A + Aᵀ adds up to."""
    sums: Doubles = others.sum(axis=1, dtype=np.float64) + others.sum(axis=0, dtype=np.float64)
    return sums


def _turned(block: Floats) -> Floats:
    """The transpose of `block`, rows of a map.

    Where these lie a multiple of 512 bytes apart, as in crops of 128, 256 or 384 residues, its
    columns share few lines of a core's cache: it is moved to where they don't, which was measured
    to take a third off A + Aᵀ there, and two thirds at 1,024.
    """
    if block.strides[0] % _ALIASING:
        return block.T
    rows, columns = block.shape
    apart: Floats = np.empty((rows, columns + _BETWEEN), block.dtype)[:, :columns]
    apart[...] = block
    return apart.T


def _least(scores: Floats, count: int) -> np.floating[Any]:
    """A score that at least `count` of `scores` reach, -∞ where there are no so many."""
    some = scores[::_FIRST]
    if len(some) < count:
        return np.float32(-np.inf)
    least: np.floating[Any] = np.partition(some, len(some) - count)[len(some) - count]
    return least


def strongest(scores: Floats, count: int) -> npt.NDArray[np.intp]:
    """The places of the `count` largest scores; of equal ones the first."""
    if count >= len(scores):
        return np.arange(len(scores))
    least = np.partition(scores, len(scores) - count)[len(scores) - count]
    above = np.flatnonzero(scores > least)
    ties = np.flatnonzero(scores == least)
    return np.concatenate([above, ties[: count - len(above)]])
