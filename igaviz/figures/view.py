"""What part of a map is looked at, and how: `View`, and the residues along an axis."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from igaviz.defaults import LOCAL_RADIUS
from igaviz.dump.data import AttentionMap, Booleans, Floats, Integers, Structure
from igaviz.errors import SelectionError, UsageError
from igaviz.figures.theme import StyleName
from igaviz.format import chain_label
from igaviz.metrics.pairs import Pairs
from igaviz.metrics.profiles import Profiles
from igaviz.metrics.table import BIN_LIMIT

Scale = Literal["log", "linear"]
MAX_QUERIES = 4
NO_RESIDUES = "The item has no residues."


@dataclass(frozen=True)
class View:
    """How a map is to be drawn.

    `scale` is that of attention; `relative` draws the logits as each row minus its maximum.
    `residues` and `queries` are positions (0…N-1) in the item, None for all residues and for the
    four queries N//4, N//2, 3N//4, N-1. `residues` cuts what is shown, never what is computed.
    `radius` in Å is the limit of local pairs. `style` is `light` for print, `dark` for
    slides.
    """

    scale: Scale = "log"
    relative: bool = False
    residues: tuple[int, ...] | None = None
    queries: tuple[int, ...] | None = None
    radius: float = LOCAL_RADIUS
    style: StyleName = "light"

    def __post_init__(self) -> None:
        if self.scale not in get_args(Scale):
            raise UsageError(f"no scale {self.scale!r}", hint="write log or linear")
        if self.style not in get_args(StyleName):
            raise UsageError(f"no style {self.style!r}", hint="write light or dark")
        if not (math.isfinite(self.radius) and self.radius > 0):
            raise UsageError(f"the radius must be a positive length in Å, not {self.radius:g}")
        for name in ("residues", "queries"):
            chosen = getattr(self, name)
            if chosen is not None:
                object.__setattr__(self, name, _positions(name, chosen))
        if self.residues == ():
            raise UsageError("no residue is chosen", hint="leave residues out to see all")
        if self.queries is not None and not 1 <= len(self.queries) <= MAX_QUERIES:
            raise UsageError(
                f"{len(self.queries)} queries are chosen, one figure holds 1 to {MAX_QUERIES}",
                hint="choose fewer, and draw the others in a second figure",
            )


def _positions(name: str, chosen: object) -> tuple[int, ...]:
    """`chosen` as numbers: any sequence of them, an array too. Raises `UsageError` for others."""
    try:
        if isinstance(chosen, Iterable):
            return tuple(operator.index(position) for position in chosen)
    except TypeError:  # texts, masks: what isn't whole numbers
        pass
    raise UsageError(
        f"{name} of a view are positions from 0 in the item, not {chosen!r}",
        hint="give whole numbers, such as range(9, 50); igaviz.selection.Residues.parse('10-50')"
        ".positions(structure.residue_index, structure.chain_index) makes them of residue numbers",
    )


@dataclass(frozen=True, eq=False)
class Window:
    """The residues along an axis of a figure, in the order of the item.

    `positions` [M] are theirs in the item. `breaks` and `gaps` are places between two of them:
    where another chain begins, and where residue numbers are left out.
    """

    structure: Structure
    positions: npt.NDArray[np.intp]
    breaks: npt.NDArray[np.float64]
    gaps: npt.NDArray[np.float64]

    @classmethod
    def of(cls, structure: Structure, view: View) -> Window:
        """The residues of `structure` that `view` shows. Raises `SelectionError` beyond them."""
        n = structure.n_residues
        chosen = range(n) if view.residues is None else sorted(set(view.residues))
        positions = np.array(check_positions(chosen, n), dtype=np.intp)
        numbers = structure.residue_index[positions].astype(np.int64)
        chains = structure.chain_index[positions]
        other_chain = chains[1:] != chains[:-1]
        skipped = (np.diff(numbers) != 1) & ~other_chain
        return cls(
            structure,
            positions,
            np.flatnonzero(other_chain).astype(np.float64) + 0.5,
            np.flatnonzero(skipped).astype(np.float64) + 0.5,
        )

    @cached_property
    def _several_chains(self) -> bool:
        return len(np.unique(self.structure.chain_index)) > 1

    def label_of(self, position: int) -> str:
        """The number of the residue at `position` of the item, with its chain if it has several."""
        number = str(int(self.structure.residue_index[position]))
        if not self._several_chains:
            return number
        return f"{chain_label(int(self.structure.chain_index[position]))}/{number}"

    @property
    def size(self) -> int:
        """M, the number of residues shown."""
        return len(self.positions)

    @property
    def whole(self) -> bool:
        """Whether every residue of the item is shown."""
        return self.size == self.structure.n_residues

    def cut(self, table: Floats) -> Floats:
        """The part [M, M] of a table [N, N] that is shown."""
        part: Floats = table if self.whole else table[np.ix_(self.positions, self.positions)]
        return part

    def place(self, position: int) -> int | None:
        """Where on the axis the residue at `position` of the item stands; None if not shown."""
        found = int(np.searchsorted(self.positions, position))
        return found if found < self.size and self.positions[found] == position else None

    def ticks(self, most: int) -> tuple[list[float], list[str]]:
        """Places and labels of about `most` ticks, at round residue numbers where there are."""
        chosen = list(range(self.size)) if self.size <= most else self._round_places(most)
        return [float(place) for place in chosen], [
            self.label_of(self.positions[place]) for place in chosen
        ]

    def _round_places(self, most: int) -> list[int]:
        numbers: Integers = self.structure.residue_index[self.positions].astype(np.int64)
        stride = _nice_stride(self.size / most)
        # holes and chains can bring round numbers close together, and a chain takes room
        apart = (1.0 if self._several_chains else 0.75) * self.size / most
        chosen = _places_apart(numbers % stride == 0, apart)
        if len(chosen) < 2:  # one number says nothing of an axis
            chosen = _places_apart(numbers % _nice_stride(stride / 2) == 0, apart)
        if len(chosen) * 3 < most:
            even = np.linspace(0, self.size - 1, max(2, most // 2))
            chosen = [int(place) for place in even]
        return self._with_every_chain(chosen, numbers, apart)

    def _with_every_chain(self, chosen: list[int], numbers: Integers, apart: float) -> list[int]:
        """`chosen` and, of each chain without a place, one that is far enough from the others."""
        borders = [0, *(int(place + 0.5) for place in self.breaks), self.size]
        for first, end in pairwise(borders):
            if any(first <= place < end for place in chosen):
                continue
            free = [p for p in range(first, end) if all(abs(p - c) >= apart for c in chosen)]
            middle = (first + end - 1) / 2
            roundest = sorted(free, key=lambda p: (-_roundness(int(numbers[p])), abs(p - middle)))
            chosen = [*chosen, *roundest[:1]]
        return sorted(chosen)


def profiles_of(map: AttentionMap, pairs: Pairs | None, view: View) -> Profiles:
    """What the figures draw of `map`, with its `pairs` or, where None, new ones for the view.

    Raises `UsageError` where the pairs are of another item or have another radius.
    """
    if pairs is None:
        pairs = Pairs.of(map.structure, view.radius)
    if pairs.n_residues != map.n_residues:
        raise UsageError(f"pairs of {pairs.n_residues} residues, a map of {map.n_residues}")
    if pairs.radius != view.radius:
        raise UsageError(
            f"pairs within {pairs.radius:g} Å, a view of {view.radius:g} Å",
            hint="make the pairs with the view's radius",
        )
    return Profiles(map, pairs)


def check_positions(chosen: range | list[int] | tuple[int, ...], n_residues: int) -> list[int]:
    """`chosen` as a list. Raises `SelectionError` where one of them is no position of the item."""
    outside = [position for position in chosen if not 0 <= position < n_residues]
    if outside:
        raise SelectionError(
            f"no residue at position {outside[0]}", hint=f"the item has {n_residues} residues"
        )
    return list(chosen)


def default_queries(n_residues: int) -> tuple[int, ...]:
    """The positions N//4, N//2, 3N//4 and N-1, each once."""
    if n_residues == 0:
        return ()
    quarters = (n_residues // 4, n_residues // 2, 3 * n_residues // 4, n_residues - 1)
    return tuple(dict.fromkeys(quarters))


def why_no_pairs(name: str, profiles: Profiles, n_pairs: int | None) -> str:
    """Why a panel about pairs has none, in a sentence; empty where it has some.

    `n_pairs` of them have the term `name`; None stands for a term that is missing.
    """
    n_residues = profiles.map.n_residues
    if n_pairs is None:
        return f"{name} not recorded."
    if n_residues < 2:
        return NO_RESIDUES if n_residues == 0 else "One residue: there is no pair."
    return "" if n_pairs else f"No pair below {BIN_LIMIT:,} Å has a finite value."


def _places_apart(good: Booleans, apart: float) -> list[int]:
    """The places that are `good`, without those nearer than `apart` to the one before."""
    chosen: list[int] = []
    for place in np.flatnonzero(good).tolist():
        if not chosen or place - chosen[-1] >= apart:
            chosen.append(place)
    return chosen


def _roundness(number: int) -> int:
    """The largest of 100, 50, 10, 5 and 1 that divides `number`."""
    return next(step for step in (100, 50, 10, 5, 1) if number % step == 0)


def _nice_stride(least: float) -> int:
    """The smallest of 1, 2, 5, 10, 20, 25, 50, 100, 200, 250, … that is at least `least`."""
    decade = 10 ** math.floor(math.log10(max(least, 1.0)))
    steps = (1, 2, 5, 10) if decade == 1 else (1, 2, 2.5, 5, 10)
    return next(int(decade * step) for step in steps if decade * step >= least)
