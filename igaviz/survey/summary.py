"""Metrics of whole runs in one time line: the work behind `igaviz summary`."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from igaviz.checks import Settings, Verdict, map_verdicts
from igaviz.dump import Damage, Dump, Run, ScalarLine
from igaviz.format import DEFAULT_PHASE, MapId
from igaviz.metrics import METRICS, Measurement, Value
from igaviz.metrics.table import BEYOND, LOCAL_RADIUS
from igaviz.survey.measured import LayerGroup, Progress, measure_layers
from igaviz.survey.plan import ALL_PHASES, Choice, LayerTask, plan

By = Literal["layer", "head"]
_LARGEST = ("geo_bias_absmax", "sink", "row_sum_error", "replay_error")
_SUMMED = ("nonfinite",)


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

    Streamed: nothing is kept. Steps that have maps are measured from them; the scalars files give
    the other steps, where neither single items nor other radii can be told, and are left out for
    a selection by item or a radius other than 8 Å. Maps and lines that can't be read are handed
    to `report`.
    """
    tell = report or _ignore
    for piece in dump.damaged:
        tell(piece)
    tasks = plan(dump, choice) if dump.entries else ()
    with_scalars = choice.batch.text == "all" and radius == LOCAL_RADIUS
    for run in dump.runs:
        for phase in _phases(run, choice):
            chosen = [t for t in tasks if (t.entry.id.run, t.entry.id.phase) == (run.name, phase)]
            maps = _map_rows(chosen, by, radius, jobs, progress, tell)
            lines = _scalar_rows(run, phase, choice, by, tell) if with_scalars else iter(())
            yield from heapq.merge(maps, lines, key=lambda row: (row.step, row.layer))


def _ignore(_: Damage) -> None:
    """Where the caller asked for no report."""


def _phases(run: Run, choice: Choice) -> list[str]:
    there = {entry.id.phase for entry in run.entries}
    if DEFAULT_PHASE in there and choice.phase is None:
        return [DEFAULT_PHASE]
    there |= {line.phase for line in run.scalar_lines()}
    if choice.phase not in (None, ALL_PHASES):
        return [phase for phase in there if phase == choice.phase]
    return sorted(there)


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
    worst = max(verdicts, key=lambda identity: (verdicts[identity].severity, -identity.head))
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


def _scalar_rows(
    run: Run, phase: str, choice: Choice, by: By, report: Callable[[Damage], None]
) -> Iterator[Row]:
    measured = {e.id.step for e in run.entries if e.id.phase == phase}
    lines = [
        line
        for line in run.scalar_lines(report)
        if line.phase == phase and line.step not in measured
    ]
    steps = choice.step.among(sorted({line.step for line in lines} | measured))
    layers = choice.layer.among(sorted({line.layer for line in lines}))
    ranks = choice.rank.among(sorted({line.rank for line in lines}))
    kept = [x for x in lines if x.step in steps and x.layer in layers and x.rank in ranks]
    kept.sort(key=lambda line: (line.step, line.layer, line.rank))
    for (step, layer), same in groupby(kept, key=lambda line: (line.step, line.layer)):
        rows = [row for line in same for row in _line_rows(run.name, line, choice)]
        if by == "head":
            yield from rows
        elif rows:
            values = combine([row.values for row in rows])
            yield Row(run.name, phase, step, None, None, layer, None, values)


def _line_rows(run: str, line: ScalarLine, choice: Choice) -> Iterator[Row]:
    heads = choice.head.among(sorted(line.heads))
    for position, head in enumerate(line.heads):
        if head in heads:
            values = {
                metric.name: line.values[metric.name][position]
                for metric in METRICS
                if metric.name in line.values
            }
            yield Row(run, line.phase, line.step, line.rank, None, line.layer, head, values)


def combine(maps: Sequence[Mapping[str, Value]]) -> dict[str, Value]:
    """Each metric over several maps: means; the largest of extremes; the sum of `nonfinite`.

    Maps without a value are left out of a mean; `beyond` is the value where most say so.
    """
    combined: dict[str, Value] = {}
    for metric in METRICS:
        values = [found.get(metric.name) for found in maps]
        numbers = [float(v) for v in values if v is not None and not isinstance(v, str)]
        if values.count(BEYOND) > len(numbers):
            combined[metric.name] = BEYOND
        elif not numbers:
            combined[metric.name] = None
        elif metric.name in _SUMMED:
            combined[metric.name] = int(sum(numbers))
        elif metric.name in _LARGEST:
            combined[metric.name] = max(numbers)
        else:
            combined[metric.name] = sum(numbers) / len(numbers)
    return combined


@dataclass(frozen=True)
class Trend:
    """How one metric of a layer (mean over heads and items) went over the recorded steps."""

    run: str
    phase: str
    layer: int
    metric: str
    steps: tuple[int, ...]
    values: tuple[float, ...]


TREND_METRICS = ("gamma", "geometry_effect", "saturation", "self_mass", "entropy")


def trends(rows: Sequence[Row]) -> tuple[Trend, ...]:
    """The trends of a few telling metrics over layers' rows, from three steps on."""
    series: dict[tuple[str, str, int, str], list[tuple[int, float]]] = {}
    for row in rows:
        for name in TREND_METRICS:
            value = row.values.get(name)
            if value is not None and not isinstance(value, str):
                key = (row.run, row.phase, row.layer, name)
                series.setdefault(key, []).append((row.step, float(value)))
    return tuple(
        Trend(*key, tuple(step for step, _ in points), tuple(value for _, value in points))
        for key, points in sorted(series.items())
        if len(points) >= 3
    )
