"""Runs as one time line: layers from maps where there are any, else from lines of scalars files."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

import numpy as np

from igaviz.dump import Damage, LayerEntry, ScalarLine
from igaviz.format import MapId
from igaviz.metrics import METRICS, Measurement
from igaviz.survey.measuring.layers import LayerGroup
from igaviz.survey.measuring.whole import WholeLayer
from igaviz.survey.plan import TimeLine

_UNKNOWN_SIZE = 20
"""Residues of items of which no map was recorded: the fewest that the checks judge."""


def layers_in_time(
    line: TimeLine,
    maps: Iterable[WholeLayer],
    steps: frozenset[int],
    report: Callable[[Damage], None],
) -> Iterator[WholeLayer]:
    """The layers of a time line in the order of step and layer, streamed.

    `maps` are those measured from its maps, in that order. Where a layer has no maps at one of
    `steps`, the lines of the scalars files speak for it. They don't stand in for maps that can't be
    read, which are told of as damaged.
    """
    lines = layers_of_lines(line, steps, mapped(line), report)
    return heapq.merge(maps, lines, key=lambda layer: (layer.group.step, layer.group.layer))


def layers_of_lines(
    line: TimeLine,
    steps: frozenset[int],
    besides: Collection[tuple[int, int]],
    report: Callable[[Damage], None],
) -> Iterator[WholeLayer]:
    """What the lines say of the layers at `steps`, in the order of step and layer, streamed.

    Each head counts as one map, which has the head's means over the batch. What is known `besides`,
    by (step, layer), is left out, and so are layers without a chosen head. Lines that no reader can
    use are handed to `report`.
    """
    items = _assumed(_entries(line))
    lines = line.run.scalar_lines(line.phase, steps, report)
    for (step, layer), same in groupby(lines, key=lambda found: (found.step, found.layer)):
        heads = line.heads.get(layer, ())
        if not heads or (step, layer) in besides:
            continue
        of_ranks = [one for one in same if one.rank in line.ranks]
        found = tuple(m for one in of_ranks for m in _measurements(one, line.run.name, items))
        chosen = tuple(m for m in found if m.id.head in heads)
        if chosen:
            group = LayerGroup(line.run.name, line.phase, step, layer, (), found, ())
            yield WholeLayer(group, chosen)


def mapped(line: TimeLine) -> frozenset[tuple[int, int]]:
    """The steps and layers of which maps were recorded, chosen or not: (step, layer)."""
    return frozenset((entry.id.step, entry.id.layer) for entry in _entries(line))


def thinned(line: TimeLine, most: int) -> frozenset[int]:
    """The steps with lines, of those without maps at most `most`, evenly."""
    with_maps = frozenset(step for step, _ in mapped(line))
    return evenly(line.steps - with_maps, most) | (line.steps & with_maps)


def evenly(steps: frozenset[int], most: int) -> frozenset[int]:
    """At most `most` of `steps`, evenly, the first and the last included."""
    if len(steps) <= most:
        return steps
    ordered = np.array(sorted(steps), dtype=np.int64)
    return frozenset(ordered[np.linspace(0, len(ordered) - 1, most).astype(np.int64)].tolist())


def _entries(line: TimeLine) -> list[LayerEntry]:
    """All that has maps, chosen or not."""
    return [entry for entry in line.run.entries if entry.id.phase == line.phase]


class _Assumed(NamedTuple):
    """What the items behind a line are taken to be: the smallest, and the noisiest, with maps."""

    n_residues: int
    flow_time: float | None


def _assumed(entries: Iterable[LayerEntry]) -> _Assumed:
    """What is assumed of the lines of a run and phase, of which `entries` have maps."""
    known = list(entries)
    times = [entry.flow_time for entry in known if entry.flow_time is not None]
    residues = min((entry.n_residues for entry in known), default=_UNKNOWN_SIZE)
    return _Assumed(residues, min(times, default=None))


def _measurements(found: ScalarLine, run: str, items: _Assumed) -> Iterator[Measurement]:
    """A line's heads as the checks take them, each as if it were one map of such an item."""
    columns = {m.name: found.values[m.name] for m in METRICS if m.name in found.values}
    for place, head in enumerate(found.heads):
        yield Measurement(
            id=MapId(run, found.phase, found.step, found.rank, 0, found.layer, head),
            item="",
            n_residues=items.n_residues,
            length_unit="angstrom",
            values={name: numbers[place] for name, numbers in columns.items()},
            flow_time=items.flow_time,
        )
