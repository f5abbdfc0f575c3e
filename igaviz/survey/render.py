"""Pictures of what was chosen: the work behind `igaviz render`."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

from igaviz.checks import Settings, Severity, Verdict, map_verdicts
from igaviz.dump import Damage, Dump, read_maps
from igaviz.errors import OutputError, SelectionError, UsageError
from igaviz.figures import FIGURES, Scope
from igaviz.figures.painter import unfinished
from igaviz.format import MapId
from igaviz.metrics import Measurement
from igaviz.metrics.heads import TYPE, HeadTable, metric_names
from igaviz.selection import Numbers
from igaviz.survey.history import history_lines, history_of, last_verdict
from igaviz.survey.measured import Progress, measure_layers
from igaviz.survey.pictures import (
    LayerSource,
    MapSource,
    Namer,
    PictureTask,
    Ready,
    Shown,
    Style,
    draw,
    one_by_one,
    resolve,
)
from igaviz.survey.plan import Choice, LayerTask, TimeLine, plan
from igaviz.survey.workers import Jobs, run_tasks

DEFAULT_OUT = Path("attention_vis")
DEFAULT_CHOICE = Choice(step=Numbers.parse("last"), batch=Numbers.parse("0"))
EVERY_STEP = Choice()


@dataclass(frozen=True)
class Picture:
    """One picture that was drawn: what it shows, and the verdict that stands on it."""

    path: Path
    figure: str
    shown: Shown
    verdict: str
    severity: str


@dataclass(frozen=True)
class Rendering:
    """What `render` drew, what it could not draw and why, and what was damaged."""

    pictures: tuple[Picture, ...]
    failed: tuple[tuple[Path, str], ...]
    damaged: tuple[Damage, ...]


def figure_names(text: str) -> tuple[str, ...]:
    """The figure types that `text` names, in the order of `FIGURES`: full names or their last word.

    Raises `UsageError` for a name that is none.
    """
    chosen: set[str] = set()
    for name in (piece.strip() for piece in text.split(",")):
        found = [known for known in FIGURES if name in (known, known.rsplit("_", 1)[-1], "all")]
        if not found:
            raise UsageError(f"no figure {name!r}", hint=_meant(name))
        chosen.update(found)
    return tuple(name for name in FIGURES if name in chosen)


def _meant(name: str) -> str:
    """The figure types there are, led by the one that `name` looks like."""
    names = [known.rsplit("_", 1)[-1] for known in FIGURES]
    near = difflib.get_close_matches(name.lower(), (*names, *FIGURES), n=1)
    return f"{f'did you mean {near[0]}? ' if near else ''}there are {', '.join(names)}, and all"


def of_scope(figures: Sequence[str], *scopes: Scope) -> tuple[str, ...]:
    """Those of `figures` that show one of `scopes`."""
    return tuple(name for name in figures if FIGURES[name].scope in scopes)


def render(
    dump: Dump,
    choice: Choice = DEFAULT_CHOICE,
    *,
    over_steps: Choice = EVERY_STEP,
    out: Path = DEFAULT_OUT,
    style: Style = Style(),  # noqa: B008 (frozen)
    force: bool = False,
    jobs: Jobs = 1,
    progress: Progress | None = None,
    measuring: Progress | None = None,
) -> Rendering:
    """Draw the figures of what is chosen below `out`, what is of one step in that step's folder.

    `choice` selects for pictures of maps, layers and steps, `over_steps` for those of runs. Every
    recorded head of a drawn layer is measured, because a map's verdict carries the layer's
    severity: `measuring` hears of that, `progress` of the pictures. Raises `SelectionError` for an
    empty selection, `OutputError` where a picture exists already and `force` is not set, or where
    `out` can't be written, `UsageError` for a metric that there is not.
    """
    _check_metric(style)
    namer = Namer(dump, out, style)
    damaged: list[Damage] = []
    of_steps = of_scope(style.figures, "map", "layer", "step")
    tasks = plan(dump, choice) if of_steps else ()
    tracks = (
        history_lines(dump, over_steps, radius=style.view.radius)
        if of_scope(style.figures, "run")
        else ()
    )
    paths = list(_paths(tasks, namer, style))
    paths += [path for track in tracks for _, path in _run_paths(track, namer, style)]
    check_output(out, list(dict.fromkeys(paths)), force)
    _check_residues(tasks, style)
    work = [
        *_work(_measured(tasks, style, jobs, damaged, measuring), tasks, namer, style),
        *_run_work(tracks, namer, style, jobs, damaged, measuring),
    ]
    try:
        return draw_tasks(work, damaged, style, jobs, progress)
    finally:  # whoever was killed while it wrote, left something
        for path in paths:
            unfinished(path).unlink(missing_ok=True)


def draw_tasks(
    work: Sequence[PictureTask],
    damaged: list[Damage],
    style: Style,
    jobs: Jobs,
    progress: Progress | None,
) -> Rendering:
    """What became of the pictures of `work`, drawn over `jobs` processes; `damaged` is added to."""
    pictures: list[Picture] = []
    failed: list[tuple[Path, str]] = []
    total = sum(len(task.wanted) for task in work)
    finished = 0
    if progress is not None:
        progress(0, total)
    for done in run_tasks(partial(draw, style=style), work, jobs, parts=one_by_one):
        if done.result is None:
            reason = "the process that drew it died"
            failed.extend((path, reason) for _, path in done.task.wanted)
        else:
            pictures.extend(_pictures(done.task, done.result.written))
            failed.extend(done.result.failed)
            damaged.extend(done.result.damaged)
        finished += len(done.task.wanted)
        if progress is not None:
            progress(finished, total)
    return Rendering(tuple(pictures), tuple(failed), tuple(damaged))


def _pictures(task: PictureTask, written: frozenset[Path]) -> Iterator[Picture]:
    verdict = task.verdict
    for name, path in task.wanted:
        if path in written:
            yield Picture(path, name, task.shown, verdict.words, str(verdict.severity))


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
    whole = [LayerTask(task.entry, task.entry.heads) for task in tasks]
    verdicts: dict[MapId, Verdict] = {}
    measurements: dict[MapId, Measurement] = {}
    for group in measure_layers(whole, radius=style.view.radius, jobs=jobs, progress=progress):
        verdicts.update(map_verdicts(group.measurements, Settings()))
        measurements.update((m.id, m) for m in group.measurements)
        damaged.extend(group.damaged)
    return _Judged(measurements, verdicts)


def _work(
    judged: _Judged, tasks: Sequence[LayerTask], namer: Namer, style: Style
) -> Iterator[PictureTask]:
    """Tasks for the pictures of each step, then of its layer calls and their heads."""
    for _, group in groupby(tasks, key=lambda task: task.group[:3]):
        of_step = list(group)
        yield from _step_work(judged, of_step, namer, style)
        for task in of_step:
            yield from _layer_work(judged, task, namer, style)
            yield from _map_work(judged, task, namer, style)


def _step_work(
    judged: _Judged, tasks: Sequence[LayerTask], namer: Namer, style: Style
) -> Iterator[PictureTask]:
    figures = of_scope(style.figures, "step")
    maps = [m for task in tasks for m in _maps(task) if m in judged.measurements]
    if not figures or not maps:
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
        tuple((name, namer.step(entry, name)) for name in figures),
    )


def _layer_work(
    judged: _Judged, task: LayerTask, namer: Namer, style: Style
) -> Iterator[PictureTask]:
    figures = of_scope(style.figures, "layer")
    maps = [m for m in _maps(task) if m in judged.measurements]
    if figures and maps:
        yield PictureTask(
            Shown(*task.entry.id),
            judged.worst(maps),
            LayerSource(
                LayerTask(task.entry, tuple(m.head for m in maps)),
                {m.head: judged.verdicts[m] for m in maps},
                {m.head: judged.measurements[m] for m in maps},
            ),
            tuple((name, namer.layer(task.entry, name)) for name in figures),
        )


def _map_work(
    judged: _Judged, task: LayerTask, namer: Namer, style: Style
) -> Iterator[PictureTask]:
    figures = of_scope(style.figures, "map")
    for m in _maps(task) if figures else ():
        if m in judged.verdicts:
            yield PictureTask(
                Shown(*m),
                judged.verdicts[m],
                MapSource(LayerTask(task.entry, (m.head,))),
                tuple((name, namer.map(task.entry, m.head, name)) for name in figures),
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
            tuple(_run_paths(track, namer, style)),
        )


def _run_paths(track: TimeLine, namer: Namer, style: Style) -> Iterator[tuple[str, Path]]:
    for name in of_scope(style.figures, "run"):
        yield name, namer.run(track.run.name, track.phase, name)


def _of_numbers(metric: str | None) -> str | None:
    """The metric of a time line: heads' types are no numbers."""
    return None if metric == TYPE else metric


def _paths(tasks: Sequence[LayerTask], namer: Namer, style: Style) -> Iterator[Path]:
    """Where the pictures of maps, layers and steps go."""
    for task in tasks:
        for name in of_scope(style.figures, "step"):
            yield namer.step(task.entry, name)
        for name in of_scope(style.figures, "layer"):
            yield namer.layer(task.entry, name)
        for name in of_scope(style.figures, "map"):
            yield from (namer.map(task.entry, head, name) for head in task.heads)


def _maps(task: LayerTask) -> list[MapId]:
    return [MapId(*task.entry.id, head) for head in task.heads]


def _check_metric(style: Style) -> None:
    names = tuple(metric_names())
    if style.metric is not None and style.metric not in names:
        raise UsageError(f"no metric {style.metric!r}", hint=f"there are {', '.join(names)}")


def check_output(out: Path, paths: Sequence[Path], force: bool) -> None:
    """Raise `OutputError` where one of `paths` is there, or can't be written below `out`."""
    existing = [path for path in paths if path.exists()]
    if existing and not force:
        others = f" and {len(existing) - 1} others" if len(existing) > 1 else ""
        raise OutputError(f"{existing[0]}{others}: already there", hint="overwrite with --force")
    try:
        for folder in sorted({path.parent for path in paths}):
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(13, "Permission denied")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(
            f"{out}: can't write there ({reason})", hint="choose another --out"
        ) from error


def _check_residues(tasks: Sequence[LayerTask], style: Style) -> None:
    """Residues that one of the items doesn't have are said before anything is drawn."""
    if style.residues is None and style.queries is None:
        return
    for _, group in groupby(tasks, key=lambda task: task.entry.id[:5]):
        task = next(iter(group))
        for found in read_maps(task.entry, task.heads[:1], report=lambda _: None):
            resolve(found.structure.residue_index, found.structure.chain_index, style)


def only_layer(dump: Dump) -> Numbers:
    """The layer to draw where none was named: the only one there is.

    Raises `SelectionError` where there are several.
    """
    layers = dump.layers
    if len(layers) > 1:
        raise SelectionError(
            "which layer? there are several",
            hint=f"add --layer {layers[0]}, or any of {', '.join(map(str, layers[:12]))}, or all",
        )
    return Numbers.parse("all")
