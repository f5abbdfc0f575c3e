"""Layers measured whole: each is judged from all of its recorded heads, whichever are chosen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from igaviz.dump import Damage
from igaviz.format import MapId
from igaviz.metrics import Measurement, Value
from igaviz.metrics.combine import combine
from igaviz.survey.measuring.layers import LayerGroup, Progress, measure_layers
from igaviz.survey.plan import LayerTask
from igaviz.survey.work.workers import Jobs


class WholeLayer(NamedTuple):
    """All measurements of a layer at a step (`group`), and those of the maps that were chosen.

    Those of lines of scalars files stand for one map of each head, and have no entries.
    """

    group: LayerGroup
    chosen: tuple[Measurement, ...]

    @property
    def from_maps(self) -> bool:
        """Whether maps were measured, or it comes from lines of scalars files."""
        return bool(self.group.entries)

    @property
    def heads(self) -> frozenset[int]:
        """The chosen heads."""
        return frozenset(m.id.head for m in self.chosen)

    def without(self, heads: Collection[int]) -> WholeLayer | None:
        """The same, of the chosen heads those that aren't of `heads`; None where none is left."""
        left = tuple(m for m in self.chosen if m.id.head not in heads)
        return self._replace(chosen=left) if left else None

    @property
    def told(self) -> frozenset[MapId]:
        """The chosen maps that could be measured."""
        return frozenset(m.id for m in self.chosen)

    def by_head(self) -> dict[int, Mapping[str, Value]]:
        """The chosen heads in order, each with its numbers over all its items and ranks."""
        found: dict[int, list[Mapping[str, Value]]] = defaultdict(list)
        for m in self.chosen:
            found[m.id.head].append(m.values)
        return {
            head: numbers[0] if len(numbers) == 1 else combine(numbers)
            for head, numbers in sorted(found.items())
        }


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


def readable(
    layers: Iterable[WholeLayer], report: Callable[[Damage], None]
) -> Iterator[WholeLayer]:
    """The layers of which a chosen map could be measured; what is damaged of any goes to `report`.

    It is told of when the layer comes.
    """
    for layer in layers:
        for piece in layer.group.damaged:
            report(piece)
        if layer.chosen:
            yield layer


def whole(tasks: Iterable[LayerTask]) -> list[LayerTask]:
    """The same with all heads that were recorded."""
    return [LayerTask(task.entry, task.entry.heads) for task in tasks]
