"""Lines of scalars files as the checks take them: which of them, and as which measurements."""

from __future__ import annotations

from collections.abc import Sequence

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


def as_measurements(
    found: ScalarLine, line: TimeLine, entries: Sequence[LayerEntry]
) -> list[Measurement]:
    """A line's heads as the checks take them, each as if it were one map of the smallest item."""
    if found.rank not in line.ranks:
        return []
    known = [entry.flow_time for entry in entries if entry.flow_time is not None]
    return [
        Measurement(
            id=MapId(line.run.name, found.phase, found.step, found.rank, 0, found.layer, head),
            item="",
            n_residues=min((entry.n_residues for entry in entries), default=_UNKNOWN_SIZE),
            length_unit="angstrom",
            values={name: numbers[place] for name, numbers in found.values.items()},
            flow_time=min(known, default=None),
        )
        for place, head in enumerate(found.heads)
    ]
