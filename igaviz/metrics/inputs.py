"""Whether two recordings are of the same batch items: the one place that says so.

An item that has a name is known by it, and by its size. One without is known by its structure: two
chains whose Cα steps have the same median and the same spread, to the last bit, are the same. Other
coordinates may be those of another protein, or of the same one noised, turned or predicted anew:
then only clean structures tell, whose steps are those of the protein.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from igaviz.metrics.data import Measurement

UNNAMED: Final = (
    "items have no names (give `names=` to `recorder.step`): can't tell whether they are the same"
)

_ROUNDING: Final = 1e-4
"""What a clean structure that is turned or shifted may change of its steps: float32 rounds."""


class Alike(NamedTuple):
    """Whether items differ, None where that can't be told; `why` they do, or why it can't."""

    differ: bool | None
    why: str = ""


SAME: Final = Alike(False)
UNKNOWN: Final = Alike(None, UNNAMED)


class Input(NamedTuple):
    """A batch item as one attention call had it: its place, its name, its size and its structure.

    `chain` is the median Cα step in Å and its spread, of the clean structure where there is one
    (`clean`); None where nothing is known of them, or all steps are alike to the last bit.
    """

    rank: int
    batch: int
    name: str
    n_residues: int
    chain: tuple[float, float] | None
    clean: bool

    @classmethod
    def of(cls, m: Measurement) -> Input:
        """The item of which `m` measures a map."""
        clean = m.reference_step is not None
        step, spread = m.reference_step if clean else m.ca_step, m.step_spread
        chain = (step, spread) if step and spread and math.isfinite(step + spread) else None
        return cls(m.id.rank, m.id.batch, m.item, m.n_residues, chain, clean)


Inputs = frozenset[Input]
"""The items of a layer at one step, of all ranks."""


def inputs_of(measurements: Iterable[Measurement]) -> Inputs:
    """The items that `measurements` are of."""
    return frozenset(Input.of(m) for m in measurements)


def alike(a: Inputs, b: Inputs, *, fixed: bool = False) -> Alike:
    """Whether the items in all places are the same; one that is on one side only is another.

    `fixed` says that a place holds what it held, as in a probe: then items without names are the
    same where nothing shows that they aren't.
    """
    places = by_place(a, b, fixed=fixed)
    if not len(a) == len(b) == len(places):
        return Alike(True, "other batch items were recorded")
    return least_alike(places.values())


def by_place(a: Inputs, b: Inputs, *, fixed: bool = False) -> Mapping[tuple[int, int], Alike]:
    """The same of each (rank, batch item) that both have."""
    there = {i[:2]: i for i in b}
    return {i[:2]: _alike(i, there[i[:2]], fixed=fixed) for i in a if i[:2] in there}


def least_alike(found: Collection[Alike]) -> Alike:
    """Of several answers the one that holds for all of them: `SAME` where all are, or none is."""
    return max(found, key=lambda one: (one.differ is not False, bool(one.differ)), default=SAME)


@dataclass
class Sameness:
    """Whether recordings are all of the same items, in whatever order they come: `alike`.

    Each is compared with the first of those that told as much, name or clean structure: one that
    tells little is like two that differ.
    """

    alike: Alike = SAME
    seen: dict[object, Inputs] = field(default_factory=dict)

    def add(self, inputs: Inputs, *, fixed: bool) -> None:
        """Take one recording into account; `fixed` as for `alike`."""
        told = frozenset((i.rank, i.batch, bool(i.name), i.clean) for i in inputs)
        self.seen.setdefault(told, inputs)
        found = [alike(before, inputs, fixed=fixed) for before in self.seen.values()]
        self.alike = least_alike((self.alike, *found))


def _alike(one: Input, other: Input, *, fixed: bool) -> Alike:
    if one.n_residues != other.n_residues:
        return Alike(True, f"{one.n_residues} and {other.n_residues} residues")
    if one.name and other.name:
        names = f"items of two names, {one.name} and {other.name}"
        return SAME if one.name == other.name else Alike(True, names)
    if one.chain is not None and other.chain is not None and one.clean == other.clean:
        if one.chain == other.chain:
            return SAME
        if one.clean and not _close(one.chain, other.chain):
            return Alike(True, "items of two structures")
    return SAME if fixed else UNKNOWN


def _close(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return all(
        math.isclose(a, b, rel_tol=_ROUNDING, abs_tol=_ROUNDING)
        for a, b in zip(one, other, strict=True)
    )
