"""What earlier attempts left in a folder: their numbers, their provenance, their bytes."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from igaviz.format import parse_shard_name, run_json_name, scalars_name

_log = logging.getLogger(__name__)
_TAIL_BYTES = 1 << 20


def highest_attempt(folder: Path, rank: int) -> int:
    """The highest attempt of this rank that left a trace in `folder`, -1 where none did."""
    found = [-1]
    found += [shard.attempt for path in folder.iterdir() if (shard := _shard_of(path, rank))]
    found += [_attempt_of(entry) for entry in read_run_file(folder, rank)["attempts"]]
    found += [_attempt_of(line) for line in _last_lines(folder / scalars_name(rank))]
    return max(found)


def read_run_file(folder: Path, rank: int) -> dict[str, Any]:
    """What the run file of this rank holds; with no attempts where there is none to be read."""
    path = folder / run_json_name(rank)
    content: Any = {}
    if path.exists():
        try:
            content = json.loads(path.read_bytes())
        except (ValueError, RecursionError) as error:
            _log.warning("igaviz: %s can't be read and is written anew (%s)", path, error)
    content = content if isinstance(content, dict) else {}
    attempts = content.get("attempts")
    return {**content, "attempts": attempts if isinstance(attempts, list) else []}


def bytes_recorded(folder: Path, rank: int) -> int:
    """The bytes of this rank's shards and scalars in `folder`."""
    return sum(
        path.stat().st_size
        for path in folder.iterdir()
        if path.name == scalars_name(rank) or _shard_of(path, rank)
    )


def end_torn_line(path: Path) -> None:
    """Give the last line of a scalars file its end, where its writer was stopped within it."""
    if not path.exists() or path.stat().st_size == 0:
        return
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")


def _shard_of(path: Path, rank: int) -> Any:  # noqa: ANN401
    shard = parse_shard_name(path.name)
    return shard if shard is not None and shard.rank == rank else None


def _attempt_of(entry: Any) -> int:  # noqa: ANN401 (anything JSON holds)
    attempt = entry.get("attempt") if isinstance(entry, dict) else None
    return attempt if isinstance(attempt, int) and attempt >= 0 else -1


def _last_lines(path: Path) -> Iterator[Any]:
    """The whole lines at the end of a scalars file: the latest attempt wrote last."""
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        for line in file.read().split(b"\n"):
            try:
                yield json.loads(line)
            except (ValueError, RecursionError):
                continue  # cut by the tail's start, or torn
