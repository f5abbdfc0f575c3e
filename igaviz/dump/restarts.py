"""Restarted trainings as one clean time line: what a later attempt supersedes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from igaviz.dump.data import LayerEntry
from igaviz.dump.scalar_index import ScalarIndex

Track = tuple[str, int]
"""(phase, rank): what restarts are judged by."""


@dataclass(frozen=True)
class Superseded:
    """What readers leave out: an earlier attempt's records from the restart on."""

    phase: str
    rank: int
    attempt: int
    from_step: int
    maps: int
    scalar_lines: int


@dataclass(frozen=True)
class Restarts:
    """The first step of each attempt, by (phase, rank)."""

    first_steps: Mapping[Track, Mapping[int, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Iterable[LayerEntry], scalars: Iterable[ScalarIndex]) -> Restarts:
        """The restarts that the recorded maps and lines tell of."""
        first: dict[Track, dict[int, int]] = {}
        for track, attempt, step in _starts(entries, scalars):
            attempts = first.setdefault(track, {})
            attempts[attempt] = min(step, attempts.get(attempt, step))
        return cls(first)

    @property
    def attempts(self) -> tuple[int, ...]:
        """The numbers of all attempts, ascending."""
        return tuple(sorted({a for firsts in self.first_steps.values() for a in firsts}))

    def end(self, track: Track, attempt: int) -> int | None:
        """The step from which on later attempts took over, None where there is none."""
        attempts = self.first_steps.get(track, {})
        return min((first for other, first in attempts.items() if other > attempt), default=None)

    def keeps(self, entry: LayerEntry) -> bool:
        """Whether no later attempt began at or before the entry's step."""
        end = self.end((entry.id.phase, entry.id.rank), entry.attempt)
        return end is None or entry.id.step < end

    def superseded(
        self, entries: Sequence[LayerEntry], scalars: Sequence[ScalarIndex]
    ) -> tuple[Superseded, ...]:
        """What is left out, by phase, rank and attempt."""
        found = []
        for (phase, rank), attempts in sorted(self.first_steps.items()):
            for attempt in sorted(attempts):
                end = self.end((phase, rank), attempt)
                if end is None:
                    continue
                maps = sum(
                    len(entry.heads)
                    for entry in entries
                    if (entry.id.phase, entry.id.rank, entry.attempt) == (phase, rank, attempt)
                    and entry.id.step >= end
                )
                lines = sum(
                    int(blocks[blocks[:, 0] >= end, 3].sum())
                    for index in scalars
                    if index.rank == rank
                    and (blocks := index.blocks.get((phase, attempt))) is not None
                )
                if maps or lines:
                    found.append(Superseded(phase, rank, attempt, end, maps, lines))
        return tuple(found)


def _starts(
    entries: Iterable[LayerEntry], scalars: Iterable[ScalarIndex]
) -> Iterator[tuple[Track, int, int]]:
    """(track, attempt, a step); every attempt's first step is among them."""
    for entry in entries:
        yield (entry.id.phase, entry.id.rank), entry.attempt, entry.id.step
    for index in scalars:
        for (phase, attempt), blocks in index.blocks.items():
            yield (phase, index.rank), attempt, int(blocks[:, 0].min())
