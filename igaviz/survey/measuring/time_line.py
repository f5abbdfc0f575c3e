"""Runs as one time line: heads from maps where one was measured, else from scalars files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from typing import NamedTuple

import numpy as np

from igaviz.dump import Damage, LayerEntry, ScalarLine
from igaviz.format import MapId
from igaviz.metrics import METRICS, Measurement, Value
from igaviz.metrics.combine import combine
from igaviz.survey.measuring.layers import LayerGroup
from igaviz.survey.measuring.whole import WholeLayer
from igaviz.survey.plan import TimeLine

_UNKNOWN_SIZE = 20
"""Residues of items of which no map was recorded: the fewest that the checks judge."""


class LayerInTime(NamedTuple):
    """What is known of a layer at a step, of `maps`, of `lines`, or of both.

    Lines stand in for the chosen heads of which no map was measured: none was recorded there, or
    none can be read. The checks are asked of the maps alone where there are any.
    """

    maps: WholeLayer | None
    lines: WholeLayer | None

    @property
    def judged(self) -> WholeLayer:
        """What the checks are asked of."""
        layer = self.maps or self.lines
        assert layer is not None
        return layer

    def by_head(self) -> dict[int, Mapping[str, Value]]:
        """The chosen heads in order, each with its numbers over all its items and ranks."""
        of_maps, of_lines = (layer.by_head() if layer else {} for layer in self)
        return dict(sorted({**of_lines, **of_maps}.items()))

    def means(self) -> dict[str, Value]:
        """The numbers of the layer: over its maps; over its heads where lines tell some of them."""
        if self.maps and self.lines:
            return combine(list(self.by_head().values()))
        return combine([m.values for m in self.judged.chosen])


def layers_in_time(
    line: TimeLine,
    maps: Iterable[WholeLayer],
    steps: frozenset[int],
    report: Callable[[Damage], None],
) -> Iterator[LayerInTime]:
    """The layers of a time line in the order of step and layer, streamed.

    `maps` are those measured from its maps, in that order; of `steps` lines are read.
    """
    lines = layers_of_lines(line, steps, report)
    waiting = next(lines, None)
    for layer in maps:
        while waiting and _place(waiting) < _place(layer):
            yield LayerInTime(None, waiting)
            waiting = next(lines, None)
        left = None
        if waiting and _place(waiting) == _place(layer):
            left = waiting.without(layer.heads)
            waiting = next(lines, None)
        yield LayerInTime(layer, left)
    while waiting:
        yield LayerInTime(None, waiting)
        waiting = next(lines, None)


def _place(layer: WholeLayer) -> tuple[int, int]:
    return layer.group.step, layer.group.layer


def layers_of_lines(
    line: TimeLine,
    steps: frozenset[int],
    report: Callable[[Damage], None],
) -> Iterator[WholeLayer]:
    """What the lines say of the layers at `steps`, in the order of step and layer, streamed.

    Each head counts as one map, which has the head's means over the batch. Layers without a chosen
    head are left out. Lines that no reader can use are handed to `report`.
    """
    items = _assumed(_entries(line))
    lines = line.run.scalar_lines(line.phase, steps, report)
    for (step, layer), same in groupby(lines, key=lambda found: (found.step, found.layer)):
        heads = line.heads.get(layer, ())
        if not heads:
            continue
        of_ranks = [one for one in same if one.rank in line.ranks]
        found = tuple(m for one in of_ranks for m in _measurements(one, line.run.name, items))
        chosen = tuple(m for m in found if m.id.head in heads)
        if chosen:
            group = LayerGroup(line.run.name, line.phase, step, layer, (), found, ())
            yield WholeLayer(group, chosen)


def thinned(line: TimeLine, most: int) -> frozenset[int]:
    """The steps with lines, of those without maps at most `most`, evenly."""
    with_maps = frozenset(entry.id.step for entry in _entries(line))
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
