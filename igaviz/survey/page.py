"""What a page about whole runs shows: the work behind `igaviz summary --html`."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from igaviz.checks import (
    Diagnosis,
    LayerVerdict,
    Settings,
    Severity,
    Verdict,
    conclude,
    judge_layer,
)
from igaviz.checks.finding import GEOMETRY_NOT_JUDGED, NOT_JUDGED
from igaviz.defaults import LOCAL_RADIUS, PICTURED_HEADS
from igaviz.dump import Damage, Dump, Run
from igaviz.metrics import METRICS
from igaviz.metrics.course import Course, CourseBuilder, Scale, scale_of
from igaviz.survey.arguments import takes_dumps
from igaviz.survey.drawing.drawn import Rendering
from igaviz.survey.drawing.worst import Known, draw_worst
from igaviz.survey.measuring.layers import LayerGroup, Progress
from igaviz.survey.measuring.time_line import evenly, layers_of_lines
from igaviz.survey.measuring.whole import WholeLayer, measure_whole_layers, readable
from igaviz.survey.plan import Choice, TimeLine, plan_time_lines, probed
from igaviz.survey.work.workers import Jobs, Workers

_UNKNOWN = (None, NOT_JUDGED, GEOMETRY_NOT_JUDGED)

MOST_NUMBERS = 9_000_000
"""Numbers that a page holds, 2.7 bytes each: 10 runs of 200 steps, 8 layers and 16 heads."""

MOST_STEPS = 400
"""Steps of one run that a page holds, more are thinned evenly."""

_LEAST_STEPS = 2


@dataclass(frozen=True, eq=False)
class PageRun:
    """One run and phase: its numbers over the steps, and the verdict on each head at each step.

    `verdicts` [T, L, H] are places in `words`, 0 where nothing was recorded. `recorded` steps were
    there, those of `course` are shown. `folder` is where its shards are.
    """

    run: str
    phase: str
    course: Course
    verdicts: npt.NDArray[np.uint8]
    words: tuple[Verdict | None, ...]
    recorded: int
    items: tuple[str, ...]
    folder: str
    creator: str | None

    def severities(self) -> npt.NDArray[np.int64]:
        """How many heads have each severity at each step [T, 4], from healthy to error.

        Heads of which not all could be judged are not counted.
        """
        judged = [None if v is None or v in _UNKNOWN else v.severity for v in self.words]
        counts = [
            np.isin(self.verdicts, [place for place, s in enumerate(judged) if s == severity])
            for severity in Severity
        ]
        summed: npt.NDArray[np.int64] = np.stack(counts, axis=-1).sum(axis=(1, 2))
        return summed

    def sick_since(self) -> int | None:
        """The step from which on a head is sick, at each step that is shown, to the last.

        The last is the last step with maps, which the diagnosis speaks of, where there are any.
        None where no head is sick there. A warning or an error is sick.
        """
        sick = self.severities()[:, Severity.WARNING :].sum(axis=1) > 0
        mapped = np.flatnonzero(self.course.from_maps)
        last = int(mapped[-1]) if len(mapped) else len(sick) - 1
        if not sick[last]:
            return None
        well = np.flatnonzero(~sick[:last])
        return int(self.course.steps[well[-1] + 1 if len(well) else 0])

    def sick_before(self) -> bool:
        """Whether the heads that are sick from `sick_since` on may have been before.

        So it is where none of them could be judged at the step before: of a run that is sick from
        the start checks that are silent on young networks say so later.
        """
        since = self.sick_since()
        place = self.course.steps.tolist().index(since) if since is not None else 0
        if place == 0:
            return False
        sick = [v is not None and v.severity >= Severity.WARNING for v in self.words]
        unknown = [v is None or v in _UNKNOWN for v in self.words]
        now, before = self.verdicts[place], self.verdicts[place - 1]
        return bool(np.take(unknown, before)[np.take(sick, now)].all())


@dataclass(frozen=True, eq=False)
class Page:
    """All that the page says: runs, the diagnosis, one scale per metric, pictures, worst first.

    `drawable` heads have maps at their run's last step with maps, some of which were drawn.
    """

    runs: tuple[PageRun, ...]
    diagnosis: Diagnosis
    scales: Mapping[str, Scale]
    rendering: Rendering
    drawable: int


@takes_dumps
def page(
    dump: Dump,
    choice: Choice = Choice(),  # noqa: B008 (frozen)
    *,
    folder: str | Path,
    pictured: int = PICTURED_HEADS,
    radius: float = LOCAL_RADIUS,
    jobs: Jobs = 1,
    progress: Progress | None = None,
    reading: Progress | None = None,
    drawing: Progress | None = None,
) -> Page:
    """The chosen runs as a page shows them; pictures of the worst `pictured` heads go to `folder`.

    One pass over the maps gives the diagnosis, the numbers and the verdicts; the scalars files
    give the steps between. Of long runs steps are left out evenly, so that the numbers stay below
    `MOST_NUMBERS`; every map is diagnosed. Pictures are drawn on this machine, whoever measures.
    `progress` hears of maps measured, `reading` of steps of scalars files, `drawing` of pictures.
    Raises `SelectionError` for an empty selection.
    """
    folder, settings = Path(folder), Settings()
    scalars = choice.all_items and radius == LOCAL_RADIUS
    lines = [line for line in plan_time_lines(dump, choice, scalars=scalars) if _there(line)]
    runs = [_Growing(line, steps) for line, steps in zip(lines, _kept(lines), strict=True)]
    damaged: list[Damage] = []

    def verdicts() -> Iterator[LayerVerdict]:
        by_name = {(run.line.run.name, run.line.phase): run for run in runs}
        tasks = [task for line in lines for task in line.tasks]
        layers = measure_whole_layers(tasks, radius=radius, jobs=jobs, progress=progress)
        for layer in readable(layers, damaged.append):
            verdict = judge_layer(layer.group.measurements, settings).verdict(layer.told)
            by_name[verdict.run, verdict.phase].add_maps(layer, verdict)
            yield verdict

    before = chain(dump.damaged, *(run.scalar_damage for run in dump.runs))
    diagnosis = conclude(verdicts(), settings, chain(before, damaged), probed=probed(dump))
    of_lines = _add_lines(runs, settings, reading)
    finished = tuple(run.finished() for run in runs)
    known = [run.known for run in runs]
    return Page(
        runs=finished,
        diagnosis=replace(diagnosis, damaged=(*diagnosis.damaged, *of_lines)),
        scales=_scales(finished),
        rendering=draw_worst(dump, known, pictured, folder, radius, Workers.of(jobs).jobs, drawing),
        drawable=sum(len(heads) for heads in known),
    )


def _add_lines(
    runs: Sequence[_Growing], settings: Settings, reading: Progress | None
) -> list[Damage]:
    """Give each run the lines of its scalars files; what of them is damaged."""
    damaged: list[Damage] = []
    total = sum(len(run.steps_of_lines) for run in runs)
    done = 0
    for run in runs:
        for step in run.add_scalars(settings, damaged.append):
            if reading is not None:
                reading(done + bisect_left(run.steps_of_lines, step), total)
        done += len(run.steps_of_lines)
    if reading is not None:
        reading(total, total)
    return damaged


def _there(line: TimeLine) -> bool:
    return bool(line.tasks or line.steps)


def _kept(lines: Sequence[TimeLine]) -> list[frozenset[int]]:
    """The steps of each line that the page shows: all, or as many as there is room for."""
    heads = [
        sum(len(of_layer) for of_layer in _heads_of(line).values()) * len(METRICS) for line in lines
    ]
    room = max(_LEAST_STEPS, min(MOST_STEPS, MOST_NUMBERS // max(sum(heads), 1)))
    return [_thin(line, room) for line in lines]


def _heads_of(line: TimeLine) -> dict[int, set[int]]:
    found: dict[int, set[int]] = defaultdict(set)
    for layer, heads in line.heads.items():
        found[layer].update(heads)
    for task in line.tasks:
        found[task.entry.id.layer].update(task.heads)
    return found


def _thin(line: TimeLine, room: int) -> frozenset[int]:
    """At most `room` steps, those with maps before the others."""
    mapped = frozenset(task.entry.id.step for task in line.tasks)
    kept = evenly(mapped, room)
    left = room - len(kept)
    return kept | evenly(line.steps - mapped, left) if left > 0 else kept


@dataclass
class _Growing:
    """A run while it is read: its maps first, then its lines.

    `measured` has the heads of which maps could be measured by (step, layer); lines stand in for
    the others.
    """

    line: TimeLine
    steps: frozenset[int]
    builder: CourseBuilder = field(default_factory=CourseBuilder)
    verdicts: dict[tuple[int, int, int], Verdict] = field(default_factory=dict)
    known: dict[tuple[int, int], Known] = field(default_factory=dict)
    measured: dict[tuple[int, int], frozenset[int]] = field(default_factory=dict)

    @cached_property
    def steps_of_lines(self) -> list[int]:
        """The steps at which lines are read, ascending."""
        return sorted(self.steps & self.line.steps)

    def add_maps(self, layer: WholeLayer, verdict: LayerVerdict) -> None:
        """Take a layer at a step into account; steps come in their order."""
        self.measured[verdict.step, verdict.layer] = layer.heads
        self._know(layer.group, verdict)
        if verdict.step in self.steps:
            self._add(layer, verdict.heads)

    def _know(self, group: LayerGroup, of_layer: LayerVerdict) -> None:
        """Keep which maps of the last step could be drawn, the worst item of each head."""
        if any(known.map.step < group.step for known in self.known.values()):
            self.known.clear()
        entries = {entry.id: entry for entry in group.entries}
        for identity, verdict in of_layer.of_maps.items():
            place = identity.layer, identity.head
            known = Known(identity, entries[identity.layer_id], verdict)
            if place not in self.known or known.badness > self.known[place].badness:
                self.known[place] = known

    def add_scalars(self, settings: Settings, report: Callable[[Damage], None]) -> Iterator[int]:
        """Take the lines of the scalars files, of heads without a measured map, step by step."""
        steps = frozenset(self.steps_of_lines)
        layers = layers_of_lines(self.line, steps, report)
        for step, of_step in groupby(layers, key=lambda layer: layer.group.step):
            yield step
            for layer in of_step:
                left = layer.without(self.measured.get((step, layer.group.layer), frozenset()))
                if left:
                    judged = judge_layer(layer.group.measurements, settings)
                    self._add(left, judged.head_verdicts())

    def _add(self, layer: WholeLayer, verdicts: Mapping[int, Verdict]) -> None:
        step, number, heads = layer.group.step, layer.group.layer, layer.by_head()
        self.builder.add(step, number, heads, from_maps=layer.from_maps)
        self.verdicts.update({(step, number, head): verdicts[head] for head in heads})

    def finished(self) -> PageRun:
        """The run as the page shows it."""
        line, course = self.line, self.builder.course()
        words: list[Verdict | None] = [None, *dict.fromkeys(self.verdicts.values())]
        at = {verdict: place for place, verdict in enumerate(words)}
        coded = np.zeros((len(course.steps), len(course.layers), len(course.heads)), np.uint8)
        steps = {step: place for place, step in enumerate(course.steps.tolist())}
        for (step, layer, head), verdict in self.verdicts.items():
            where = steps[step], course.layers.index(layer), course.heads.index(head)
            coded[where] = at[verdict]
        mapped = {task.entry.id.step for task in line.tasks}
        entries = [task.entry for task in line.tasks]
        return PageRun(
            run=line.run.name,
            phase=line.phase,
            course=course,
            verdicts=coded,
            words=tuple(words),
            recorded=len(mapped | line.steps),
            items=tuple(dict.fromkeys(e.item or f"item {e.id.batch}" for e in entries)),
            folder=_folder(line.run),
            creator=line.run.creator,
        )


def _folder(run: Run) -> str:
    """Where the run's shards are: their folder, or the shard where there is one alone."""
    folders = sorted({str(Path(shard).parent) for shard in run.shards})
    if len(run.shards) == 1:
        return run.shards[0]
    return folders[0] if folders else ""


def _scales(runs: Sequence[PageRun]) -> dict[str, Scale]:
    scales = {}
    for metric in METRICS:
        courses = (run.course.numbers for run in runs)
        arrays = [numbers[metric.name] for numbers in courses if metric.name in numbers]
        if arrays:
            scales[metric.name] = scale_of(arrays)
    return scales
