"""The one pass over maps that every verb shares: read, measure, and say what was damaged."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Protocol

from igaviz.dump import AttentionMap, Damage, LayerEntry, MapReader, Structure, heads_at_once
from igaviz.format import MAP_TERMS
from igaviz.metrics import Measurement, Pairs, measure_heads
from igaviz.metrics.measure import TERMS
from igaviz.metrics.replay import asks_for_pair_bias
from igaviz.survey.kept.cache import Cache, identity_of
from igaviz.survey.kept.known import Measured
from igaviz.survey.plan import LayerTask
from igaviz.survey.work.workers import Done, Jobs, Workers, run_tasks

Progress = Callable[[int, int], None]
"""Called with (done, total), in maps or pictures."""


class Reader(Protocol):
    """The maps of these heads of an entry, one after the other; what can't be read is left out."""

    def __call__(
        self, entry: LayerEntry, heads: Sequence[int], terms: Collection[str] = MAP_TERMS
    ) -> Iterator[AttentionMap]:
        """With these terms of theirs."""


_TOGETHER = 8
"""Layers that are measured with one call: so few that progress shows."""

_ROUNDS = 16
"""So many calls or more for each worker, where there are as many layers."""

_local = threading.local()


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

    The heads of an item share them, and its layers where they see the same coordinates; else what
    their protein is. One is kept per thread, so memory stays flat.
    """
    last: Pairs | None = getattr(_local, "pairs", None)
    if last is None or not last.are_of(structure, radius):
        shared = None if last is None or not last.protein.has(structure) else last.protein
        last = _local.pairs = Pairs.of(structure, radius, shared)
    return last


@contextmanager
def reader(folder: str, report: Callable[[Damage], None]) -> Iterator[Reader]:
    """Reads maps of shards whose relative paths begin in `folder`; damage has them as they are."""
    with MapReader() as maps:

        def read(
            entry: LayerEntry, heads: Sequence[int], terms: Collection[str] = MAP_TERMS
        ) -> Iterator[AttentionMap]:
            here = replace(entry, path=str(Path(folder, entry.path)))
            return maps.read(
                here, heads, lambda piece: report(replace(piece, path=entry.path)), terms
            )

        yield read


def measure_some(
    tasks: Sequence[LayerTask],
    radius: float,
    cache: Cache | None = None,
    folder: str = "",
    terms: Collection[str] = TERMS,
) -> list[Measured]:
    """Every chosen map of some entries, measured, or as the cache has it; large ones held singly.

    A shard is opened once for entries of it that follow each other. `folder` is where relative
    paths of shards begin, `terms` is what is read of each map.
    """
    damaged: list[Damage] = []
    found: list[Measured] = []
    with reader(folder, damaged.append) as read:
        for task in tasks:
            path = str(Path(folder, task.entry.path))
            known = None if cache is None else cache.find(task, radius, path)
            if known is None:
                before = identity_of(path)
                known = Measured(_measure_task(task, radius, read, terms), tuple(damaged))
                damaged.clear()
                if cache is not None and before is not None and before == identity_of(path):
                    known = cache.keep(task, radius, known, path)
            found.append(known)
    return found


def _measure_task(
    task: LayerTask, radius: float, read: Reader, terms: Collection[str]
) -> tuple[Measurement, ...]:
    numbers = _measured(read(task.entry, task.heads, terms), task.entry, radius)
    if "pair_bias" in task.entry.terms and "pair_bias" not in terms:
        numbers = (_with_pair_bias(m, task.entry, read, radius) for m in numbers)
    return tuple(numbers)


def _with_pair_bias(
    measurement: Measurement, entry: LayerEntry, read: Reader, radius: float
) -> Measurement:
    """The same, or with the pair bias where that may say why the replay fails.

    It is asked for seldom, and takes as long to read as the other terms.
    """
    if asks_for_pair_bias(measurement.replay):
        for whole in _measured(read(entry, [measurement.id.head]), entry, radius):
            return whole
    return measurement


def _measured(
    maps: Iterator[AttentionMap], entry: LayerEntry, radius: float
) -> Iterator[Measurement]:
    """The measurements of `maps`, of which no more are held than are measured together."""
    at_once = heads_at_once(entry.n_residues)
    while held := list(islice(maps, at_once)):
        yield from measure_heads(held, pairs_of(held[0].structure, radius))
        held.clear()  # not held while the next ones are read


def measure_layers(
    tasks: Sequence[LayerTask],
    *,
    radius: float,
    jobs: Jobs = 1,
    progress: Progress | None = None,
    terms: Collection[str] = TERMS,
) -> Iterator[LayerGroup]:
    """The measurements of `tasks`, layer by layer in the order of the plan, streamed.

    What can't be read of `terms` is damaged: more of them than numbers need are for whoever wants
    to know. A worker that dies on an entry makes that entry a damaged piece.
    """
    results = measure_tasks(tasks, radius=radius, jobs=jobs, terms=terms)
    if progress is not None:
        results = _counted(results, sum(len(task.heads) for task in tasks), progress)
    for (run, phase, step, layer), group in groupby(results, key=lambda pair: pair[0].group):
        finished = list(group)
        yield LayerGroup(
            run=run,
            phase=phase,
            step=step,
            layer=layer,
            entries=tuple(task.entry for task, _ in finished),
            measurements=tuple(m for _, part in finished for m in part.measurements),
            damaged=tuple(piece for _, part in finished for piece in part.damaged),
        )


def _counted(
    results: Iterator[tuple[LayerTask, Measured]], total: int, progress: Progress
) -> Iterator[tuple[LayerTask, Measured]]:
    """`results`, each told to `progress` as it comes: a group may be all there is."""
    progress(0, total)
    done = 0
    for task, found in results:
        done += len(task.heads)
        progress(done, total)
        yield task, found


def measure_tasks(
    tasks: Sequence[LayerTask],
    *,
    radius: float,
    jobs: Jobs = 1,
    terms: Collection[str] = TERMS,
) -> Iterator[tuple[LayerTask, Measured]]:
    """Each task with its measurements, in order: those known already, and those of the workers.

    Only what isn't known goes to the workers, which start here and go on while known ones are
    taken.
    """
    workers = Workers.of(jobs)
    known = workers.known
    if known is None:
        missing, has = tasks, bytearray(len(tasks))
    else:
        has = bytearray(known.has(task, radius) for task in tasks)
        missing = [task for task, there in zip(tasks, has, strict=True) if not there]
    measure = partial(
        measure_some, radius=radius, cache=workers.cache, folder=workers.folder, terms=terms
    )
    results = chain.from_iterable(
        _or_dead(done)
        for done in run_tasks(
            measure,
            _bundles(missing, workers),
            workers,
            parts=lambda bundle: [(task,) for task in bundle],
            seconds=sum(map(_seconds, missing)),
        )
    )

    def taken() -> Iterator[tuple[LayerTask, Measured]]:
        for task, there in zip(tasks, has, strict=True):
            found = known.find(task, radius) if known is not None and there else None
            if found is None:
                (found,) = measure([task]) if there else (next(results),)
            if found.not_kept and workers.cache is not None:
                workers.cache.failure = found.not_kept
            yield task, found

    return taken()


def _bundles(tasks: Sequence[LayerTask], workers: Workers) -> list[tuple[LayerTask, ...]]:
    """`tasks` in stretches of one shard, which is opened once for each of them.

    So short that they go round, and that what is done is seen to be done; singly for a cluster,
    of which nobody here knows how large it is.
    """
    alone = workers.scheduler is not None
    most = 1 if alone else max(1, min(_TOGETHER, len(tasks) // (_ROUNDS * workers.jobs)))
    bundles = []
    for _, of_shard in groupby(tasks, key=lambda task: task.entry.path):
        together = tuple(of_shard)
        bundles += [together[k : k + most] for k in range(0, len(together), most)]
    return bundles


def _seconds(task: LayerTask) -> float:
    """About what it takes to read and to measure: 2 ms a map of 128 residues, 5 of 256."""
    return len(task.heads) * (1e-3 + 6e-8 * task.entry.n_residues**2)


def _or_dead(done: Done[tuple[LayerTask, ...], list[Measured]]) -> list[Measured]:
    if done.result is not None:
        return done.result
    died = [
        Damage(task.entry.path, task.entry.group, "the process that read it died")
        for task in done.task
    ]
    return [Measured((), (piece,)) for piece in died]
