"""Pictures of what was chosen: the work behind `igaviz render`."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

from igaviz.dump import Damage, Dump, read_maps
from igaviz.errors import OVERWRITE, OutputError, SelectionError, UsageError
from igaviz.figures import FIGURES
from igaviz.figures.painter import unfinished
from igaviz.metrics.heads import metric_names
from igaviz.selection import Numbers
from igaviz.survey.arguments import takes_dumps
from igaviz.survey.asked import asked, tasks_of
from igaviz.survey.measured import Progress
from igaviz.survey.part import Part
from igaviz.survey.pictures import (
    Namer,
    PictureTask,
    Shown,
    Style,
    draw,
    of_scope,
    one_by_one,
    resolve,
)
from igaviz.survey.plan import Choice, LayerTask
from igaviz.survey.workers import Jobs, Workers, run_tasks

DEFAULT_OUT = Path("attention_vis")
USUAL = Choice(step=Numbers.parse("last"), batch=Numbers.parse("0"))
"""What pictures and files of maps are of where a choice leaves it open."""


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

    @property
    def nothing_due(self) -> bool:
        """Whether there was no picture to draw, as where nothing falls to a part."""
        return not (self.pictures or self.failed or self.damaged)


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


@takes_dumps
def render(
    dump: Dump,
    choice: Choice = Choice(),  # noqa: B008 (frozen)
    *,
    over_steps: Choice | None = None,
    part: Part | None = None,
    out: str | Path = DEFAULT_OUT,
    style: Style = Style(),  # noqa: B008 (frozen)
    force: bool = False,
    jobs: Jobs = 1,
    progress: Progress | None = None,
    measuring: Progress | None = None,
) -> Rendering:
    """Draw the figures of what is chosen below `out`, what is of one step in that step's folder.

    `choice` selects for pictures of maps, layers and steps, `over_steps` for those of runs, None
    the same. Where `choice` leaves it open, the former are of the last step and item 0, and of the
    only layer there is; the latter of all. Every recorded head of a drawn layer is measured,
    because a map's verdict carries the layer's severity: `measuring` hears of that, `progress` of
    the pictures. The parts of `part.of` draw each picture once between them, and each measures what
    its own need. Raises `SelectionError` for an empty selection and where no layer is named and
    there are several, `OutputError` where a picture exists already and `force` is not set, or where
    `out` can't be written, `UsageError` for a metric that there is not, or that no chosen figure
    shows.
    """
    out = Path(out)
    _check_metric(style)
    namer = Namer(dump, out, style)
    of_maps = usual_of_maps(dump, choice) if of_scope(style.figures, "map", "layer") else choice
    wanted = asked(dump, of_maps.or_else(USUAL), over_steps or choice, style, part)
    check_residues(wanted.tasks, style)
    check_output(out, wanted.paths(namer), force)
    damaged: list[Damage] = []
    work = tasks_of(wanted, namer, style, jobs=jobs, damaged=damaged, progress=measuring)
    return draw_tasks(work, damaged, style, jobs, progress)


def draw_tasks(
    work: Sequence[PictureTask],
    damaged: list[Damage],
    style: Style,
    jobs: Jobs,
    progress: Progress | None,
) -> Rendering:
    """What became of the pictures of `work`, drawn by the workers; `damaged` is added to."""
    pictures: list[Picture] = []
    failed: list[tuple[Path, str]] = []
    total = sum(len(task.wanted) for task in work)
    finished = 0
    draw_one = partial(draw, style=style, folder=Workers.of(jobs).folder)
    try:
        results = run_tasks(draw_one, work, jobs, parts=one_by_one)
        if progress is not None:
            progress(0, total)
        for done in results:
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
    finally:  # whoever was killed while it wrote, left something
        for path in (path for task in work for _, path in task.wanted):
            unfinished(path).unlink(missing_ok=True)
    return Rendering(tuple(pictures), tuple(failed), tuple(damaged))


def _pictures(task: PictureTask, written: frozenset[Path]) -> Iterator[Picture]:
    verdict = task.verdict
    for name, path in task.wanted:
        if path in written:
            yield Picture(path, name, task.shown, verdict.words, str(verdict.severity))


def _check_metric(style: Style) -> None:
    names = tuple(metric_names())
    if style.metric is not None and style.metric not in names:
        raise UsageError(f"no metric {style.metric!r}", hint=f"there are {', '.join(names)}")
    if style.metric is not None and not of_scope(style.figures, "step", "run"):
        raise UsageError(
            f"no chosen figure shows {style.metric}: heads and trajectory show a metric",
            hint="choose one of them with --figure, or leave the metric out",
        )


def check_output(out: Path, paths: Sequence[Path], force: bool) -> None:
    """Raise `OutputError` where one of `paths` is there, or can't be written below `out`."""
    existing = [path for path in paths if path.exists()]
    if existing and not force:
        others = f" and {len(existing) - 1:,} more" if len(existing) > 1 else ""
        raise OutputError(f"{existing[0]}{others}: already there", hint=OVERWRITE)
    try:
        for folder in sorted({path.parent for path in paths}):
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(13, "Permission denied")
    except OSError as error:
        raise OutputError.unwritable(out, error) from error


def check_residues(tasks: Sequence[LayerTask], style: Style) -> None:
    """Residues that one of the items doesn't have are said before anything is drawn."""
    if style.residues is None and style.queries is None:
        return
    for _, group in groupby(tasks, key=lambda task: task.entry.id[:5]):
        task = next(iter(group))
        for found in read_maps(task.entry, task.heads[:1], report=lambda _: None):
            resolve(found.structure.residue_index, found.structure.chain_index, style)


def usual_of_maps(dump: Dump, choice: Choice) -> Choice:
    """`choice`, with what is usual for pictures and files of maps where it leaves something open.

    Of layers that is the only one there is: raises `SelectionError` where there are several.
    """
    layers = dump.layers
    if choice.layer is None and len(layers) > 1:
        raise SelectionError(
            "which layer? there are several",
            hint=f"add --layer {layers[0]} (from Python layer={layers[0]}), or any of "
            f"{', '.join(map(str, layers[:12]))}, or all",
        )
    return choice.or_else(USUAL)
