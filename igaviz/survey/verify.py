"""Is a dump whole: the data behind `igaviz verify`."""

from __future__ import annotations

from dataclasses import dataclass

from igaviz.dump import Damage

INVARIANTS = ("D001", "D002", "D003")
"""The checks that hold for every whole record of an attention, sick or not."""


@dataclass(frozen=True)
class Problem:
    """A map that reads, and breaks an invariant: non-finite, rows, or replay."""

    path: str
    where: str
    check: str
    reason: str


@dataclass(frozen=True)
class Verification:
    """What `verify` looked at, what of it is damaged, and which maps break an invariant."""

    shards: int
    maps: int
    damaged: tuple[Damage, ...]
    problems: tuple[Problem, ...]

    @property
    def whole(self) -> bool:
        """Whether nothing was found."""
        return not self.damaged and not self.problems
