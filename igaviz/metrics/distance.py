"""Distances between the Cα atoms of one structure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from igaviz.dump.data import Floats, Structure

BLOCK: Final = 2**17
"""Pairs of one block: what is computed of so many stays in a core's own cache."""

_IN_DOUBLE: Final = 2**14
"""The same of what is computed in float64, with all that comes between."""


def distances(ca: Floats) -> npt.NDArray[np.float32]:
    """Cα–Cα distances [N, N] as float32 of coordinates [N, 3], in their unit; the diagonal is 0.

    A pair with a non-finite coordinate gets a non-finite distance. From differences in float64,
    not from a Gram matrix, so that a common shift of the coordinates costs no digits.
    """
    ca = np.asarray(ca, dtype=np.float64)
    distance = np.empty((len(ca), len(ca)), dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for rows in _stretches(len(ca), _IN_DOUBLE):
            squared = np.zeros((rows.stop - rows.start, len(ca)))
            for axis in np.ascontiguousarray(ca.T):
                apart = axis[rows, None] - axis
                apart *= apart
                squared += apart
            distance[rows] = np.sqrt(squared, out=squared)
    np.fill_diagonal(distance, 0.0)
    return distance


def query_blocks(n: int) -> Iterator[slice]:
    """The queries of an [n, n] table in blocks of rows."""
    return _stretches(n, BLOCK)


def _stretches(n: int, pairs: int) -> Iterator[slice]:
    """The rows of an [n, n] table, so many pairs of them at once, or one row."""
    rows = max(1, pairs // max(n, 1))
    return (slice(start, min(start + rows, n)) for start in range(0, n, rows))


def chain_step(ca: Floats, structure: Structure) -> float | None:
    """The median distance of residues that follow each other in sequence, in the unit of `ca`.

    They stand next to each other in [N, 3] `ca`, in one chain, with consecutive numbers; None
    where no such two have finite coordinates. 3.8 Å in any protein.
    """
    steps = _chain_steps(ca, structure)
    return float(np.median(steps)) if len(steps) else None


def chain_step_spread(ca: Floats, structure: Structure) -> float | None:
    """The distance between the quartiles of these distances, by their median; None without any.

    0.01 in a protein, 0.1 in one that is noised by 0.2 Å, 0.6 where the coordinates are noise.
    """
    steps = _chain_steps(ca, structure)
    if not len(steps):
        return None
    low, middle, high = np.quantile(steps, (0.25, 0.5, 0.75))
    return float((high - low) / middle) if middle > 0 else None


def _chain_steps(ca: Floats, structure: Structure) -> npt.NDArray[np.float64]:
    follows = (np.diff(structure.residue_index.astype(np.int64)) == 1) & (
        structure.chain_index[1:] == structure.chain_index[:-1]
    )
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.linalg.norm(np.diff(np.asarray(ca, dtype=np.float64), axis=0), axis=1)
    known: npt.NDArray[np.float64] = steps[follows & np.isfinite(steps)]
    return known
