"""One head on its structure: the Cα atoms with what they receive, and the strongest pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from igaviz._version import __version__
from igaviz.dump import AttentionMap
from igaviz.dump.data import Booleans
from igaviz.errors import OutputError
from igaviz.format import MapId, chain_label
from igaviz.metrics.received import Received, strongest_pairs

_LARGEST_NUMBER = 2**31 - 1
"""Residue numbers beyond it are in no program's range."""


@dataclass(frozen=True)
class Atom:
    """A Cα atom: chain (its index and label), residue number, one-letter code, Å, B-factor."""

    chain_index: int
    chain: str
    number: int
    letter: str
    xyz: tuple[float, float, float]
    b: float

    @property
    def name(self) -> str:
        """How `--query` and people name the residue: A/57."""
        return f"{self.chain}/{self.number}"


@dataclass(frozen=True)
class Bond:
    """One of the strongest pairs, drawn from query to key; `weight` is A_ij."""

    query: Atom
    key: Atom
    weight: float
    long_range: bool


@dataclass(frozen=True)
class Trace:
    """What the files of one head hold: atoms, queries that were chosen, pairs, and what it means.

    `left_out` counts residues without finite coordinates, `rows_left_out` queries whose row has
    a value that isn't finite. `notes` are lines of ASCII that hold no name out of the dump.
    """

    id: MapId
    item: str
    atoms: tuple[Atom, ...]
    queries: tuple[Atom, ...]
    bonds: tuple[Bond, ...]
    left_out: int
    rows_left_out: int
    notes: tuple[str, ...]


def trace_of(
    map: AttentionMap,
    *,
    pairs: int,
    queries: Sequence[int] | None = None,
    long_range: bool = False,
) -> Trace:
    """The trace of `map`: B-factors from `queries` (positions; None for all), `pairs` bonds.

    Raises `OutputError` where it has no attention, no finite row of it, no residue with finite
    coordinates, or residues that no program could tell apart.
    """
    structure = map.structure
    if map.attention is None:
        raise OutputError("neither attention nor what it follows from is recorded")
    received = Received.of(map.attention, queries)
    if not received.queries:
        raise OutputError("no query has finite attention")
    finite: Booleans = np.asarray(np.isfinite(structure.ca).all(axis=1))
    atoms = {position: atom for position, atom in _atoms(map, received) if finite[position]}
    _check(list(atoms.values()))
    bonds = tuple(
        Bond(atoms[pair.query], atoms[pair.key], pair.weight, pair.long_range)
        for pair in strongest_pairs(
            map.attention, structure, pairs, queries=queries, among=finite, long_range=long_range
        )
    )
    left_out = structure.n_residues - len(atoms)
    shown = tuple(atoms[position] for position in queries or () if position in atoms)
    return Trace(
        id=map.id,
        item=structure.name,
        atoms=tuple(atoms.values()),
        queries=shown,
        bonds=bonds,
        left_out=left_out,
        rows_left_out=received.left_out,
        notes=tuple(_notes(map, received, queries, left_out)),
    )


def _atoms(map: AttentionMap, received: Received) -> Iterator[tuple[int, Atom]]:
    structure = map.structure
    letters = structure.sequence or "X" * structure.n_residues
    for position in range(structure.n_residues):
        chain = int(structure.chain_index[position])
        x, y, z = (float(value) for value in structure.ca[position])
        yield (
            position,
            Atom(
                chain_index=chain,
                chain=chain_label(chain),
                number=int(structure.residue_index[position]),
                letter=letters[position],
                xyz=(x, y, z),
                b=float(received.values[position]),
            ),
        )


def _check(atoms: Sequence[Atom]) -> None:
    if not atoms:
        raise OutputError("no residue has finite coordinates")
    seen: set[str] = set()
    for atom in atoms:
        if atom.chain_index < 0:
            raise OutputError(f"chain {atom.chain_index} has no letter")
        if abs(atom.number) > _LARGEST_NUMBER:
            raise OutputError(f"residue number {atom.number} is beyond 32 bits")
        if atom.name in seen:
            raise OutputError(f"two residues are {atom.name}: programs can't tell them apart")
        seen.add(atom.name)


def _notes(
    map: AttentionMap, received: Received, queries: Sequence[int] | None, left_out: int
) -> Iterator[str]:
    place = map.id
    yield f"igaviz {__version__}: attention of one head on the C-alpha atoms of one batch item"
    yield (
        f"phase {place.phase}, step {place.step}, rank {place.rank}, batch item {place.batch}, "
        f"layer {place.layer}, head {place.head}"
    )
    n = map.n_residues
    every = "all queries" if queries is None else f"{len(queries)} chosen queries"
    yield (
        f"B-factor of residue j = N x mean over {every} i of A_ij, N = {n} residues: 1 is what "
        "uniform attention gives, 2 twice as much"
    )
    if not map.attention_recorded:
        yield "attention follows from the recorded logits: it was not recorded itself"
    if received.left_out:
        yield f"{received.left_out} queries left out: their rows are not finite"
    if left_out:
        yield f"{left_out} residues left out: their coordinates are not finite"
