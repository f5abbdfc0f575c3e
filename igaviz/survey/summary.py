"""Metrics of whole runs in one time line: the work behind `igaviz summary`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, groupby

from igaviz.checks import LayerVerdict, Settings, Severity, judge_layer, verdict_of, worst
from igaviz.checks.finding import NOT_JUDGED, Finding, Verdict
from igaviz.checks.trends import Course, trend_findings
from igaviz.defaults import LOCAL_RADIUS
from igaviz.dump import Damage, Dump
from igaviz.errors import UsageError
from igaviz.metrics import Measurement
from igaviz.survey.arguments import takes_dumps
from igaviz.survey.measuring.layers import Progress
from igaviz.survey.measuring.time_line import LayerInTime, layers_in_time, thinned
from igaviz.survey.measuring.whole import WholeLayer, measure_whole_layers, readable
from igaviz.survey.plan import Choice, TimeLine, plan_time_lines
from igaviz.survey.rows.row import By, Row, of_step
from igaviz.survey.work.workers import Jobs

__all__ = ["By", "Row", "summary_rows"]

MOST_JUDGED = 200
"""Steps of a time line with numbers alone that the checks look at, evenly spread."""

_SETTINGS = Settings()


@dataclass(frozen=True)
class _Layer:
    """One layer at one step: its row, what is known of it, the verdict where it has maps."""

    row: Row
    known: LayerInTime
    verdict: LayerVerdict | None = None

    def heads(self) -> Iterator[Row]:
        """The rows of its maps; of heads without one, those of their means on each rank."""
        maps, lines = self.known
        if maps is not None and self.verdict is not None:
            for m in maps.chosen:
                yield _map_row(m, self.verdict.of_maps[m.id])
        if lines is not None:
            for m in lines.chosen:
                run, phase, step, rank, _, layer, head = m.id
                place = run, phase, step, rank, None, layer, head
                yield Row(*place, values=m.values, from_maps=False)


@takes_dumps
def summary_rows(
    dump: Dump,
    choice: Choice = Choice(),  # noqa: B008 (frozen)
    *,
    by: By = "head",
    radius: float = LOCAL_RADIUS,
    jobs: Jobs = 1,
    progress: Progress | None = None,
    report: Callable[[Damage], None] | None = None,
    each_layer: Callable[[Row], None] | None = None,
) -> Iterator[Row]:
    """The rows of the chosen maps and scalars, run by run and phase by phase in time order.

    Streamed: what is held does not grow with maps or lines. Layers are measured from their maps
    at steps that have some, and judged from all of their recorded heads, chosen or not; at the last
    of these steps by the checks on trends too. The scalars files give the other steps, and heads of
    which no map could be measured. They know neither single items nor other radii, and are left out
    for a selection by item or a radius other than 8 Å. Maps and lines that can't be read are handed
    to `report`. `by` says what a row is of; `each_layer` is called with the row of every layer at
    every step, whatever `by` is: `Trends().add` is one.
    Raises, before the first row, `SelectionError` where a part of the selection is neither in the
    shards nor in the scalars, `UsageError` for another `by`.
    """
    if by not in _SUMS:
        raise UsageError(f"no rows by {by!r}", hint=f"by is one of {', '.join(_SUMS)}")
    tell = report or _ignore
    scalars = choice.all_items and radius == LOCAL_RADIUS
    time_lines = plan_time_lines(dump, choice, scalars=scalars)
    for piece in chain(dump.damaged, *(run.scalar_damage for run in dump.runs)):
        tell(piece)
    tasks = [task for line in time_lines for task in line.tasks]
    measured = measure_whole_layers(tasks, radius=radius, jobs=jobs, progress=progress)
    judged = each_layer is not None or by == "run"
    return chain.from_iterable(
        _SUMS[by](_told(_with_trends(line, _layers(line, maps, tell, judged=judged)), each_layer))
        for line, maps in _by_time_line(time_lines, readable(measured, tell))
    )


def _ignore(_: Damage) -> None:
    """Where the caller asked for no report."""


def _by_time_line(
    time_lines: Iterable[TimeLine], layers: Iterator[WholeLayer]
) -> Iterator[tuple[TimeLine, Iterator[WholeLayer]]]:
    """Each time line, and its own of the `layers`, which come in the same order."""
    waiting = next(layers, None)

    def own(line: TimeLine) -> Iterator[WholeLayer]:
        nonlocal waiting
        while waiting is not None and (waiting.group.run, waiting.group.phase) == (
            line.run.name,
            line.phase,
        ):
            yield waiting
            waiting = next(layers, None)

    for line in time_lines:
        yield line, own(line)


def _told(layers: Iterable[_Layer], each_layer: Callable[[Row], None] | None) -> Iterator[_Layer]:
    for layer in layers:
        if each_layer is not None:
            each_layer(layer.row)
        yield layer


def _by_head(layers: Iterable[_Layer]) -> Iterator[Row]:
    for layer in layers:
        yield from layer.heads()


def _by_layer(layers: Iterable[_Layer]) -> Iterator[Row]:
    return (layer.row for layer in layers)


def _by_step(layers: Iterable[_Layer]) -> Iterator[Row]:
    for _, same in groupby(layers, key=lambda layer: layer.row.step):
        yield of_step([layer.row for layer in same])


def _by_run(layers: Iterable[_Layer]) -> Iterator[Row]:
    """One row, if there are any layers; two steps of them are held at most."""
    last: list[Row] = []
    first_fired: dict[tuple[int | None, str], int] = {}
    steps = 0
    for step, same in groupby(layers, key=lambda layer: layer.row.step):
        rows = [layer.row for layer in same]
        steps += 1
        for row in rows:
            for check in row.shown or ():
                first_fired.setdefault((row.layer, check), step)
        mapped = [row for row in rows if row.from_maps]
        if mapped or not any(row.from_maps for row in last):
            last = mapped or rows
    if last:
        row = of_step(last)
        since = first_fired.get((row.worst_layer, row.worst_id or ""))
        yield replace(row, steps=steps, since=since)


_SUMS: dict[By, Callable[[Iterable[_Layer]], Iterator[Row]]] = {
    "head": _by_head,
    "layer": _by_layer,
    "step": _by_step,
    "run": _by_run,
}


def _layers(
    line: TimeLine,
    maps: Iterable[WholeLayer],
    report: Callable[[Damage], None],
    *,
    judged: bool,
) -> Iterator[_Layer]:
    """The layers of one time line; `judged`, those of lines tell as well which checks they show."""
    looked_at = thinned(line, MOST_JUDGED) if judged else frozenset()
    for layer in layers_in_time(line, maps, line.steps, report):
        if layer.maps is not None:
            yield _of_maps(layer, layer.maps)
        else:
            yield _of_lines(layer, judged=layer.judged.group.step in looked_at)


def _of_maps(layer: LayerInTime, maps: WholeLayer) -> _Layer:
    """The row of a layer with measured maps, and the verdict on them."""
    verdict = judge_layer(maps.group.measurements, _SETTINGS).verdict(maps.told)
    judged = {head: found for head, found in verdict.heads.items() if found != NOT_JUDGED}
    said = verdict.verdict
    sick = [head for head, found in judged.items() if found.severity >= Severity.WARNING]
    row = Row(
        *(verdict.run, verdict.phase, verdict.step, None, None, verdict.layer, None),
        values=layer.means(),
        verdict=_word(said),
        words=said.words,
        worst_head=_worst_head(verdict),
        worst_id=said.check,
        sick=len(sick) if judged else None,
        judged=len(judged) or None,
        shown=tuple(sorted(verdict.shown)),
    )
    for finding in verdict.of_items:
        row = _with_finding(row, finding)
    return _Layer(row, layer, verdict)


def _worst_head(verdict: LayerVerdict) -> int | None:
    """The head that shows the check of the layer's verdict worst, as its finding names it.

    Where that is told under another check, the first head whose verdict it is; None for no check.
    """
    said = verdict.verdict
    if said.check is None:
        return None
    first = min(head for head, found in verdict.heads.items() if found == said)
    told = (found.worst_head for found in verdict.findings if found.id == said.check)
    return next((head for head in told if head is not None), first)


def _with_trends(line: TimeLine, layers: Iterable[_Layer]) -> Iterator[_Layer]:
    """The layers of one time line, those with maps at the last step by what trends say as well.

    Each with maps is told whether its items have differed so far.
    """
    last = max((task.entry.id.step for task in line.tasks), default=None)
    courses: dict[int, Course] = defaultdict(Course)
    for layer in layers:
        verdict = layer.verdict
        if verdict is None:
            yield layer
            continue
        course = courses[verdict.layer]
        course.add(verdict)
        row = replace(layer.row, items_differ=course.items.alike.differ)
        if verdict.step == last:
            for finding in trend_findings(course, verdict, _SETTINGS):
                row = _with_finding(row, finding)
        yield replace(layer, row=row)


def _with_finding(row: Row, finding: Finding) -> Row:
    """The row of a layer of which `finding` speaks as a whole, where that is its worst."""
    found = verdict_of(finding)
    if row.said is not None and worst([row.said, found]) != found:
        return row
    heads = len(finding.heads)
    return replace(
        row,
        verdict=_word(found),
        words=found.words,
        worst_head=None,
        worst_id=found.check,
        sick=heads,
        judged=row.judged or heads,
    )


def _word(verdict: Verdict) -> str | None:
    return None if verdict == NOT_JUDGED else str(verdict.severity)


def _map_row(measurement: Measurement, verdict: Verdict) -> Row:
    return Row(
        *measurement.id,
        values=measurement.values,
        verdict=_word(verdict),
        words=verdict.words,
        worst_id=verdict.check,
    )


def _of_lines(layer: LayerInTime, *, judged: bool) -> _Layer:
    """The row of numbers alone, which has no verdict."""
    of_layer, shown = layer.judged.group, None
    if judged:
        shown = tuple(sorted(judge_layer(of_layer.measurements, _SETTINGS).shown))
    row = Row(
        *(of_layer.run, of_layer.phase, of_layer.step, None, None, of_layer.layer, None),
        values=layer.means(),
        from_maps=False,
        shown=shown,
    )
    return _Layer(row, layer)
