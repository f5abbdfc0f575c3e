"""Many shards as runs: one time line each, what is in it, and what is damaged."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, groupby, starmap
from pathlib import Path

from igaviz.dump.data import Damage, LayerEntry
from igaviz.dump.index import ShardIndex, try_to_index
from igaviz.dump.listing import Listing, list_paths, where_to_look
from igaviz.dump.repeats import first_lines, first_records, repeat
from igaviz.dump.restarts import Restarts, Superseded
from igaviz.dump.run_file import Ended
from igaviz.dump.run_names import called_after, unique_names
from igaviz.dump.scalar_index import ScalarIndex, index_scalars
from igaviz.dump.scalars import ScalarLine
from igaviz.dump.track import ScalarTrack, scalar_tracks
from igaviz.errors import DumpError, NothingReadableError

Progress = Callable[[int, int], None]
"""Called with (done, total) while shards are opened."""


_NAMED = 4
"""Runs that the text of a dump names."""


@dataclass(frozen=True)
class Run:
    """One training run as one clean time line.

    `entries` are in the order run, phase, step, rank, batch item, layer. `scalars` are the lines
    of the scalars files by phase and rank, and `scalar_damage` what can be seen to be wrong with
    them without reading their numbers. `superseded` says what restarts left out, `ended` which
    recordings ended before their training, `path` is the place that the run is called after.
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
    path: Path = Path()

    def __repr__(self) -> str:
        """Its name and how much is in it: all of it is pages long."""
        steps = len({entry.id.step for entry in self.entries})
        maps = sum(len(entry.heads) for entry in self.entries)
        return f"<Run {self.name}: {maps} maps at {steps} steps>"

    def called(self, name: str) -> Run:
        """The run under another name."""
        if name == self.name:
            return self
        entries = (replace(entry, id=entry.id._replace(run=name)) for entry in self.entries)
        return replace(self, name=name, entries=tuple(entries))

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

    def __repr__(self) -> str:
        """Its first runs, and how many pieces are damaged."""
        more = len(self.runs) - _NAMED
        runs = [*map(repr, self.runs[:_NAMED]), *([f"and {more} more"] if more > 0 else [])]
        damaged = f"; {len(self.damaged)} damaged pieces" if self.damaged else ""
        return f"<Dump: {', '.join(runs) or 'no run'}{damaged}>"

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


@dataclass
class _Source:
    """One given path: what was read of the shards and scalars files below it."""

    path: Path
    scalars: tuple[ScalarIndex, ...]
    ended: tuple[Ended, ...]
    indexes: list[ShardIndex] = field(default_factory=list)

    @property
    def entries(self) -> Iterator[LayerEntry]:
        return chain.from_iterable(index.entries for index in self.indexes)

    @property
    def run_ids(self) -> set[str]:
        return {index.run_id for index in self.indexes if index.run_id}


def _one_by_one(shards: Sequence[Path]) -> Iterator[ShardIndex | DumpError]:
    return map(try_to_index, shards)


def open_dump(*paths: str | Path, progress: Progress | None = None) -> Dump:
    """What is in the given shards and folders of shards, as runs; no map is read yet.

    A folder is one run (not recursive); paths that share a `run_id` are one run. What can't be
    read is in `damaged`. Raises `NothingReadableError` where no shard and no scalars file can be,
    `UsageError` for what is no path.
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
    warnings: dict[str, list[Path]] = {}
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
                for warning in index.warnings:
                    text = warning.removeprefix(f"{index.path}: ")
                    warnings.setdefault(text, []).append(index.path)
            done += 1
            if progress is not None:
                progress(done, len(shards))
        if source.indexes or source.scalars:
            sources.append(source)
    runs = _assemble(sources, damaged)
    unread = [*damaged, *chain.from_iterable(run.scalar_damage for run in runs)]
    if unread and not any(run.entries or run.scalars for run in runs):
        # Where a recording ended, its folder is the right one.
        elsewhere = [place for place in listing.places if not place.shards and not place.ended]
        hint = where_to_look([place.path for place in elsewhere])
        raise NothingReadableError([describe(piece) for piece in unread], hint=hint)
    return Dump(tuple(runs), tuple(damaged), tuple(starmap(_warning, warnings.items())))


def _warning(text: str, shards: Sequence[Path]) -> str:
    """What is said once of all `shards` that it is true of."""
    more = len(shards) - 1
    others = f" and {more:,} more shard{'' if more == 1 else 's'}" if more else ""
    return f"{shards[0]}{others}: {text}"


def named_apart(*dumps: Dump) -> tuple[Dump, ...]:
    """The dumps, their runs called so that those of different places have different names."""
    paths = list(dict.fromkeys(run.path for dump in dumps for run in dump.runs))
    names = dict(zip(paths, unique_names(paths), strict=True))
    return tuple(
        replace(dump, runs=tuple(run.called(names[run.path]) for run in dump.runs))
        for dump in dumps
    )


def describe(piece: Damage) -> str:
    """One line that names a damaged piece and says what is wrong with it."""
    return (
        f"{piece.path}:{piece.where}: {piece.reason}"
        if piece.where
        else (f"{piece.path}: {piece.reason}")
    )


def _with_hint(error: DumpError) -> str:
    return f"{error.reason}; {error.hint}" if error.hint else error.reason


def _assemble(sources: Sequence[_Source], damaged: list[Damage]) -> list[Run]:
    groups: list[list[_Source]] = []
    for source in sources:
        same = [group for group in groups if any(source.run_ids & s.run_ids for s in group)]
        merged = [*chain.from_iterable(same), source]
        groups = [group for group in groups if group not in same] + [merged]
    paths = [
        called_after(
            [source.path for source in group],
            repeated=len(group) > 1 and repeat(source.entries for source in group),
        )
        for group in groups
    ]
    return [
        _one_run(name, path, group, damaged)
        for name, path, group in zip(unique_names(paths), paths, groups, strict=True)
    ]


def _one_run(name: str, path: Path, group: Sequence[_Source], damaged: list[Damage]) -> Run:
    indexes = [index for source in group for index in source.indexes]
    of_lines: list[Damage] = []
    scalars = first_lines([index for source in group for index in source.scalars], of_lines)
    entries = [entry for index in indexes for entry in index.entries]
    restarts = Restarts.of(entries, scalars)
    kept = [
        replace(entry, id=entry.id._replace(run=name)) for entry in entries if restarts.keeps(entry)
    ]
    ordered = sorted(kept, key=lambda entry: entry.id)  # of equal ones the first given first
    return Run(
        name=name,
        run_id=next((index.run_id for index in indexes if index.run_id), None),
        shards=tuple(str(index.path) for index in indexes),
        entries=first_records(ordered, damaged),
        scalars=scalar_tracks(scalars, restarts),
        scalar_damage=(*of_lines, *(piece for index in scalars for piece in index.damaged)),
        attempts=restarts.attempts,
        superseded=restarts.superseded(entries, scalars),
        n_bytes=sum(i.n_bytes for i in indexes) + sum(i.n_bytes for i in scalars),
        created=min((index.created for index in indexes if index.created), default=None),
        creator=next((index.creator for index in indexes if index.creator), None),
        ended=tuple(ended for source in group for ended in source.ended),
        path=path,
    )
