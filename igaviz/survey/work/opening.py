"""Dumps opened by the workers that a verb has, from what is known already where there is any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from igaviz.dump import Dump
from igaviz.dump.index import ShardIndex, try_to_index
from igaviz.dump.listing import list_paths
from igaviz.dump.run import Progress, open_listing
from igaviz.errors import DumpError
from igaviz.survey.work.workers import Jobs, Workers, run_tasks

_SECONDS = 0.02
"""What the index of a shard of a few layers takes."""


def open_by(*paths: str | Path, jobs: Jobs = 1, progress: Progress | None = None) -> Dump:
    """As `open_dump`, the shards shared out among workers; the cache spares those it knows.

    A shard that takes a worker with it is damaged.
    """
    workers = Workers.of(jobs)
    return open_listing(
        list_paths(*paths), indexes=partial(shard_indexes, workers=workers), progress=progress
    )


def shard_indexes(shards: Sequence[Path], workers: Workers) -> Iterator[ShardIndex | DumpError]:
    """The index of each shard in order, or why there is none."""
    cache = workers.cache
    known = [cache is not None and cache.has_index(shard) for shard in shards]
    missing = [shard for shard, there in zip(shards, known, strict=True) if not there]
    index = partial(_index, folder=workers.folder)
    read = run_tasks(index, missing, workers, seconds=_SECONDS * len(missing))
    for shard, there in zip(shards, known, strict=True):
        kept = cache.index(shard) if cache is not None and there else None
        if kept is not None:
            yield kept
            continue
        found = try_to_index(shard) if there else next(read).result
        if cache is not None and isinstance(found, ShardIndex):
            cache.keep_index(found)
        yield found or DumpError("the process that read it died", path=str(shard))


def _index(shard: Path, folder: str) -> ShardIndex | DumpError:
    """The index, under the path that the shard has where the verb was called."""
    found = try_to_index(Path(folder, shard))
    if isinstance(found, ShardIndex):
        return found.at(shard)
    return DumpError(found.reason, path=str(shard), where=found.where, hint=found.hint)
