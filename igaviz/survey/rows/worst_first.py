"""Rows in another order than they come in, without holding them all."""

from __future__ import annotations

import heapq
import pickle
from collections.abc import Iterable, Iterator
from tempfile import TemporaryFile
from typing import IO

from igaviz.survey.rows.row import Row, badness_of

_AT_ONCE = 2000
"""Rows that are sorted in memory."""


def worst_first(rows: Iterable[Row], at_once: int = _AT_ONCE) -> Iterator[Row]:
    """`rows` with the worst first, those without a verdict last; equals in the order they came.

    `at_once` of them are sorted in memory. Where there are more, sorted stretches wait in a
    temporary file of this process, and one row of each is held.
    """
    held: list[Row] = []
    with TemporaryFile() as file:
        starts: list[int] = []
        for row in rows:
            held.append(row)
            if len(held) == at_once:
                starts.append(_put(held, file))
                held.clear()
        stretches = [_taken(file, start, at_once) for start in starts]
        yield from heapq.merge(*stretches, sorted(held, key=_key), key=_key)


def _key(row: Row) -> tuple[float, ...]:
    return tuple(-part for part in badness_of(row))


def _put(rows: list[Row], file: IO[bytes]) -> int:
    start = file.seek(0, 2)
    for row in sorted(rows, key=_key):
        pickle.dump(row, file)
    return start


def _taken(file: IO[bytes], place: int, count: int) -> Iterator[Row]:
    for _ in range(count):
        file.seek(place)
        row: Row = pickle.load(file)  # written by `_put`, into a file that no one else can open
        place = file.tell()
        yield row
