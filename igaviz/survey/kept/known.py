"""What is measured already: it need not be measured again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from igaviz.dump import Damage
from igaviz.format import LayerId, MapId
from igaviz.metrics import Measurement
from igaviz.survey.plan import LayerTask


@dataclass(frozen=True)
class Measured:
    """The measurements of one task's maps, and the maps that could not be read.

    `not_kept` says why they could not be kept for the next time, where that failed.
    """

    measurements: tuple[Measurement, ...]
    damaged: tuple[Damage, ...]
    not_kept: str = ""


class Known(Protocol):
    """Measurements by task: a cache, or the parts that others measured."""

    def has(self, task: LayerTask, radius: float) -> bool:
        """Whether `find` will most likely find it; cheap."""

    def find(self, task: LayerTask, radius: float) -> Measured | None:
        """The measurements of the task's maps, None where they must be measured."""


@dataclass(frozen=True)
class Before:
    """What a command has measured already: every map of `entries` that could be, at this `radius`.

    What is damaged in these was told then, and is not told again. All else is as `others` know it.
    """

    entries: Collection[LayerId]
    measurements: Mapping[MapId, Measurement]
    radius: float
    others: Known | None

    def has(self, task: LayerTask, radius: float) -> bool:
        """Whether it was measured, or others may know it."""
        return self._measured(task, radius) or (
            self.others is not None and self.others.has(task, radius)
        )

    def find(self, task: LayerTask, radius: float) -> Measured | None:
        """The measurements of the task's maps that could be read; or what others know."""
        if self._measured(task, radius):
            maps = (MapId(*task.entry.id, head) for head in task.heads)
            known = (self.measurements[m] for m in maps if m in self.measurements)
            return Measured(tuple(known), ())
        return None if self.others is None else self.others.find(task, radius)

    def _measured(self, task: LayerTask, radius: float) -> bool:
        return radius == self.radius and task.entry.id in self.entries


def of_task(measurements: Iterable[Measurement], task: LayerTask) -> tuple[Measurement, ...]:
    """Those of the task's heads that there are, in its order, as maps of the task's run."""
    known = {m.id.head: m for m in measurements}
    run = task.entry.id.run
    found = (known[head] for head in task.heads if head in known)
    return tuple(replace(m, id=m.id._replace(run=run)) for m in found)
