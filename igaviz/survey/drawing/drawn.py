"""Pictures drawn by workers, and what became of each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from igaviz.aside import unfinished
from igaviz.dump import Damage
from igaviz.errors import OVERWRITE, OutputError
from igaviz.survey.drawing.pictures import PictureTask, Shown, Style, draw, one_by_one
from igaviz.survey.measuring.layers import Progress
from igaviz.survey.work.workers import Jobs, Workers, run_tasks


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
