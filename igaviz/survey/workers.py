"""Tasks over worker processes, results in order; a worker that dies costs its own task only."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

FEW_TASKS = 10
"""Below this many tasks, starting processes costs more than it saves."""

_AHEAD = 4
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Done(Generic[T, R]):
    """A task and its result; `result` is None where the worker that ran it died."""

    task: T
    result: R | None


def available_cores() -> int:
    """The cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_tasks(
    function: Callable[[T], R], tasks: Sequence[T], jobs: int = 1
) -> Iterator[Done[T, R]]:
    """Each task with `function`'s result, in the order of `tasks`.

    With `jobs` > 1 and enough tasks the work goes to spawned processes, a few tasks ahead of what
    is consumed. A dead worker breaks every task in flight and names none, so those are run again
    one at a time, and only the one that kills again is given up.
    """
    if jobs <= 1 or len(tasks) < FEW_TASKS:
        for task in tasks:
            yield Done(task, function(task))
        return
    left = deque(tasks)
    while left:
        yield from _until_broken(function, left, jobs)
        if left:
            yield from _one_at_a_time(function, left, min(len(left), jobs * _AHEAD))


def _until_broken(function: Callable[[T], R], left: deque[T], jobs: int) -> Iterator[Done[T, R]]:
    """Results in order, removing each task from `left`; stops early where the pool breaks."""
    with _pool(jobs) as pool:
        waiting: deque[Future[R]] = deque()
        try:
            while left:
                while len(waiting) < min(len(left), jobs * _AHEAD):
                    waiting.append(pool.submit(function, left[len(waiting)]))
                result = waiting.popleft().result()
                yield Done(left.popleft(), result)
        except BrokenProcessPool:
            return


def _one_at_a_time(function: Callable[[T], R], left: deque[T], count: int) -> Iterator[Done[T, R]]:
    for _ in range(count):
        task = left.popleft()
        with _pool(1) as pool:
            try:
                result = pool.submit(function, task).result()
            except BrokenProcessPool:
                yield Done(task, None)
            else:
                yield Done(task, result)


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of spawned workers with one BLAS thread each: more would fight over the cores."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
