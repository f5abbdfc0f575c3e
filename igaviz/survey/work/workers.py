"""Tasks over worker processes, results in order; a worker that dies costs its own task only."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from igaviz.survey.kept.cache import Cache
from igaviz.survey.kept.known import Known
from igaviz.survey.work import staff
from igaviz.survey.work.calls import pack_call, result_of
from igaviz.survey.work.cluster import Cluster
from igaviz.survey.work.processes import Processes
from igaviz.survey.work.starting import seconds_to_start

T = TypeVar("T")
R = TypeVar("R")

FEW_TASKS = 10
"""Below this many tasks, starting processes costs more than it saves."""

WORTH = 3
"""Starting processes saves time where the work takes so many times as long as that."""


@dataclass(frozen=True)
class Done(Generic[T, R]):
    """A task and its result; `result` is None where the worker that ran it died."""

    task: T
    result: R | None


@dataclass(frozen=True)
class Workers:
    """Who works: `jobs` processes here, or the Dask cluster whose scheduler is at `scheduler`.

    What is measured already is in `cache`, or `measured` knows it: what others have measured, or
    the same command before. With `if_worth` the processes are started only where they save time:
    nobody asked for them.
    """

    jobs: int = 1
    cache: Cache | None = None
    scheduler: str | None = None
    measured: Known | None = None
    if_worth: bool = False

    @classmethod
    def of(cls, jobs: Jobs) -> Workers:
        """The workers that a function's `jobs` means."""
        return cls(jobs) if isinstance(jobs, int) else jobs

    @property
    def known(self) -> Known | None:
        """What needs no work."""
        return self.measured or self.cache

    @property
    def folder(self) -> str:
        """Where relative paths of tasks begin: workers elsewhere don't know."""
        return "" if self.scheduler is None else str(Path.cwd())

    def hired(self, tasks: int, seconds: float) -> AbstractContextManager[Crew] | None:
        """The crew for so many tasks, None where they are done soonest in this process.

        `seconds` is about what they take one after the other.
        """
        if self.scheduler is not None:
            cluster = partial(Cluster.hired, self.scheduler)
            return staff.hired(self.scheduler, cluster) if tasks else None
        if self.jobs == 1 or tasks < FEW_TASKS:
            return None
        if self.if_worth and seconds < WORTH * seconds_to_start(self.jobs):
            return None
        return staff.hired(self.jobs, partial(Processes.hired, self.jobs))


Jobs = int | Workers
"""The `jobs` of a function: a number of processes, or `Workers`, which say more."""


class Outcome(Protocol):
    """What will come of a call; a future is one."""

    def result(self) -> bytes:
        """What came of it, waited for; raises the crew's `death` where a worker died."""

    def exception(self) -> BaseException | None:
        """Waits as `result` does, and returns what that would raise."""


class Crew(Protocol):
    """Workers that take tasks; `ahead` is how many are under way at most."""

    ahead: int
    death: type[Exception]
    """What the outcome of a task raises whose worker died, at that task or at another."""

    def submit(self, call: bytes) -> Outcome:
        """What will come of a packed call (`igaviz.survey.work.calls`)."""


def available_cores() -> int:
    """The cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_tasks(
    function: Callable[[T], R],
    tasks: Sequence[T],
    jobs: Jobs = 1,
    *,
    parts: Callable[[T], Sequence[T]] | None = None,
    seconds: float = math.inf,
) -> Iterator[Done[T, R]]:
    """Each task with `function`'s result, in the order of `tasks`.

    With more than one job and enough tasks the work goes to worker processes, a few tasks ahead
    of what is consumed. A task whose worker died is run again with nothing beside it, for want of
    memory kills whom it likes; it is given up where that kills again. `parts` takes it apart then:
    its parts come in its place, and only those that kill are given up. `seconds` is about what the
    tasks take one after the other.

    The workers start here, before the first result is asked for: copies of this process are to be
    made before what is done with results starts threads.

    Raises what `function` raises: igaviz's own errors as they are, `WorkerError` for a bug in a
    worker. Where the caller leaves early, by Ctrl-C or otherwise, the workers are ended at once.
    """
    hired = Workers.of(jobs).hired(len(tasks), seconds)
    if hired is None:
        return (Done(task, function(task)) for task in tasks)
    results = _by(hired, function, tasks, parts)
    next(results)
    return results


def _by(
    hired: AbstractContextManager[Crew],
    function: Callable[[T], R],
    tasks: Sequence[T],
    parts: Callable[[T], Sequence[T]] | None,
) -> Iterator[Any]:
    """First nothing, once the workers are there; then each result."""
    with hired as crew:
        yield None
        last = yield from _over(crew, function, tasks, parts)
    yield from last  # the workers are free already: few callers ask whether there is more


def _over(
    crew: Crew,
    function: Callable[[T], R],
    tasks: Sequence[T],
    parts: Callable[[T], Sequence[T]] | None,
) -> Generator[Done[T, R], None, list[Done[T, R]]]:
    """Each result as it comes; returns the last, for which no worker is needed any more."""
    under_way: deque[tuple[T, Outcome]] = deque()
    left = deque(tasks)
    while True:
        while left and len(under_way) < crew.ahead:
            task = left.popleft()
            under_way.append((task, crew.submit(pack_call(function, task))))
        task, outcome = under_way.popleft()
        try:
            done = Done[T, R](task, result_of(outcome.result()))
        except crew.death:
            for _, other in under_way:
                other.exception()  # waited for
            done = _alone(crew, function, task)
        pieces = parts(task) if parts is not None and done.result is None else ()
        found = [_alone(crew, function, p) for p in pieces] if len(pieces) > 1 else [done]
        if not under_way and not left:
            return found
        yield from found


def _alone(crew: Crew, function: Callable[[T], R], task: T) -> Done[T, R]:
    """The task run with nothing beside it: where a worker dies now, it is this task that kills."""
    try:
        return Done(task, result_of(crew.submit(pack_call(function, task)).result()))
    except crew.death:
        return Done(task, None)
