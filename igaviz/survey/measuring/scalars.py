"""Lines of scalars files as the checks take them: which of them, and as which measurements."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from igaviz.dump import LayerEntry, ScalarLine
from igaviz.format import MapId
from igaviz.metrics import Measurement
from igaviz.survey.plan import TimeLine

_UNKNOWN_SIZE = 20
"""Residues of items of which no map was recorded: the fewest that the checks judge."""


def thinned(steps: frozenset[int], measured: set[int], most: int) -> frozenset[int]:
    """At most `most` of the steps without maps, evenly, the first and the last included."""
    others = np.array(sorted(steps - measured), dtype=np.int64)
    if len(others) > most:
        others = others[np.linspace(0, len(others) - 1, most).astype(np.int64)]
    return frozenset(others.tolist()) | (steps & measured)


class Assumed(NamedTuple):
    """What the items behind a line are taken to be: the smallest, and the noisiest, with maps."""

    n_residues: int
    flow_time: float | None


def assumed(entries: Iterable[LayerEntry]) -> Assumed:
    """What is assumed of the lines of a run and phase, of which `entries` have maps."""
    known = list(entries)
    times = [entry.flow_time for entry in known if entry.flow_time is not None]
    residues = min((entry.n_residues for entry in known), default=_UNKNOWN_SIZE)
    return Assumed(residues, min(times, default=None))


def as_measurements(found: ScalarLine, line: TimeLine, items: Assumed) -> list[Measurement]:
    """A line's heads as the checks take them, each as if it were one map of such an item."""
    if found.rank not in line.ranks:
        return []
    return [
        Measurement(
            id=MapId(line.run.name, found.phase, found.step, found.rank, 0, found.layer, head),
            item="",
            n_residues=items.n_residues,
            length_unit="angstrom",
            values={name: numbers[place] for name, numbers in found.values.items()},
            flow_time=items.flow_time,
        )
        for place, head in enumerate(found.heads)
    ]
