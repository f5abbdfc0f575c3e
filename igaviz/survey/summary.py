"""Metrics of whole runs in one time line: the work behind `igaviz summary`."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Literal

from igaviz.checks import Settings, Verdict, badness, map_verdicts
from igaviz.dump import Damage, Dump, ScalarLine
from igaviz.format import MapId
from igaviz.metrics import METRICS, Measurement, Value
from igaviz.metrics.combine import combine
from igaviz.metrics.table import LOCAL_RADIUS
from igaviz.survey.measured import LayerGroup, Progress, measure_layers
from igaviz.survey.plan import Choice, LayerTask, TimeLine, plan_time_lines

By = Literal["layer", "head"]


@dataclass(frozen=True)
class Row:
    """Metrics of one map, or of one layer at one step where `head` is None.

    `batch` is None for a mean over the items: a layer's row, or a line of a scalars file. A
    layer's row has the worst `verdict` among its heads, and the head and check that gave it.
    """

    run: str
    phase: str
    step: int
    rank: int | None
    batch: int | None
    layer: int
    head: int | None
    values: Mapping[str, Value]
    verdict: str | None = None
    worst_head: int | None = None
    worst_id: str | None = None

    @property
    def from_maps(self) -> bool:
        """Whether maps were measured for it; else it comes from a scalars file."""
        return self.batch is not None or self.verdict is not None


def summary_rows(
    dump: Dump,
    choice: Choice = Choice(),  # noqa: B008 (frozen)
    *,
    by: By = "head",
    radius: float = LOCAL_RADIUS,
    jobs: int = 1,
    progress: Progress | None = None,
    report: Callable[[Damage], None] | None = None,
) -> Iterator[Row]:
    """The rows of the chosen maps and scalars, run by run and phase by phase in time order.

    Streamed: what is held does not grow with maps or lines. Layers are measured from their maps
    at steps that have some; the scalars files give the others. These know neither single items
    nor other radii, and are left out for a selection by item or a radius other than 8 Å. Maps
    and lines that can't be read are handed to `report`. Raises `SelectionError`, before the first
    row, where a part of the selection is neither in the shards nor in the scalars.
    """
    tell = report or _ignore
    scalars = choice.batch.text == "all" and radius == LOCAL_RADIUS
    time_lines = plan_time_lines(dump, choice, scalars=scalars)
    for piece in chain(dump.damaged, *(run.scalar_damage for run in dump.runs)):
        tell(piece)
    return chain.from_iterable(
        heapq.merge(
            _map_rows(line.tasks, by, radius, jobs, progress, tell),
            _scalar_rows(line, by, tell),
            key=lambda row: (row.step, row.layer),
        )
        for line in time_lines
    )


def _ignore(_: Damage) -> None:
    """Where the caller asked for no report."""


def _map_rows(
    tasks: Sequence[LayerTask],
    by: By,
    radius: float,
    jobs: int,
    progress: Progress | None,
    report: Callable[[Damage], None],
) -> Iterator[Row]:
    for group in measure_layers(tasks, radius=radius, jobs=jobs, progress=progress):
        for piece in group.damaged:
            report(piece)
        if by == "head":
            yield from (_head_row(measurement) for measurement in group.measurements)
        elif group.measurements:
            yield _layer_row(group)


def _head_row(measurement: Measurement) -> Row:
    run, phase, step, rank, batch, layer, head = measurement.id
    return Row(run, phase, step, rank, batch, layer, head, measurement.values)


def _layer_row(group: LayerGroup) -> Row:
    verdicts: dict[MapId, Verdict] = map_verdicts(group.measurements, Settings())
    worst = max(verdicts, key=lambda identity: (*badness(verdicts[identity]), -identity.head))
    verdict = verdicts[worst]
    return Row(
        run=group.run,
        phase=group.phase,
        step=group.step,
        rank=None,
        batch=None,
        layer=group.layer,
        head=None,
        values=combine([measurement.values for measurement in group.measurements]),
        verdict=str(verdict.severity),
        worst_head=worst.head if verdict.check else None,
        worst_id=verdict.check,
    )


def _scalar_rows(line: TimeLine, by: By, report: Callable[[Damage], None]) -> Iterator[Row]:
    measured = {
        (entry.id.step, entry.id.layer)
        for entry in line.run.entries
        if entry.id.phase == line.phase
    }
    found = line.run.scalar_lines(line.phase, line.steps, report)
    for (step, layer), same in groupby(found, key=lambda found: (found.step, found.layer)):
        if (step, layer) in measured or layer not in line.heads:
            continue
        rows = [row for scalars in same for row in _line_rows(line, scalars)]
        if by == "head":
            yield from rows
        elif rows:
            values = combine([row.values for row in rows])
            yield Row(line.run.name, line.phase, step, None, None, layer, None, values)


def _line_rows(line: TimeLine, found: ScalarLine) -> Iterator[Row]:
    if found.rank not in line.ranks:
        return
    chosen = line.heads[found.layer]
    for position, head in enumerate(found.heads):
        if head in chosen:
            values = {
                metric.name: found.values[metric.name][position]
                for metric in METRICS
                if metric.name in found.values
            }
            yield Row(
                *(line.run.name, found.phase, found.step, found.rank),
                *(None, found.layer, head, values),
            )
