"""Pictures of the chosen maps: the work behind `igaviz render`."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import cast

from igaviz.checks import Settings, Verdict, map_verdicts
from igaviz.checks.finding import NOT_JUDGED
from igaviz.dump import Damage, Dump, LayerEntry, read_maps
from igaviz.errors import IgavizError, OutputError, SelectionError, UsageError
from igaviz.figures import FIGURES, Painter, Severity, View
from igaviz.figures.painter import unfinished
from igaviz.format import DEFAULT_PHASE, MapId
from igaviz.selection import Numbers, Residues
from igaviz.survey.measured import Progress, measure_layers, pairs_of
from igaviz.survey.plan import Choice, LayerTask, plan
from igaviz.survey.workers import run_tasks

DEFAULT_OUT = Path("attention_vis")
DEFAULT_DPI = 150
DEFAULT_CHOICE = Choice(step=Numbers.parse("last"), batch=Numbers.parse("0"))

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_local = threading.local()


@dataclass(frozen=True)
class Style:
    """How pictures are drawn: `View`'s choices, with residues as numbers of the structure."""

    figures: tuple[str, ...] = tuple(FIGURES)
    view: View = View()  # noqa: RUF009 (frozen)
    residues: Residues | None = None
    queries: Residues | None = None
    format: str = "png"
    dpi: int = DEFAULT_DPI


@dataclass(frozen=True)
class Picture:
    """One picture that was drawn."""

    path: Path
    map: MapId
    figure: str
    verdict: str
    severity: str


@dataclass(frozen=True)
class Rendering:
    """What `render` drew, what it could not draw and why, and what was damaged."""

    pictures: tuple[Picture, ...]
    failed: tuple[tuple[Path, str], ...]
    damaged: tuple[Damage, ...]


@dataclass(frozen=True)
class _HeadTask:
    """One head to draw: its figures, each with its path."""

    task: LayerTask
    verdict: Verdict
    paths: tuple[tuple[str, Path], ...]


def _one_by_one(task: _HeadTask) -> list[_HeadTask]:
    """The figures of a head as tasks of their own, so that only the one that kills is lost."""
    return [replace(task, paths=(named,)) for named in task.paths]


@dataclass(frozen=True)
class _Drawn:
    failed: tuple[tuple[Path, str], ...] = ()
    damaged: tuple[Damage, ...] = ()


def figure_names(text: str) -> tuple[str, ...]:
    """The figure types that `text` names, in the order of `FIGURES`: full names or their last word.

    Raises `UsageError` for a name that is none.
    """
    chosen: set[str] = set()
    for name in (piece.strip() for piece in text.split(",")):
        found = [known for known in FIGURES if name in (known, known.rsplit("_", 1)[-1], "all")]
        if not found:
            raise UsageError(f"no figure {name!r}", hint=f"write {', '.join(FIGURES)} or all")
        chosen.update(found)
    return tuple(name for name in FIGURES if name in chosen)


def render(
    dump: Dump,
    choice: Choice = DEFAULT_CHOICE,
    *,
    out: Path = DEFAULT_OUT,
    style: Style = Style(),
    force: bool = False,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Rendering:
    """Draw the figures of each chosen map below `out`, each in the folder of its step.

    Every recorded head of a drawn layer is measured, because a map's verdict carries the layer's
    severity. Raises `SelectionError` for an empty selection, `OutputError` where a picture exists
    already and `force` is not set, or where `out` can't be written.
    """
    tasks = plan(dump, choice)
    namer = _Namer(dump, out, style.format)
    paths = [
        namer.path(task.entry, head, f)
        for task in tasks
        for head in task.heads
        for f in style.figures
    ]
    _check_output(out, paths, force)
    _check_residues(tasks, style)
    verdicts, damaged = _verdicts(tasks, style.view.radius, jobs)
    work = [
        _HeadTask(
            LayerTask(task.entry, (head,)),
            verdicts[MapId(*task.entry.id, head)],
            tuple((name, namer.path(task.entry, head, name)) for name in style.figures),
        )
        for task in tasks
        for head in task.heads
        if MapId(*task.entry.id, head) in verdicts
    ]
    pictures: list[Picture] = []
    failed: list[tuple[Path, str]] = []
    total = len(work) * len(style.figures)
    try:
        for done in run_tasks(partial(_draw, style=style), work, jobs, parts=_one_by_one):
            drawn = done.result or _Drawn(
                failed=tuple((path, "the process that drew it died") for _, path in done.task.paths)
            )
            damaged.extend(drawn.damaged)
            failed.extend(drawn.failed)
            if not drawn.damaged:
                lost = {path for path, _ in drawn.failed}
                pictures.extend(_pictures(done.task, lost))
            if progress is not None:
                progress(len(pictures) + len(failed), total)
    finally:  # whoever was killed while it wrote, left something
        for path in paths:
            unfinished(path).unlink(missing_ok=True)
    return Rendering(tuple(pictures), tuple(failed), tuple(damaged))


def _pictures(task: _HeadTask, lost: set[Path]) -> Iterable[Picture]:
    identity = MapId(*task.task.entry.id, task.task.heads[0])
    verdict = task.verdict
    for name, path in task.paths:
        if path not in lost:
            yield Picture(path, identity, name, verdict.words, str(verdict.severity))


class _Namer:
    """Paths of pictures; runs, phases and ranks show only where there are several."""

    def __init__(self, dump: Dump, out: Path, extension: str) -> None:
        self.out = out
        self.extension = extension
        self.several_runs = len(dump.runs) > 1
        self.several_phases = len({entry.id.phase for entry in dump.entries}) > 1
        self.several_ranks = len({entry.id.rank for entry in dump.entries}) > 1

    def path(self, entry: LayerEntry, head: int, figure: str) -> Path:
        """Where the picture of one head goes."""
        run, phase, step, rank, batch, layer = entry.id
        folder = self.out / _safe(run) if self.several_runs else self.out
        suffix = f"_r{rank}" if self.several_ranks else ""
        if self.several_phases and phase != DEFAULT_PHASE:
            suffix += f"_{phase}"
        name = f"layer{layer}_{figure}_b{batch}_h{head}{suffix}.{self.extension}"
        return folder / f"step_{step:09d}" / name


def _safe(name: str) -> str:
    """A run's name as one folder: it may come from anywhere."""
    return _UNSAFE.sub("_", name).strip(".") or "run"


def _check_output(out: Path, paths: Sequence[Path], force: bool) -> None:
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
            _resolve(found.structure.residue_index, found.structure.chain_index, style)


def _resolve(residues: Iterable[int], chains: Iterable[int], style: Style) -> View:
    numbers, letters = [int(n) for n in residues], [int(c) for c in chains]
    view = style.view
    if style.residues is not None:
        view = replace(view, residues=style.residues.positions(numbers, letters))
    if style.queries is not None:
        view = replace(view, queries=style.queries.positions(numbers, letters))
    return view


def _verdicts(
    tasks: Sequence[LayerTask], radius: float, jobs: int
) -> tuple[Mapping[MapId, Verdict], list[Damage]]:
    whole = [LayerTask(task.entry, task.entry.heads) for task in tasks]
    verdicts: dict[MapId, Verdict] = {}
    damaged: list[Damage] = []
    for group in measure_layers(whole, radius=radius, jobs=jobs):
        verdicts.update(map_verdicts(group.measurements, Settings()))
        damaged.extend(group.damaged)
    return verdicts, damaged


def _draw(task: _HeadTask, style: Style) -> _Drawn:
    """Draw and save one head's figures; runs in a worker, whose figures are built once."""
    damaged: list[Damage] = []
    failed: list[tuple[Path, str]] = []
    painter: Painter = getattr(_local, "painter", None) or Painter()
    _local.painter = painter
    for found in read_maps(task.task.entry, task.task.heads, report=damaged.append):
        pairs = pairs_of(found.structure, style.view.radius)
        view = _resolve(found.structure.residue_index, found.structure.chain_index, style)
        judged = task.verdict != NOT_JUDGED
        severity = cast(Severity, str(task.verdict.severity)) if judged else None
        for name, path in task.paths:
            try:
                figure = painter.paint(name, found, pairs, view, task.verdict.words, severity)
                painter.save(figure, path, style.format, style.dpi)
            except (IgavizError, OSError) as error:
                failed.append((path, str(error)))
    return _Drawn(tuple(failed), tuple(damaged))


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
