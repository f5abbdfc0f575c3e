"""The index of a scalars file: where its lines stand, so that they are read when they are due."""

from __future__ import annotations

from array import array
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from igaviz.dump.data import Damage
from igaviz.dump.scalars import MAX_LINE, line_head

MAX_NAMED = 10
"""Damaged lines of one file are named up to here; the others are counted."""


Blocks = npt.NDArray[np.int64]
"""[K, 4]: neighbouring lines of one step. The step, the offset in bytes and the number of the
first line, and how many lines there are."""


@dataclass
class ScalarIndex:
    """Where the lines of one scalars file stand: a few numbers per step, none of the lines'.

    `blocks` go by (phase, attempt), in the order of the file; `heads` by phase and layer.
    `damaged` names the lines that can be seen to be none.
    """

    path: Path
    rank: int
    n_bytes: int = 0
    blocks: dict[tuple[str, int], Blocks] = field(default_factory=dict)
    heads: dict[str, dict[int, frozenset[int]]] = field(default_factory=dict)
    damaged: list[Damage] = field(default_factory=list)


def index_scalars(path: Path, rank: int) -> ScalarIndex:
    """The index of the scalars file at `path`, in one quick pass.

    A torn last line is dropped silently (its writer was stopped).
    """
    index = ScalarIndex(path, rank)
    try:
        index.n_bytes = path.stat().st_size
        with path.open("rb") as stream:
            _Pass(index).over(stream)
    except OSError as error:
        index.damaged.append(Damage(str(path), "", f"can't be read ({error.strerror})"))
    return index


class _Pass:
    """One pass over a scalars file, which fills its index."""

    def __init__(self, index: ScalarIndex) -> None:
        self.index = index
        self.rows: dict[tuple[str, int], array[int]] = defaultdict(lambda: array("q"))
        self.last: tuple[str, int, int] | None = None
        self.more_damaged = 0

    def over(self, stream: BinaryIO) -> None:
        offset = number = 0
        while raw := stream.readline(MAX_LINE):
            number += 1
            if not raw.endswith(b"\n"):
                if len(raw) == MAX_LINE:
                    self._damage(number, "longer than 1 MiB; the rest is not read")
                break
            self._line(raw, offset, number)
            offset += len(raw)
        if self.more_damaged:
            reason = f"{self.more_damaged:,} more damaged lines"
            self.index.damaged.append(Damage(str(self.index.path), "", reason))
        for key, row in self.rows.items():
            self.index.blocks[key] = np.array(row, dtype=np.int64).reshape(-1, 4)

    def _line(self, raw: bytes, offset: int, number: int) -> None:
        if raw == b"\n":
            self.last = None
            return
        head = line_head(raw)
        if isinstance(head, str):
            self.last = None
            self._damage(number, head)
            return
        row = self.rows[head.phase, head.attempt]
        here = head.phase, head.attempt, head.step
        if here == self.last:
            row[-1] += 1
        else:
            row.extend((head.step, offset, number, 1))
            self.last = here
        heads = self.index.heads.setdefault(head.phase, {})
        known = heads.get(head.layer, frozenset())
        if not known.issuperset(head.heads):
            heads[head.layer] = known | frozenset(head.heads)

    def _damage(self, number: int, reason: str) -> None:
        if len(self.index.damaged) < MAX_NAMED:
            self.index.damaged.append(Damage(str(self.index.path), f"line {number}", reason))
        else:
            self.more_damaged += 1
