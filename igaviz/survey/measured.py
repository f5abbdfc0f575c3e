"""The one pass over maps that every verb shares: read, measure, and say what was damaged."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import numpy as np

from igaviz.dump import AttentionMap, Damage, LayerEntry, Structure, read_maps
from igaviz.metrics import Measurement, Pairs, measure
from igaviz.survey.plan import LayerTask
from igaviz.survey.workers import Done, run_tasks

Progress = Callable[[int, int], None]
"""Called with (done, total), in maps or pictures."""

_local = threading.local()


@dataclass(frozen=True)
class Measured:
    """The measurements of one task's maps, and the maps that could not be read."""

    measurements: tuple[Measurement, ...]
    damaged: tuple[Damage, ...]


@dataclass(frozen=True)
class LayerGroup:
    """All measurements of one layer at one step: every rank, batch item and head chosen."""

    run: str
    phase: str
    step: int
    layer: int
    entries: tuple[LayerEntry, ...]
    measurements: tuple[Measurement, ...]
    damaged: tuple[Damage, ...]


def pairs_of(structure: Structure, radius: float) -> Pairs:
    """The tables of `structure`, those of the call before where the structure is the same.

    The layers and heads of an item share them; one is kept per thread, so memory stays flat.
    """
    last: Pairs | None = getattr(_local, "pairs", None)
    if last is None or last.radius != radius or not _same(last.structure, structure):
        last = _local.pairs = Pairs.of(structure, radius)
    return last


def _same(one: Structure, other: Structure) -> bool:
    if (one.ca_reference is None) != (other.ca_reference is None):
        return False
    return (
        np.array_equal(one.ca, other.ca, equal_nan=True)
        and np.array_equal(one.residue_index, other.residue_index)
        and np.array_equal(one.chain_index, other.chain_index)
        and (
            one.ca_reference is None
            or other.ca_reference is None
            or np.array_equal(one.ca_reference, other.ca_reference, equal_nan=True)
        )
    )


def measure_task(task: LayerTask, radius: float) -> Measured:
    """Every chosen map of one entry, measured; one map is held at a time."""
    damaged: list[Damage] = []
    maps: Iterator[AttentionMap] = read_maps(task.entry, task.heads, report=damaged.append)
    measurements = tuple(measure(m, pairs_of(m.structure, radius)) for m in maps)
    return Measured(measurements, tuple(damaged))


def measure_layers(
    tasks: Sequence[LayerTask],
    *,
    radius: float,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Iterator[LayerGroup]:
    """The measurements of `tasks`, layer by layer in the order of the plan, streamed.

    A worker that dies on an entry makes that entry a damaged piece.
    """
    total = sum(len(task.heads) for task in tasks)
    done = 0
    results = run_tasks(partial(measure_task, radius=radius), tasks, jobs)
    for (run, phase, step, layer), group in groupby(results, key=lambda result: result.task.group):
        finished = list(group)
        measured = [_or_dead(result) for result in finished]
        yield LayerGroup(
            run=run,
            phase=phase,
            step=step,
            layer=layer,
            entries=tuple(result.task.entry for result in finished),
            measurements=tuple(m for part in measured for m in part.measurements),
            damaged=tuple(piece for part in measured for piece in part.damaged),
        )
        done += sum(len(result.task.heads) for result in finished)
        if progress is not None:
            progress(done, total)


def _or_dead(done: Done[LayerTask, Measured]) -> Measured:
    if done.result is not None:
        return done.result
    entry = done.task.entry
    return Measured((), (Damage(entry.path, entry.group, "the process that read it died"),))
