"""Runs as one time line of maps and scalars: what trajectories are drawn from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from igaviz.checks import Settings, Severity, Verdict, judge_layer
from igaviz.checks.finding import NOT_JUDGED
from igaviz.defaults import LOCAL_RADIUS
from igaviz.dump import Damage, Dump, Run
from igaviz.format import PROBE_PHASE
from igaviz.metrics.history import History, Moment, telling, tracks_of
from igaviz.metrics.inputs import UNKNOWN, Alike, Sameness, inputs_of, least_alike
from igaviz.survey.arguments import takes_dumps
from igaviz.survey.measuring.layers import Progress
from igaviz.survey.measuring.time_line import LayerInTime, layers_in_time, thinned
from igaviz.survey.measuring.whole import measure_whole_layers, readable
from igaviz.survey.plan import Choice, TimeLine, plan_time_lines
from igaviz.survey.work.workers import Jobs

MOST_STEPS = 400
"""Steps with numbers alone that a time line shows: more than a picture has room for are thinned."""


@takes_dumps
def histories(
    dump: Dump,
    choice: Choice = Choice(),  # noqa: B008 (frozen)
    *,
    metric: str | None = None,
    radius: float = LOCAL_RADIUS,
    jobs: Jobs = 1,
    progress: Progress | None = None,
    report: Callable[[Damage], None] | None = None,
) -> tuple[History, ...]:
    """The history of each chosen run and phase, by `metric` or by a few telling ones.

    Without a phase named it is `probe` where a run has it, because only the same input tells
    change of the layer from change of the input. Layers are measured at steps that have maps, the
    scalars files give the other steps, and heads of which no map could be measured: not for single
    items or a radius other than 8 Å, which they don't tell. Every step is judged by the checks,
    from all heads of the layer that have maps, chosen or not; one of a scalars file by each head's
    means over the batch. Raises `SelectionError` where a part of the selection isn't there.
    """
    return tuple(
        history_of(line, metric=metric, radius=radius, jobs=jobs, progress=progress, report=report)
        for line in history_lines(dump, choice, radius=radius)
    )


def history_lines(
    dump: Dump, choice: Choice, *, radius: float = LOCAL_RADIUS
) -> tuple[TimeLine, ...]:
    """The runs and phases that `histories` takes, and what of them; no map is read."""
    scalars = choice.all_items and radius == LOCAL_RADIUS
    if choice.phase is None:
        dump = replace(dump, runs=tuple(_probe_first(run, scalars) for run in dump.runs))
    lines = plan_time_lines(dump, choice, scalars=scalars)
    return tuple(line for line in lines if line.tasks or line.steps)


def _probe_first(run: Run, scalars: bool) -> Run:
    """The run without its other phases, if it has a probe."""
    entries = tuple(entry for entry in run.entries if entry.id.phase == PROBE_PHASE)
    lines = tuple(track for track in run.scalars if track.phase == PROBE_PHASE)
    return replace(run, entries=entries, scalars=lines) if entries or (lines and scalars) else run


def history_of(
    line: TimeLine,
    *,
    metric: str | None = None,
    radius: float = LOCAL_RADIUS,
    jobs: Jobs = 1,
    progress: Progress | None = None,
    report: Callable[[Damage], None] | None = None,
) -> History:
    """The history of one phase of a run; arguments as of `histories`."""
    tell = report or _ignore
    metrics = telling(metric)
    items = _Items(fixed=line.phase == PROBE_PHASE)
    maps = measure_whole_layers(line.tasks, radius=radius, jobs=jobs, progress=progress)
    layers = layers_in_time(line, readable(maps, tell), thinned(line, MOST_STEPS), tell)
    moments = (_moment(layer) for layer in items.seen(layers))
    tracks = tracks_of(moments, [m.name for m in metrics])
    drawn = [task.entry for task in line.tasks]
    heads = {head for chosen in line.heads.values() for head in chosen}
    return History(
        run=line.run.name,
        phase=line.phase,
        metrics=metrics,
        tracks=tracks,
        recorded=len(line.steps | {task.entry.id.step for task in line.tasks}),
        drawn=len({step for track in tracks for step in track.steps.tolist()}),
        items_differ=items.alike.differ,
        items=tuple(dict.fromkeys(e.item or f"item {e.id.batch}" for e in drawn)),
        heads=tuple(sorted(heads.union(*(task.heads for task in line.tasks)))),
    )


def last_verdict(history: History) -> Verdict:
    """How many layers are sick at the last step at which they were judged, and how badly."""
    judged = [[said for said in track.severities if said is not None] for track in history.tracks]
    last = [Severity[said[-1].upper()] for said in judged if said]
    if not last:
        return NOT_JUDGED
    to_the_end = all(track.severities[-1] is not None for track in history.tracks)
    when = "at the end" if to_the_end else "when last judged"
    sick = sum(severity >= Severity.WARNING for severity in last)
    if sick == 0:
        return Verdict(max(last), None, f"no layer is sick {when}")
    n = len(history.tracks)
    return Verdict(max(last), None, f"{sick} of {n} layer{'' if n == 1 else 's'} sick {when}")


def _ignore(_: Damage) -> None:
    """Where the caller asked for no report."""


@dataclass
class _Items:
    """Whether the items of a time line stay the same, layer by layer: those of maps.

    They do in a probe, whose items are `fixed`, where nothing shows that they don't.
    """

    fixed: bool
    layers: dict[int, Sameness] = field(default_factory=dict)
    numbers_alone: bool = False

    def seen(self, layers: Iterable[LayerInTime]) -> Iterator[LayerInTime]:
        """The same layers, taken into account as they pass. Lines don't say what they are of."""
        for layer in layers:
            if layer.maps:
                group = layer.maps.group
                known = self.layers.setdefault(group.layer, Sameness())
                known.add(inputs_of(group.measurements), fixed=self.fixed)
            if layer.lines:
                self.numbers_alone = True
            yield layer

    @property
    def alike(self) -> Alike:
        unknown = [UNKNOWN] if self.numbers_alone and not self.fixed else []
        return least_alike([*(layer.alike for layer in self.layers.values()), *unknown])


def _moment(layer: LayerInTime) -> Moment:
    """The numbers of the layer's chosen heads, and how bad all of its heads are.

    A scalars file has one number per head, over its items: so the items of maps are one as well.
    """
    group = layer.judged.group
    severity = judge_layer(group.measurements, Settings()).severity
    return Moment(
        group.layer,
        group.step,
        list(layer.by_head().values()),
        layer.maps is not None,
        None if severity is None else str(severity),
    )
