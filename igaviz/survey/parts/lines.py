"""A part of a summary or diagnosis, measured apart from the others, on a machine of its own.

A part takes its share of the shards and measures all in them that may be chosen. Whoever joins
the parts (`join_parts`) goes on as if it had read the shards.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from igaviz._version import __version__
from igaviz.defaults import LOCAL_RADIUS
from igaviz.dump import Damage
from igaviz.dump.index import ShardIndex
from igaviz.dump.listing import Listing, list_paths
from igaviz.dump.run import describe
from igaviz.errors import DumpError, NothingReadableError
from igaviz.survey.arguments import check_radius
from igaviz.survey.kept import codec
from igaviz.survey.kept.cache import measuring_code
from igaviz.survey.measuring.layers import Progress, measure_tasks
from igaviz.survey.measuring.whole import whole
from igaviz.survey.parts.file import SCHEMA, Given, Heading, Indexed, Refused, Taken, sealed
from igaviz.survey.parts.part import Part
from igaviz.survey.plan import Choice, LayerTask
from igaviz.survey.work.opening import shard_indexes
from igaviz.survey.work.workers import Jobs, Workers


def part_lines(
    *paths: str | Path,
    part: Part,
    choice: Choice = Choice(),  # noqa: B008 (frozen)
    radius: float = LOCAL_RADIUS,
    jobs: Jobs = 1,
    opening: Progress | None = None,
    progress: Progress | None = None,
    report: Callable[[Damage], None] | None = None,
) -> Iterator[str]:
    """The lines of one part of a summary or diagnosis, streamed, for `join_parts`.

    The shards below each path are dealt out one by one, so that those that training adds while
    parts are measured change nothing for the others. Of its own the part measures the layers of
    which something may be chosen, with all their heads: `first` and `last`, and which phase is
    meant where none is named, only the whole dump tells, so all come in question. `opening` hears
    of shards that are opened, `progress` of maps measured, `report` of what is damaged. Raises
    `NothingReadableError`, before the first line, where there is no shard and no scalars file at
    all, whoever's it would be.
    """
    check_radius(radius)
    listing = list_paths(*paths)
    if not any(place.shards or place.scalars for place in listing.places):
        raise NothingReadableError([describe(piece) for piece in listing.damaged])
    workers = Workers.of(jobs)
    own = [
        (number, shard)
        for number, place in enumerate(listing.places)
        for position, shard in enumerate(place.shards)
        if part.has(number + position)
    ]
    found = []
    for index in shard_indexes([shard for _, shard in own], workers):
        found.append(index)
        if opening is not None:
            opening(len(found), len(own))
    shards = [
        _Share(number, shard, index, () if isinstance(index, DumpError) else _tasks(index, choice))
        for (number, shard), index in zip(own, found, strict=True)
    ]
    heading = _heading(listing, part, choice, radius)
    tell = report or _ignore
    for piece in listing.damaged:
        tell(piece)
    return sealed(_lines(heading, shards, workers, progress, tell))


def _ignore(_: Damage) -> None:
    """Where the caller asked for no report."""


@dataclass(frozen=True)
class _Share:
    """A shard of the part: its given path, its index or what is wrong with it, what to measure."""

    given: int
    path: Path
    index: ShardIndex | DumpError
    tasks: tuple[LayerTask, ...]


def _tasks(index: ShardIndex, choice: Choice) -> tuple[LayerTask, ...]:
    chosen = ((entry, choice.possible(entry)) for entry in index.entries)
    return tuple(whole(LayerTask(entry, heads) for entry, heads in chosen if heads))


def _heading(listing: Listing, part: Part, choice: Choice, radius: float) -> Heading:
    return Heading(
        schema=SCHEMA,
        part=part,
        igaviz=__version__,
        code=measuring_code(),
        folder=str(Path.cwd()),
        radius=radius,
        choice=choice.texts,
        given=tuple(
            Given(
                str(place.path),
                os.path.realpath(place.path),
                len(place.shards),
                tuple((str(path), rank) for path, rank in place.scalars),
            )
            for place in listing.places
        ),
        damaged=listing.damaged,
    )


def _lines(
    heading: Heading,
    shards: Sequence[_Share],
    workers: Workers,
    progress: Progress | None,
    report: Callable[[Damage], None],
) -> Iterator[str]:
    yield codec.dumps(heading)
    tasks = [task for share in shards for task in share.tasks]
    results = measure_tasks(tasks, radius=heading.radius, jobs=workers)
    total, done = sum(len(task.heads) for task in tasks), 0
    for share in shards:
        index = share.index
        if isinstance(index, DumpError):
            report(Damage(index.path, index.where, index.reason))
            refused = str(share.path), share.given, index.where, index.reason, index.hint
            yield codec.dumps(Refused(*refused))
            continue
        for piece in index.damaged:
            report(piece)
        groups = tuple(task.entry.group for task in share.tasks)
        yield codec.dumps(Indexed(index, share.given, groups))
        for task in share.tasks:
            _, measured = next(results)
            for piece in measured.damaged:
                report(piece)
            yield codec.dumps(Taken(replace(measured, not_kept="")))
            done += len(task.heads)
            if progress is not None:
                progress(done, total)
