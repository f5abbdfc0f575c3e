"""Many shards as runs: one time line each, what is in it, and what is damaged."""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, groupby
from pathlib import Path

from igaviz.dump.data import Damage, LayerEntry
from igaviz.dump.index import ShardIndex, try_to_index
from igaviz.dump.restarts import Restarts, Superseded
from igaviz.dump.run_file import Ended, recordings_that_ended
from igaviz.dump.scalar_index import ScalarIndex, index_scalars
from igaviz.dump.scalars import ScalarLine
from igaviz.dump.track import ScalarTrack, scalar_tracks
from igaviz.errors import DumpError, NothingReadableError
from igaviz.format import SHARD_SUFFIX, LayerId, parse_scalars_name

_FOLDERS_NAMED = 4
"""Folders that a hint names."""

Progress = Callable[[int, int], None]
"""Called with (done, total) while shards are opened."""


@dataclass(frozen=True)
class Run:
    """One training run as one clean time line.

    `entries` are in the order run, phase, step, rank, batch item, layer. `scalars` are the lines
    of the scalars files by phase and rank, and `scalar_damage` what can be seen to be wrong with
    them without reading their numbers. `superseded` says what restarts left out, `ended` which
    recordings ended before their training.
    """

    name: str
    run_id: str | None
    shards: tuple[str, ...]
    entries: tuple[LayerEntry, ...]
    scalars: tuple[ScalarTrack, ...]
    scalar_damage: tuple[Damage, ...]
    attempts: tuple[int, ...]
    superseded: tuple[Superseded, ...]
    n_bytes: int
    created: str | None
    creator: str | None
    ended: tuple[Ended, ...] = ()

    def scalar_lines(
        self,
        phase: str,
        steps: Container[int] | None = None,
        report: Callable[[Damage], None] | None = None,
    ) -> Iterator[ScalarLine]:
        """The lines of one phase in the order of step, layer, rank, streamed.

        Those of one step are held at a time; `steps` None takes all. Lines that no reader can
        use are skipped and handed to `report`.
        """
        tracks = [track for track in self.scalars if track.phase == phase]
        merged = heapq.merge(
            *(track.lines(steps, report) for track in tracks), key=lambda line: line.step
        )
        for _, lines in groupby(merged, key=lambda line: line.step):
            yield from sorted(lines, key=lambda line: (line.layer, line.rank))


@dataclass(frozen=True)
class Dump:
    """All that was given: its runs, what is damaged in it, and what to warn about."""

    runs: tuple[Run, ...]
    damaged: tuple[Damage, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def entries(self) -> tuple[LayerEntry, ...]:
        """The entries of all runs, run by run, each in time order."""
        return tuple(chain.from_iterable(run.entries for run in self.runs))

    @property
    def steps(self) -> tuple[int, ...]:
        """The steps with maps, ascending."""
        return tuple(sorted({entry.id.step for entry in self.entries}))

    @property
    def layers(self) -> tuple[int, ...]:
        """The numbers of the recorded layers, ascending."""
        return tuple(sorted({entry.id.layer for entry in self.entries}))

    @property
    def heads(self) -> tuple[int, ...]:
        """The model's numbers of the recorded heads, ascending."""
        return tuple(sorted({head for entry in self.entries for head in entry.heads}))

    @property
    def items(self) -> tuple[int, ...]:
        """The positions of the recorded batch items, ascending."""
        return tuple(sorted({entry.id.batch for entry in self.entries}))


@dataclass(frozen=True)
class Place:
    """One given path: the shards and the scalars files (with their ranks) below it, by name."""

    path: Path
    shards: tuple[Path, ...]
    scalars: tuple[tuple[Path, int], ...] = ()
    ended: tuple[Ended, ...] = ()


@dataclass(frozen=True)
class Listing:
    """What lies at the given paths; nothing of it is opened yet."""

    places: tuple[Place, ...]
    damaged: tuple[Damage, ...]


@dataclass
class _Source:
    """One given path: what was read of the shards and scalars files below it."""

    path: Path
    scalars: tuple[ScalarIndex, ...]
    ended: tuple[Ended, ...]
    indexes: list[ShardIndex] = field(default_factory=list)

    @property
    def run_ids(self) -> set[str]:
        return {index.run_id for index in self.indexes if index.run_id}


def _one_by_one(shards: Sequence[Path]) -> Iterator[ShardIndex | DumpError]:
    return map(try_to_index, shards)


def open_dump(*paths: str | Path, progress: Progress | None = None) -> Dump:
    """What is in the given shards and folders of shards, as runs; no map is read yet.

    A folder is one run (not recursive); paths that share a `run_id` are one run. What can't be
    read is in `damaged`. Raises `NothingReadableError` where no shard and no scalars file can be.
    """
    return open_listing(list_paths(*paths), progress=progress)


def open_listing(
    listing: Listing,
    *,
    indexes: Callable[[Sequence[Path]], Iterable[ShardIndex | DumpError]] = _one_by_one,
    scalars: Callable[[Path, int], ScalarIndex] = index_scalars,
    progress: Progress | None = None,
) -> Dump:
    """As `open_dump`; `indexes` gives those of shards in their order, `scalars` of such a file."""
    sources: list[_Source] = []
    damaged = list(listing.damaged)
    warnings: list[str] = []
    shards = [shard for place in listing.places for shard in place.shards]
    done = 0
    found = iter(indexes(shards))
    for place in listing.places:
        source = _Source(
            place.path, tuple(scalars(file, rank) for file, rank in place.scalars), place.ended
        )
        for _ in place.shards:
            index = next(found)
            if isinstance(index, DumpError):
                damaged.append(Damage(index.path, index.where, _with_hint(index)))
            else:
                source.indexes.append(index)
                damaged.extend(index.damaged)
                warnings.extend(index.warnings)
            done += 1
            if progress is not None:
                progress(done, len(shards))
        if source.indexes or source.scalars:
            sources.append(source)
    runs = _assemble(sources, damaged)
    unread = [*damaged, *chain.from_iterable(run.scalar_damage for run in runs)]
    if unread and not any(run.entries or run.scalars for run in runs):
        hint = _runs_below(place.path for place in listing.places)
        raise NothingReadableError([describe(piece) for piece in unread], hint=hint)
    return Dump(tuple(runs), tuple(damaged), tuple(warnings))


def list_paths(*paths: str | Path) -> Listing:
    """What lies at the paths, each real place once; folders are not searched recursively."""
    damaged: list[Damage] = []
    places = tuple(_list_place(path, damaged) for path in _distinct(paths))
    return Listing(places, tuple(damaged))


def describe(piece: Damage) -> str:
    """One line that names a damaged piece and says what is wrong with it."""
    return (
        f"{piece.path}:{piece.where}: {piece.reason}"
        if piece.where
        else (f"{piece.path}: {piece.reason}")
    )


def _with_hint(error: DumpError) -> str:
    return f"{error.reason}; {error.hint}" if error.hint else error.reason


def _distinct(paths: Iterable[str | Path]) -> list[Path]:
    """The given paths, each real place once."""
    found = {os.path.realpath(path): Path(path) for path in reversed(tuple(paths))}
    return list(reversed(found.values()))


def _list_place(path: Path, damaged: list[Damage]) -> Place:
    if not path.is_dir():
        return Place(path, (path,))
    try:
        names = sorted(entry.name for entry in os.scandir(path))
    except OSError as error:
        damaged.append(Damage(str(path), "", f"the folder can't be read ({error.strerror})"))
        return Place(path, ())
    ranks = [(path / name, parse_scalars_name(name)) for name in names]
    place = Place(
        path,
        tuple(path / name for name in names if _is_shard(name)),
        tuple((file, rank) for file, rank in ranks if rank is not None and file.is_file()),
        recordings_that_ended(path),
    )
    if not place.shards and not place.scalars:
        why = "".join(f"; its recording ended: {ended.reason}" for ended in place.ended[-1:])
        damaged.append(Damage(str(path), "", f"no shard (.h5) in this folder{why}"))
    return place


def _runs_below(paths: Iterable[Path]) -> str | None:
    """A hint that names the folders with shards one level below the given ones, if there are."""
    found = [
        below.path
        for path in paths
        if path.is_dir()
        for below in sorted(_entries_of(path), key=lambda entry: entry.name)
        if below.is_dir() and any(_is_shard(entry.name) for entry in _entries_of(below.path))
    ]
    if not found:
        return None
    named = " ".join(found[:_FOLDERS_NAMED])
    more = len(found) - _FOLDERS_NAMED
    others = f" and {more} more" if more > 0 else ""
    return f"a folder is one run; name those below it: {named}{others}"


def _entries_of(folder: str | Path) -> list[os.DirEntry[str]]:
    try:
        return list(os.scandir(folder))
    except OSError:
        return []  # a folder that can't be read has nothing to name


def _is_shard(name: str) -> bool:
    return name.endswith(SHARD_SUFFIX) and not name.startswith(".")


def _assemble(sources: Sequence[_Source], damaged: list[Damage]) -> list[Run]:
    groups: list[list[_Source]] = []
    for source in sources:
        same = [group for group in groups if any(source.run_ids & s.run_ids for s in group)]
        merged = [*chain.from_iterable(same), source]
        groups = [group for group in groups if group not in same] + [merged]
    names = _unique_names([_common_path(group) for group in groups])
    return [_one_run(name, group, damaged) for name, group in zip(names, groups, strict=True)]


def _common_path(group: Sequence[_Source]) -> Path:
    paths = {Path(os.path.realpath(source.path)) for source in group}
    if len(paths) == 1:
        return paths.pop()
    return Path(os.path.commonpath(paths))


def _unique_names(paths: Sequence[Path]) -> list[str]:
    """The last part of each path, with as many parts before it as it takes to differ."""
    names = [path.name or str(path) for path in paths]
    depth = 1
    while len(set(names)) < len(names) and depth < max(len(path.parts) for path in paths):
        depth += 1
        names = [
            "/".join(path.parts[-depth:]).lstrip("/") if names.count(name) > 1 else name
            for name, path in zip(names, paths, strict=True)
        ]
    return [
        "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in n) for n in names
    ]


def _one_run(name: str, group: Sequence[_Source], damaged: list[Damage]) -> Run:
    indexes = [index for source in group for index in source.indexes]
    scalars = [index for source in group for index in source.scalars]
    entries = [entry for index in indexes for entry in index.entries]
    restarts = Restarts.of(entries, scalars)
    kept = [
        replace(entry, id=entry.id._replace(run=name)) for entry in entries if restarts.keeps(entry)
    ]
    kept = _without_repeats(sorted(kept, key=lambda entry: (entry.id, entry.path)), damaged)
    return Run(
        name=name,
        run_id=next((index.run_id for index in indexes if index.run_id), None),
        shards=tuple(str(index.path) for index in indexes),
        entries=tuple(kept),
        scalars=scalar_tracks(scalars, restarts),
        scalar_damage=tuple(piece for index in scalars for piece in index.damaged),
        attempts=restarts.attempts,
        superseded=restarts.superseded(entries, scalars),
        n_bytes=sum(i.n_bytes for i in indexes) + sum(i.n_bytes for i in scalars),
        created=min((index.created for index in indexes if index.created), default=None),
        creator=next((index.creator for index in indexes if index.creator), None),
        ended=tuple(ended for source in group for ended in source.ended),
    )


def _without_repeats(entries: Sequence[LayerEntry], damaged: list[Damage]) -> list[LayerEntry]:
    """Each identity once; a second record of it is named as damage."""
    seen: dict[LayerId, LayerEntry] = {}
    for entry in entries:
        other = seen.setdefault(entry.id, entry)
        if other is not entry:
            reason = f"the same maps as in {other.path}:{other.group}; skipped"
            damaged.append(Damage(entry.path, entry.group, reason))
    return list(seen.values())
