"""All heads of one attention call, each small: what the sheet of a layer is drawn from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from igaviz.defaults import LOCAL_RADIUS
from igaviz.dump.data import AttentionMap, Floats, Structure
from igaviz.format import LayerId
from igaviz.metrics.data import Measurement
from igaviz.metrics.distance import distances
from igaviz.metrics.heads import head_type
from igaviz.metrics.measure import measure
from igaviz.metrics.pairs import Pairs

TILE: Final = 320
"""Cells along a side of a small map, at most: residues beyond share cells."""


@dataclass(frozen=True, eq=False)
class Tile:
    """One head's attention, small, and what the checks say of it.

    `cells` [M, M] float32 are means over blocks of residues, None where attention is missing; a
    block with a value that isn't finite is NaN, and `nonfinite` counts these. `top` is the 99.9th
    percentile off the diagonal before it was made small.
    """

    head: int
    gamma: float | None
    cells: npt.NDArray[np.float32] | None
    top: float
    nonfinite: int
    head_type: str | None = None
    effect: float | None = None
    verdict: str = ""
    severity: str | None = None

    @classmethod
    def of(cls, map: AttentionMap, positions: Sequence[int] | None = None) -> Tile:
        """The small map of `map`, of the residues at `positions` (ascending), all where None."""
        attention = map.attention
        if attention is None:
            return cls(map.id.head, map.gamma, None, 0.0, 0)
        finite = np.isfinite(attention)
        others = attention[finite & ~np.eye(len(attention), dtype=bool)]
        seen = attention if positions is None else attention[np.ix_(positions, positions)]
        return cls(
            head=map.id.head,
            gamma=map.gamma,
            cells=shrunk(seen),
            top=float(np.percentile(others, 99.9)) if len(others) else 0.0,
            nonfinite=int(np.count_nonzero(~finite)),
        )

    def judged(self, verdict: str, severity: str | None) -> Tile:
        """The tile with what the checks say of its head."""
        return replace(self, verdict=verdict, severity=severity)

    def measured(self, measurement: Measurement) -> Tile:
        """The tile with its head's type and `geometry_effect`."""
        return replace(
            self,
            head_type=head_type(measurement.values),
            effect=measurement.number("geometry_effect"),
        )


@dataclass(frozen=True, eq=False)
class Sheet:
    """The heads of one attention call, in the order of their numbers, and the structure.

    `distance` [M, M] float32 is the Cα distance in Å, as small as a tile.
    """

    id: LayerId
    structure: Structure
    tiles: tuple[Tile, ...]
    distance: npt.NDArray[np.float32]

    @classmethod
    def join(
        cls,
        id: LayerId,
        structure: Structure,
        tiles: Iterable[Tile],
        positions: Sequence[int] | None = None,
    ) -> Sheet:
        """The sheet of `tiles` of one attention call, which show the residues at `positions`."""
        ca = structure.ca if positions is None else structure.ca[list(positions)]
        ordered = sorted(tiles, key=lambda tile: tile.head)
        return cls(id, structure, tuple(ordered), shrunk(distances(ca)))

    @classmethod
    def of(
        cls,
        maps: Iterable[AttentionMap],
        positions: Sequence[int] | None = None,
        *,
        radius: float = LOCAL_RADIUS,
    ) -> Sheet:
        """The sheet of `maps`, one attention call's heads, each read, measured and let go.

        Raises `ValueError` where there is no map, or they are of several calls.
        """
        tiles: list[Tile] = []
        pairs: Pairs | None = None
        call: LayerId | None = None
        for found in maps:
            if pairs is None:
                pairs, call = Pairs.of(found.structure, radius), found.id.layer_id
            if found.id.layer_id != call:
                raise ValueError("they are of several attention calls")
            tiles.append(Tile.of(found, positions).measured(measure(found, pairs)))
        if pairs is None or call is None:
            raise ValueError("there are none")
        return cls.join(call, pairs.structure, tiles, positions)

    def with_tiles(self, tiles: Sequence[Tile]) -> Sheet:
        """The sheet with other tiles of the same heads."""
        return replace(self, tiles=tuple(tiles))

    @property
    def top(self) -> float:
        """The largest `top` of a head."""
        return max((tile.top for tile in self.tiles), default=0.0)


def shrunk(table: Floats, most: int = TILE) -> npt.NDArray[np.float32]:
    """The means of [N, N] `table` over square blocks, so that at most `most` are along a side.

    The last blocks may be smaller. A block that isn't all finite is NaN.
    """
    n = len(table)
    block = -(-n // most)
    if block <= 1:
        return np.where(np.isfinite(table), table, np.nan).astype(np.float32)
    starts = np.arange(0, n, block)
    with np.errstate(invalid="ignore", over="ignore"):
        sums = np.add.reduceat(np.add.reduceat(table, starts, axis=0, dtype=np.float64), starts, 1)
    sizes = np.diff(np.append(starts, n))
    means = sums / np.outer(sizes, sizes)
    return np.where(np.isfinite(means), means, np.nan).astype(np.float32)
