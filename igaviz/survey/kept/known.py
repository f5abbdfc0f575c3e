"""What is measured already: it need not be measured again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from igaviz.dump import Damage
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


def of_task(measurements: Iterable[Measurement], task: LayerTask) -> tuple[Measurement, ...]:
    """Those of the task's heads that there are, in its order, as maps of the task's run."""
    known = {m.id.head: m for m in measurements}
    run = task.entry.id.run
    found = (known[head] for head in task.heads if head in known)
    return tuple(replace(m, id=m.id._replace(run=run)) for m in found)
