"""Pictures as work: what each is drawn from, where it goes, and the worker that draws it."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Protocol, cast

from igaviz.checks import Verdict
from igaviz.checks.finding import GEOMETRY_NOT_JUDGED, NOT_JUDGED
from igaviz.defaults import DPI
from igaviz.dump import Damage, Dump, LayerEntry
from igaviz.errors import IgavizError
from igaviz.figures import DEFAULT_FIGURES, FIGURES, Painter, Scope, Severity, View
from igaviz.format import DEFAULT_PHASE
from igaviz.metrics import Measurement
from igaviz.metrics.heads import TYPE
from igaviz.metrics.profiles import Profiles
from igaviz.metrics.sheet import Sheet, Tile
from igaviz.selection import Residues
from igaviz.survey.measuring.layers import Reader, pairs_of, reader
from igaviz.survey.plan import LayerTask

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_local = threading.local()

Wanted = tuple[tuple[str, Path], ...]
"""Pictures of one subject: their figure types, each with its path."""


@dataclass(frozen=True)
class Style:
    """How pictures are drawn: `View`'s choices, with residues as numbers of the structure.

    `metric` is what `heads` and `trajectory` show: None for the heads' types, and for a few
    telling metrics.
    """

    figures: tuple[str, ...] = DEFAULT_FIGURES
    view: View = View()  # noqa: RUF009 (frozen)
    residues: Residues | None = None
    queries: Residues | None = None
    metric: str | None = None
    format: str = "png"
    dpi: int = DPI


def of_scope(figures: Sequence[str], *scopes: Scope) -> tuple[str, ...]:
    """Those of `figures` that show one of `scopes`."""
    return tuple(name for name in figures if FIGURES[name].scope in scopes)


class Shown(NamedTuple):
    """What a picture shows; None where it shows all that was chosen."""

    run: str
    phase: str
    step: int | None = None
    rank: int | None = None
    batch: int | None = None
    layer: int | None = None
    head: int | None = None


class Source(Protocol):
    """What the pictures of one task are drawn from."""

    def load(self, style: Style, read: Reader) -> tuple[object, View] | None:
        """The subject and the view on it; None where `read` can't read it."""


@dataclass(frozen=True)
class MapSource:
    """One map in its shard."""

    task: LayerTask

    def load(self, style: Style, read: Reader) -> tuple[object, View] | None:
        """The map's profiles."""
        for found in read(self.task.entry, self.task.heads):
            structure = found.structure
            view = resolve(structure.residue_index, structure.chain_index, style)
            return Profiles(found, pairs_of(structure, style.view.radius)), view
        return None


@dataclass(frozen=True)
class LayerSource:
    """The chosen heads of one attention call, and what is known of them."""

    task: LayerTask
    verdicts: Mapping[int, Verdict]
    measurements: Mapping[int, Measurement]

    def load(self, style: Style, read: Reader) -> tuple[object, View] | None:
        """The sheet of the heads that can be read, one map held at a time."""
        tiles: list[Tile] = []
        structure, view = None, style.view
        for found in read(self.task.entry, self.task.heads):
            if structure is None:
                structure = found.structure
                view = resolve(structure.residue_index, structure.chain_index, style)
            tiles.append(self._judged(Tile.of(found, view.residues)))
        if structure is None:
            return None
        return Sheet.join(self.task.entry.id, structure, tiles, view.residues), view

    def _judged(self, tile: Tile) -> Tile:
        verdict, measurement = self.verdicts.get(tile.head), self.measurements.get(tile.head)
        if verdict is not None:
            tile = tile.judged(verdict.words, severity_of(verdict))
        return tile if measurement is None else tile.measured(measurement)


@dataclass(frozen=True)
class Ready:
    """A subject that needs no reading."""

    subject: object

    def load(self, style: Style, read: Reader) -> tuple[object, View] | None:
        """The subject, seen whole."""
        return self.subject, style.view


@dataclass(frozen=True)
class PictureTask:
    """Pictures that are drawn from the same subject: their figure types, each with its path."""

    shown: Shown
    verdict: Verdict
    source: Source
    wanted: Wanted


def one_by_one(task: PictureTask) -> list[PictureTask]:
    """The pictures of a task as tasks of their own, so that only the one that kills is lost."""
    return [replace(task, wanted=(named,)) for named in task.wanted]


@dataclass(frozen=True)
class Drawn:
    """What became of a task: the paths that were written, those that failed and why, damage."""

    written: frozenset[Path] = frozenset()
    failed: tuple[tuple[Path, str], ...] = ()
    damaged: tuple[Damage, ...] = ()


def draw(task: PictureTask, style: Style, folder: str = "") -> Drawn:
    """Draw and save the pictures of one task; runs in a worker, whose figures are built once.

    Relative paths, of shards and of pictures, begin in `folder`. Threads of a worker read and
    compute beside each other and draw in turns: matplotlib's settings are the process's.
    """
    damaged: list[Damage] = []
    failed: list[tuple[Path, str]] = []
    written: set[Path] = set()
    painter: Painter = getattr(_local, "painter", None) or Painter()
    _local.painter = painter
    with reader(folder, damaged.append) as read:
        loaded = task.source.load(style, read)
    severity = severity_of(task.verdict)
    subject, view = loaded or (None, style.view)
    for name, path in task.wanted if subject is not None else ():
        there = Path(folder, path)
        try:
            figure = painter.draw(name, subject, view, task.verdict.words, severity)
            painter.save(figure, there, style.format, style.dpi)
        except (IgavizError, OSError) as error:
            failed.append((path, str(error).removeprefix(f"{there}: ")))
        else:
            written.add(path)
    return Drawn(frozenset(written), tuple(failed), tuple(damaged))


def severity_of(verdict: Verdict) -> Severity:
    """The severity that a figure shows: None, which has no sign, where not all could be judged."""
    unknown = verdict in (NOT_JUDGED, GEOMETRY_NOT_JUDGED)
    return None if unknown else cast(Severity, str(verdict.severity))


def resolve(residues: Iterable[int], chains: Iterable[int], style: Style) -> View:
    """The view with `style`'s residues as positions. Raises `SelectionError` for missing ones."""
    if style.residues is None and style.queries is None:
        return style.view
    numbers, letters = [int(n) for n in residues], [int(c) for c in chains]
    view = style.view
    if style.residues is not None:
        view = replace(view, residues=style.residues.positions(numbers, letters))
    if style.queries is not None:
        view = replace(view, queries=style.queries.positions(numbers, letters))
    return view


class Namer:
    """Figure types and paths of pictures; runs, phases, ranks show only where there are several."""

    def __init__(self, dump: Dump, out: Path, style: Style) -> None:
        self.out = out
        self.style = style
        self.several_runs = len(dump.runs) > 1
        self.several_phases = len({entry.id.phase for entry in dump.entries}) > 1
        self.several_ranks = len({entry.id.rank for entry in dump.entries}) > 1

    def of_map(self, entry: LayerEntry, head: int) -> Wanted:
        """The pictures of one head."""
        names = of_scope(self.style.figures, "map")
        return tuple((name, self.map(entry, head, name)) for name in names)

    def map(self, entry: LayerEntry, head: int, name: str) -> Path:
        """Where a file goes that shows `name` of one head."""
        place = f"b{entry.id.batch}_h{head}{self._rank(entry)}"
        return self._at_step(entry, f"layer{entry.id.layer}_{name}_{place}")

    def of_layer(self, entry: LayerEntry) -> Wanted:
        """The pictures of all heads of one attention call."""
        place = f"b{entry.id.batch}{self._rank(entry)}"
        return tuple(
            (name, self._at_step(entry, f"layer{entry.id.layer}_{name}_{place}"))
            for name in of_scope(self.style.figures, "layer")
        )

    def of_step(self, entry: LayerEntry) -> Wanted:
        """The pictures of the step of `entry`."""
        metric = self.style.metric or TYPE
        return tuple(
            (name, self._at_step(entry, f"{name}_{metric}"))
            for name in of_scope(self.style.figures, "step")
        )

    def of_run(self, run: str, phase: str) -> Wanted:
        """The pictures of one phase of a run."""
        metric = f"_{self.style.metric}" if self.style.metric else ""
        return tuple(
            (name, self._folder(run) / self._file(f"{name}{metric}", phase))
            for name in of_scope(self.style.figures, "run")
        )

    def _at_step(self, entry: LayerEntry, name: str) -> Path:
        folder = self._folder(entry.id.run) / f"step_{entry.id.step:09d}"
        return folder / self._file(name, entry.id.phase)

    def _folder(self, run: str) -> Path:
        return self.out / safe_name(run) if self.several_runs else self.out

    def _rank(self, entry: LayerEntry) -> str:
        return f"_r{entry.id.rank}" if self.several_ranks else ""

    def _file(self, name: str, phase: str) -> str:
        suffix = f"_{phase}" if self.several_phases and phase != DEFAULT_PHASE else ""
        return f"{name}{suffix}.{self.style.format}"


def safe_name(name: str) -> str:
    """A run's name as one folder: it may come from anywhere."""
    return _UNSAFE.sub("_", name).strip(".") or "run"
