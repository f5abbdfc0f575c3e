"""Layers measured whole: each is judged from all of its recorded heads, whichever are chosen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from igaviz.format import MapId
from igaviz.metrics import Measurement
from igaviz.survey.measuring.layers import LayerGroup, Progress, measure_layers
from igaviz.survey.plan import LayerTask
from igaviz.survey.work.workers import Jobs


class WholeLayer(NamedTuple):
    """All measurements of a layer at a step (`group`), and those of the maps that were chosen."""

    group: LayerGroup
    chosen: tuple[Measurement, ...]

    @property
    def told(self) -> frozenset[MapId]:
        """The chosen maps that could be measured."""
        return frozenset(m.id for m in self.chosen)


def measure_whole_layers(
    tasks: Sequence[LayerTask],
    *,
    radius: float,
    jobs: Jobs = 1,
    progress: Progress | None = None,
) -> Iterator[WholeLayer]:
    """The layers of `tasks`, every recorded head of the chosen items measured; in their order."""
    chosen = {task.entry.id: frozenset(task.heads) for task in tasks}
    groups = measure_layers(whole(tasks), radius=radius, jobs=jobs, progress=progress)
    for group in groups:
        of_group = (m for m in group.measurements if m.id.head in chosen[m.id.layer_id])
        yield WholeLayer(group, tuple(of_group))


def whole(tasks: Iterable[LayerTask]) -> list[LayerTask]:
    """The same with all heads that were recorded."""
    return [LayerTask(task.entry, task.entry.heads) for task in tasks]
