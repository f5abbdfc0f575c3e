"""Which maps a verb works on: selections applied to a dump, in the order of the pass."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from igaviz.dump import Dump, LayerEntry
from igaviz.errors import SelectionError
from igaviz.format import DEFAULT_PHASE
from igaviz.selection import Numbers

ALL_PHASES = "all"
_ALL = Numbers.parse("all")


@dataclass(frozen=True)
class Choice:
    """A selection of maps. `phase` None takes `train` where a run has any, else all phases."""

    phase: str | None = None
    step: Numbers = _ALL
    rank: Numbers = _ALL
    batch: Numbers = _ALL
    layer: Numbers = _ALL
    head: Numbers = _ALL


EVERYTHING = Choice(phase=ALL_PHASES)


@dataclass(frozen=True)
class LayerTask:
    """One piece of work: these heads of this entry. `group` is what is judged together."""

    entry: LayerEntry
    heads: tuple[int, ...]

    @property
    def group(self) -> tuple[str, str, int, int]:
        """(run, phase, step, layer): all ranks and batch items of one layer at one step."""
        return group_of(self.entry)


def group_of(entry: LayerEntry) -> tuple[str, str, int, int]:
    """(run, phase, step, layer) of an entry."""
    return entry.id.run, entry.id.phase, entry.id.step, entry.id.layer


def plan(dump: Dump, choice: Choice) -> tuple[LayerTask, ...]:
    """The chosen heads of the chosen entries, by run, phase, step, layer, rank, batch item.

    Steps are chosen per run and phase, so that `last` is the last of each. Raises
    `SelectionError` where a part of the selection isn't there, saying what is.
    """
    entries: Sequence[LayerEntry] = _in_phase(dump, choice.phase)
    entries = _narrow(entries, choice.rank, "rank", lambda entry: entry.id.rank)
    by_track: dict[tuple[str, str], list[LayerEntry]] = defaultdict(list)
    for entry in entries:
        by_track[entry.id.run, entry.id.phase].append(entry)
    steps = choice.step.choose(
        {track: [entry.id.step for entry in found] for track, found in by_track.items()}, "step"
    )
    entries = [
        entry
        for track, found in by_track.items()
        for entry in found
        if entry.id.step in steps.get(track, ())
    ]
    entries = _narrow(entries, choice.layer, "layer", lambda entry: entry.id.layer)
    entries = _narrow(entries, choice.batch, "batch item", lambda entry: entry.id.batch)
    heads = choice.head.choose({entry.id: entry.heads for entry in entries}, "head")
    tasks = (LayerTask(entry, heads[entry.id]) for entry in entries if entry.id in heads)
    return tuple(sorted(tasks, key=lambda task: (*task.group, task.entry.id)))


def _in_phase(dump: Dump, phase: str | None) -> tuple[LayerEntry, ...]:
    if not dump.entries:
        raise SelectionError("no map to work on: nothing is recorded in it but scalars, or nothing")
    if phase == ALL_PHASES:
        return dump.entries
    if phase is not None:
        chosen = tuple(entry for entry in dump.entries if entry.id.phase == phase)
        if not chosen:
            there = ", ".join(sorted({entry.id.phase for entry in dump.entries}))
            raise SelectionError(f"no phase {phase}: there is {there}")
        return chosen
    trained = {entry.id.run for entry in dump.entries if entry.id.phase == DEFAULT_PHASE}
    return tuple(
        entry
        for entry in dump.entries
        if entry.id.phase == DEFAULT_PHASE or entry.id.run not in trained
    )


def _narrow(
    entries: Sequence[LayerEntry],
    numbers: Numbers,
    what: str,
    value: Callable[[LayerEntry], int],
) -> list[LayerEntry]:
    chosen = numbers.choose({what: [value(entry) for entry in entries]}, what).get(what, ())
    return [entry for entry in entries if value(entry) in chosen]
