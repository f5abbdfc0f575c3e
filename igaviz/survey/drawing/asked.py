"""Which pictures a selection asks for, which of them fall to a part, and the tasks for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from igaviz.checks import Settings, Severity, Verdict, judge_layer
from igaviz.dump import Damage, Dump
from igaviz.format import MapId
from igaviz.metrics import Measurement
from igaviz.metrics.heads import TYPE, HeadTable
from igaviz.survey.drawing.history import history_lines, history_of, last_verdict
from igaviz.survey.drawing.pictures import (
    LayerSource,
    MapSource,
    Namer,
    PictureTask,
    Ready,
    Shown,
    Style,
    of_scope,
)
from igaviz.survey.kept.known import Before
from igaviz.survey.measuring.layers import Progress
from igaviz.survey.measuring.whole import measure_whole_layers
from igaviz.survey.parts.part import Part
from igaviz.survey.plan import Choice, LayerTask, TimeLine, plan
from igaviz.survey.work.workers import Jobs, Workers

Piece = tuple[str, str] | tuple[str, str, int] | tuple[str, str, int, int]
"""What falls to one part: a phase of a run, a step of it, or the calls of a layer at a step."""


@dataclass(frozen=True)
class Asked:
    """The pictures that are asked for, or a part's share of them.

    `pieces` says what is drawn. Measured is what verdicts need: `tasks` for the pictures of maps,
    layers and steps, `tracks` for those of runs.
    """

    pieces: frozenset[Piece]
    tasks: tuple[LayerTask, ...]
    tracks: tuple[TimeLine, ...]

    def paths(self, namer: Namer) -> list[Path]:
        """Where the pictures go, each once."""
        return list(dict.fromkeys(self._paths(namer)))

    def _paths(self, namer: Namer) -> Iterator[Path]:
        for task in self.tasks:
            if task.group[:3] in self.pieces:
                yield from (path for _, path in namer.of_step(task.entry))
            if task.group in self.pieces:
                yield from (path for _, path in namer.of_layer(task.entry))
                for head in task.heads:
                    yield from (path for _, path in namer.of_map(task.entry, head))
        for track in self.tracks:
            yield from (path for _, path in namer.of_run(track.run.name, track.phase))


def asked(
    dump: Dump, choice: Choice, over_steps: Choice, style: Style, part: Part | None = None
) -> Asked:
    """What is chosen, of which `part` takes its share; selections are those of the whole dump.

    Raises `SelectionError` where a part of the selection isn't there.
    """
    figures = style.figures
    tasks = plan(dump, choice) if of_scope(figures, "map", "layer", "step") else ()
    tracks = (
        history_lines(dump, over_steps, radius=style.view.radius)
        if of_scope(figures, "run")
        else ()
    )
    pieces: list[Piece] = []
    if of_scope(figures, "map", "layer"):
        pieces += dict.fromkeys(task.group for task in tasks)
    if of_scope(figures, "step"):
        pieces += dict.fromkeys(task.group[:3] for task in tasks)
    pieces += (_of_run(track) for track in tracks)
    mine = frozenset(piece for k, piece in enumerate(pieces) if part is None or part.has(k))
    return Asked(
        mine,
        tuple(task for task in tasks if not mine.isdisjoint((task.group, task.group[:3]))),
        tuple(track for track in tracks if _of_run(track) in mine),
    )


def _of_run(track: TimeLine) -> Piece:
    return track.run.name, track.phase


def tasks_of(
    asked: Asked,
    namer: Namer,
    style: Style,
    *,
    jobs: Jobs = 1,
    damaged: list[Damage],
    progress: Progress | None = None,
) -> list[PictureTask]:
    """A task for each head, layer call, step and run that is drawn, measured and judged.

    What can't be read is added to `damaged`, and has no picture.
    """
    judged = _measured(asked.tasks, style, jobs, damaged, progress)
    workers = Workers.of(jobs)
    before = Before(
        frozenset(task.entry.id for task in asked.tasks),
        judged.measurements,
        style.view.radius,
        workers.known,
    )
    knowing = replace(workers, measured=before)
    return [
        *_work(judged, asked, namer, style),
        *_run_work(asked.tracks, namer, style, knowing, damaged, progress),
    ]


@dataclass(frozen=True)
class _Judged:
    """The measurements of drawn layers, all their heads, and the verdicts."""

    measurements: Mapping[MapId, Measurement]
    verdicts: Mapping[MapId, Verdict]

    def worst(self, maps: Iterable[MapId]) -> Verdict:
        """The worst verdict on `maps`, the first of equals, in words that say so."""
        found = max((self.verdicts[m] for m in maps), key=lambda verdict: verdict.severity)
        if found.severity == Severity.HEALTHY:
            return found
        return found._replace(words=f"worst: {found.words}")


def _measured(
    tasks: Sequence[LayerTask],
    style: Style,
    jobs: Jobs,
    damaged: list[Damage],
    progress: Progress | None,
) -> _Judged:
    verdicts: dict[MapId, Verdict] = {}
    measurements: dict[MapId, Measurement] = {}
    layers = measure_whole_layers(tasks, radius=style.view.radius, jobs=jobs, progress=progress)
    for group, _ in layers:
        verdicts.update(judge_layer(group.measurements, Settings()).map_verdicts())
        measurements.update((m.id, m) for m in group.measurements)
        damaged.extend(group.damaged)
    return _Judged(measurements, verdicts)


def _work(judged: _Judged, asked: Asked, namer: Namer, style: Style) -> Iterator[PictureTask]:
    """Tasks for the pictures of each step, then of its layer calls and their heads."""
    for step, group in groupby(asked.tasks, key=lambda task: task.group[:3]):
        of_step = list(group)
        if step in asked.pieces:
            yield from _step_work(judged, of_step, namer, style)
        for task in of_step:
            if task.group in asked.pieces:
                yield from _layer_work(judged, task, namer)
                yield from _map_work(judged, task, namer)


def _step_work(
    judged: _Judged, tasks: Sequence[LayerTask], namer: Namer, style: Style
) -> Iterator[PictureTask]:
    maps = [m for task in tasks for m in _maps(task) if m in judged.measurements]
    if not maps:
        return
    entry = tasks[0].entry
    severities = {
        (m.layer, m.head): str(verdict.severity)
        for m, verdict in sorted(
            ((m, judged.verdicts[m]) for m in maps), key=lambda pair: pair[1].severity
        )
    }
    table = HeadTable.of([judged.measurements[m] for m in maps], style.metric or TYPE, severities)
    yield PictureTask(
        Shown(entry.id.run, entry.id.phase, entry.id.step),
        judged.worst(maps),
        Ready(table),
        namer.of_step(entry),
    )


def _layer_work(judged: _Judged, task: LayerTask, namer: Namer) -> Iterator[PictureTask]:
    wanted = namer.of_layer(task.entry)
    maps = [m for m in _maps(task) if m in judged.measurements]
    if wanted and maps:
        yield PictureTask(
            Shown(*task.entry.id),
            judged.worst(maps),
            LayerSource(
                LayerTask(task.entry, tuple(m.head for m in maps)),
                {m.head: judged.verdicts[m] for m in maps},
                {m.head: judged.measurements[m] for m in maps},
            ),
            wanted,
        )


def _map_work(judged: _Judged, task: LayerTask, namer: Namer) -> Iterator[PictureTask]:
    for m in _maps(task):
        wanted = namer.of_map(task.entry, m.head)
        if wanted and m in judged.verdicts:
            yield PictureTask(
                Shown(*m),
                judged.verdicts[m],
                MapSource(LayerTask(task.entry, (m.head,))),
                wanted,
            )


def _run_work(
    tracks: Sequence[TimeLine],
    namer: Namer,
    style: Style,
    jobs: Jobs,
    damaged: list[Damage],
    progress: Progress | None,
) -> Iterator[PictureTask]:
    for track in tracks:
        history = history_of(
            track,
            metric=_of_numbers(style.metric),
            radius=style.view.radius,
            jobs=jobs,
            progress=progress,
            report=damaged.append,
        )
        yield PictureTask(
            Shown(history.run, history.phase),
            last_verdict(history),
            Ready(history),
            namer.of_run(history.run, history.phase),
        )


def _of_numbers(metric: str | None) -> str | None:
    """The metric of a time line: heads' types are no numbers."""
    return None if metric == TYPE else metric


def _maps(task: LayerTask) -> list[MapId]:
    return [MapId(*task.entry.id, head) for head in task.heads]
