"""The scalars of one phase and rank as one time line, read a few steps at a time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np

from igaviz.dump.data import Damage, Integers
from igaviz.dump.restarts import Restarts
from igaviz.dump.scalar_index import MAX_NAMED, ScalarIndex
from igaviz.dump.scalars import MAX_LINE, ScalarLine, parse_line
from igaviz.errors import DumpError

Report = Callable[[Damage], None]

_BLOCKS_AT_ONCE = 32
"""Steps read for each time that a file is opened: the lines that are held at once."""

_STEP, _FILE, _OFFSET, _NUMBER, _LINES = range(5)


@dataclass(frozen=True, eq=False)
class ScalarTrack:
    """The lines of one phase and rank that no later attempt superseded; none of them is held.

    `heads` holds the recorded heads by layer. `_blocks` is [K, 5] int64, ascending in step: the
    step, the position in `_paths`, the offset and the number of the first line, how many lines.
    """

    phase: str
    rank: int
    heads: Mapping[int, frozenset[int]]
    _paths: tuple[str, ...] = field(repr=False)
    _blocks: Integers = field(repr=False)

    @cached_property
    def steps(self) -> Integers:
        """The steps with lines, ascending, each once."""
        steps = self._blocks[:, _STEP]
        return steps[np.diff(steps, prepend=steps[:1] - 1) > 0]

    @property
    def layers(self) -> tuple[int, ...]:
        """The numbers of the layers, ascending."""
        return tuple(sorted(self.heads))

    def lines(
        self, steps: Container[int] | None = None, report: Report | None = None
    ) -> Iterator[ScalarLine]:
        """The lines of `steps` (None: of all) in time order, streamed.

        Lines that don't fit, and a second one of the same step and layer, are skipped and handed
        to `report`, and so is what is left out of a line: ten of each file, and how many more.
        """
        tell = _Tally(report)
        seen: set[int] = set()
        last: int | None = None
        for number, raw, block in self._raw_lines(steps):
            step = int(block[_STEP])
            line = parse_line(raw, self.rank)
            path = self._paths[block[_FILE]]
            if step != last:
                seen.clear()
                last = step
            if isinstance(line, str):
                reason = line
            elif (line.phase, line.step) != (self.phase, step):
                reason = "changed since the dump was opened"
            elif line.layer in seen:
                reason = "the same step and layer as a line before it"
            else:
                seen.add(line.layer)
                if line.unread:
                    tell.add(path, number, f"{line.unread}; the rest of the line is read")
                yield line
                continue
            tell.add(path, number, reason)
        tell.rest()

    def _raw_lines(
        self, steps: Container[int] | None
    ) -> Iterator[tuple[int, bytes, Sequence[int]]]:
        """(number, line, block) of each line; files are open only while some blocks are read."""
        for start in range(0, len(self._blocks), _BLOCKS_AT_ONCE):
            blocks = self._blocks[start : start + _BLOCKS_AT_ONCE].tolist()
            chosen = [block for block in blocks if steps is None or block[_STEP] in steps]
            yield from self._read_blocks(chosen)

    def _read_blocks(
        self, blocks: Sequence[Sequence[int]]
    ) -> list[tuple[int, bytes, Sequence[int]]]:
        found: dict[int, list[tuple[int, bytes, Sequence[int]]]] = {}
        for position in {block[_FILE] for block in blocks}:
            with _opened(self._paths[position]) as stream:
                for place, block in enumerate(blocks):
                    if block[_FILE] == position:
                        stream.seek(block[_OFFSET])
                        found[place] = [
                            (block[_NUMBER] + i, stream.readline(MAX_LINE), block)
                            for i in range(block[_LINES])
                        ]
        return list(chain.from_iterable(found[place] for place in range(len(blocks))))


class _Tally:
    """Lines that are skipped, all or in part: of each file some are named, the others counted."""

    def __init__(self, report: Report | None) -> None:
        self.report = report
        self.counts: Counter[str] = Counter()

    def add(self, path: str, number: int, reason: str) -> None:
        """Line `number` of the file at `path` is skipped, or a part of it."""
        self.counts[path] += 1
        if self.report is not None and self.counts[path] <= MAX_NAMED:
            self.report(Damage(path, f"line {number}", reason))

    def rest(self) -> None:
        """Say how many were not named."""
        for path, count in self.counts.items():
            if self.report is not None and count > MAX_NAMED:
                self.report(Damage(path, "", f"{count - MAX_NAMED:,} more lines like these"))


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    try:
        with Path(path).open("rb") as stream:
            yield stream
    except OSError as error:
        reason = f"can't be read any more ({error.strerror})"
        raise DumpError(reason, path=path) from error


def scalar_tracks(scalars: Sequence[ScalarIndex], restarts: Restarts) -> tuple[ScalarTrack, ...]:
    """The time lines in some scalars files of one run, by phase and rank."""
    blocks: dict[tuple[str, int], list[Integers]] = defaultdict(list)
    heads: dict[tuple[str, int], dict[int, frozenset[int]]] = defaultdict(dict)
    for position, index in enumerate(scalars):
        for (phase, attempt), found in index.blocks.items():
            end = restarts.end((phase, index.rank), attempt)
            kept = found if end is None else found[found[:, 0] < end]
            blocks[phase, index.rank].append(np.insert(kept, 1, position, axis=1))
        for phase, layers in index.heads.items():
            known = heads[phase, index.rank]
            for layer, numbers in layers.items():
                known[layer] = known.get(layer, frozenset()) | numbers
    tracks = []
    for (phase, rank), parts in sorted(blocks.items()):
        rows = np.concatenate(parts)
        ordered = rows[np.lexsort((rows[:, _OFFSET], rows[:, _FILE], rows[:, _STEP]))]
        paths = tuple(str(index.path) for index in scalars)
        if len(ordered):
            tracks.append(ScalarTrack(phase, rank, heads[phase, rank], paths, ordered))
    return tuple(tracks)
