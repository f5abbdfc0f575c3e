"""A file that is whole or not there: written aside, then brought to its place in one move.

Shards and merged files have ways of their own (`dump.write`, `dump.merged`): they follow no link
that was planted, and are on the disk before they are in their place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from igaviz.format import temporary_name


def unfinished(path: Path) -> Path:
    """Where the file `path` is while it is written: what a killed process leaves behind."""
    return path.with_name(temporary_name(path.name))


@contextmanager
def written_aside(path: Path, aside: Path | None = None) -> Iterator[Path]:
    """The place to write what stands at `path` afterwards; nothing is left there of a failure.

    It is `unfinished(path)`, or `aside` where several processes may write the file at once. Raises
    `OSError` where the file can't be moved.
    """
    place = unfinished(path) if aside is None else aside
    try:
        yield place
        place.replace(path)
    finally:
        with suppress(OSError):  # the folder is gone, or not ours
            place.unlink(missing_ok=True)
