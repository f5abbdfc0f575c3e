"""Maps for the tools that people have: the work behind `igaviz export`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from igaviz.aside import unfinished
from igaviz.dump import AttentionMap, Damage, Dump, LayerEntry, read_maps
from igaviz.errors import IgavizError, UsageError
from igaviz.figures.painter import publish
from igaviz.format import MapId
from igaviz.selection import Residues
from igaviz.survey.arguments import takes_dumps
from igaviz.survey.drawing.drawn import check_output
from igaviz.survey.drawing.pictures import Namer, Style
from igaviz.survey.formats.arrays import npz
from igaviz.survey.formats.scripts import chimerax, pymol
from igaviz.survey.formats.structure import mmcif, pdb
from igaviz.survey.formats.trace import Trace, trace_of
from igaviz.survey.measuring.layers import Progress
from igaviz.survey.plan import Choice, LayerTask, plan
from igaviz.survey.render import check_residues, usual_of_maps
from igaviz.survey.work.workers import Jobs, run_tasks

DEFAULT_OUT = Path("attention_export")
DEFAULT_PAIRS = 50
SUFFIXES = {"mmcif": "cif", "pdb": "pdb", "pymol": "pml", "chimerax": "cxc", "npz": "npz"}
"""The formats, and what their files end in; in the order in which they are written."""

SCRIPTS = ("pymol", "chimerax")
"""The formats that load the mmCIF file beside them."""

DEFAULT_FORMATS = ("mmcif", "pymol", "chimerax")
_BY_TRACE: Mapping[str, Callable[[Trace], bytes]] = {"mmcif": mmcif, "pdb": pdb}
_SCRIPT: Mapping[str, Callable[[Trace, str], bytes]] = {"pymol": pymol, "chimerax": chimerax}


@dataclass(frozen=True)
class Wanted:
    """What is written of each map: formats, and what B-factors and bonds are made from.

    `queries` None stands for all. Of each map the `pairs` strongest are drawn, among all pairs or
    the long-range ones.
    """

    formats: tuple[str, ...] = DEFAULT_FORMATS
    queries: Residues | None = None
    pairs: int = DEFAULT_PAIRS
    long_range: bool = False

    def __post_init__(self) -> None:
        if self.pairs < 0:
            raise UsageError(f"{self.pairs} pairs of a map can't be drawn", hint="0 draws none")


@dataclass(frozen=True)
class ExportedMap:
    """The files of one map, and what is in them.

    `left_out` counts residues without finite coordinates, `rows_left_out` queries that aren't
    finite, `long_range` those of the `pairs` that are.
    """

    id: MapId
    item: str
    files: tuple[Path, ...]
    residues: int
    left_out: int
    rows_left_out: int
    pairs: int
    long_range: int


@dataclass(frozen=True)
class Exported:
    """What `export` wrote, what it could not write and why, and what was damaged."""

    maps: tuple[ExportedMap, ...]
    failed: tuple[tuple[Path, str], ...]
    damaged: tuple[Damage, ...]


def formats_of(text: str) -> tuple[str, ...]:
    """The formats that `text` names (`pdb,npz`, `all`), with the mmCIF file that scripts load.

    Raises `UsageError` for a name that is none.
    """
    chosen: set[str] = set()
    for name in (piece.strip() for piece in text.split(",")):
        if name not in (*SUFFIXES, "all"):
            raise UsageError(
                f"no format {name!r}", hint=f"there are {', '.join(SUFFIXES)}, and all"
            )
        chosen.update(SUFFIXES if name == "all" else [name])
    if chosen & set(SCRIPTS):
        chosen.add("mmcif")
    return tuple(name for name in SUFFIXES if name in chosen)


@takes_dumps
def export(
    dump: Dump,
    choice: Choice = Choice(),  # noqa: B008 (frozen)
    *,
    out: str | Path = DEFAULT_OUT,
    wanted: Wanted = Wanted(),
    force: bool = False,
    jobs: Jobs = 1,
    progress: Progress | None = None,
) -> Exported:
    """Write each chosen map below `out` as structure, scripts and arrays, in its step's folder.

    The B-factor of residue j is N × the mean over queries i of A_ij: 1 is what uniform attention
    gives. Coordinates are in Å. Where `choice` leaves it open, maps are of the last step, item 0
    and the only layer there is. Each file comes to be in one move; of a map that a format can't
    hold, the others are written. Raises `SelectionError` for an empty selection, for queries that
    an item doesn't have, and where no layer is named and there are several, `OutputError` where a
    file exists already and `force` is not set, or where `out` can't be written.
    """
    out = Path(out)
    tasks = plan(dump, usual_of_maps(dump, choice))
    namer = Namer(dump, out, Style())
    paths = [
        path
        for task in tasks
        for head in task.heads
        for path in _paths(namer, task.entry, head, wanted).values()
    ]
    check_residues(tasks, Style(queries=wanted.queries))
    check_output(out, paths, force)
    try:
        return _written(tasks, namer, wanted, jobs, progress)
    finally:  # whoever was killed while it wrote, left something
        for path in paths:
            unfinished(path).unlink(missing_ok=True)


@dataclass(frozen=True)
class _Written:
    """What became of one task."""

    maps: tuple[ExportedMap, ...] = ()
    failed: tuple[tuple[Path, str], ...] = ()
    damaged: tuple[Damage, ...] = ()


@dataclass(frozen=True)
class _Work:
    """The chosen heads of one attention call, and the paths of each head by format."""

    task: LayerTask
    paths: Mapping[int, Mapping[str, Path]]

    @property
    def parts(self) -> list[_Work]:
        """The heads one by one, so that only the one that kills is lost."""
        return [replace(self, task=replace(self.task, heads=(h,))) for h in self.task.heads]


def _written(
    tasks: Sequence[LayerTask], namer: Namer, wanted: Wanted, jobs: Jobs, progress: Progress | None
) -> Exported:
    work = [
        _Work(task, {head: _paths(namer, task.entry, head, wanted) for head in task.heads})
        for task in tasks
    ]
    total = sum(len(task.heads) for task in tasks)
    maps: list[ExportedMap] = []
    failed: list[tuple[Path, str]] = []
    damaged: list[Damage] = []
    finished = 0
    for done in run_tasks(
        partial(_write, wanted=wanted), work, jobs, parts=lambda piece: piece.parts
    ):
        heads = done.task.task.heads
        if done.result is None:
            reason = "the process that wrote it died"
            failed += [(path, reason) for h in heads for path in done.task.paths[h].values()]
        else:
            maps += done.result.maps
            failed += done.result.failed
            damaged += done.result.damaged
        finished += len(heads)
        if progress is not None:
            progress(finished, total)
    return Exported(tuple(maps), tuple(failed), tuple(dict.fromkeys(damaged)))


def _write(work: _Work, wanted: Wanted) -> _Written:
    """The files of one layer call, one map held at a time; runs in a worker."""
    maps: list[ExportedMap] = []
    failed: list[tuple[Path, str]] = []
    damaged: list[Damage] = []
    for map in read_maps(work.task.entry, work.task.heads, report=damaged.append):
        exported, lost = _write_map(map, work.paths[map.id.head], wanted)
        failed += lost
        if exported.files:
            maps.append(exported)
    return _Written(tuple(maps), tuple(failed), tuple(damaged))


def _write_map(
    map: AttentionMap, paths: Mapping[str, Path], wanted: Wanted
) -> tuple[ExportedMap, list[tuple[Path, str]]]:
    structure = map.structure
    queries = None
    if wanted.queries is not None:
        queries = wanted.queries.positions(
            structure.residue_index.tolist(), structure.chain_index.tolist()
        )
    trace, why = None, ""
    try:
        trace = trace_of(map, pairs=wanted.pairs, queries=queries, long_range=wanted.long_range)
    except IgavizError as error:
        why = str(error)
    files: list[Path] = []
    failed: list[tuple[Path, str]] = []
    for format, path in paths.items():
        try:
            if format == "npz":
                publish(path, npz(map, queries))
            elif trace is None:
                failed.append((path, why))
                continue
            else:
                publish(path, _by_trace(trace, format, paths))
        except (IgavizError, OSError) as error:
            failed.append((path, str(error)))
        else:
            files.append(path)
    bonds = () if trace is None else trace.bonds
    return (
        ExportedMap(
            id=map.id,
            item=structure.name,
            files=tuple(files),
            residues=structure.n_residues,
            left_out=0 if trace is None else trace.left_out,
            rows_left_out=0 if trace is None else trace.rows_left_out,
            pairs=len(bonds),
            long_range=sum(bond.long_range for bond in bonds),
        ),
        failed,
    )


def _by_trace(trace: Trace, format: str, paths: Mapping[str, Path]) -> bytes:
    if format in SCRIPTS:
        return _SCRIPT[format](trace, paths["mmcif"].name)
    return _BY_TRACE[format](trace)


def _paths(namer: Namer, entry: LayerEntry, head: int, wanted: Wanted) -> dict[str, Path]:
    """Where the files of one map go, by format."""
    what = "attention"
    if wanted.queries is not None:
        what += f"_from_{_UNSAFE.sub('_', wanted.queries.text)}"
    path = namer.map(entry, head, what)
    return {name: path.with_suffix(f".{SUFFIXES[name]}") for name in _in_order(wanted.formats)}


_UNSAFE = re.compile(r"[^A-Za-z0-9-]+")


def _in_order(formats: Sequence[str]) -> Iterator[str]:
    """`formats` with what they need, before what needs it."""
    return iter(formats_of(",".join(formats)))
