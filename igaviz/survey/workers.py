"""Tasks over worker processes, results in order; a worker that dies costs its own task only."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
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
    function: Callable[[T], R],
    tasks: Sequence[T],
    jobs: int = 1,
    *,
    parts: Callable[[T], Sequence[T]] | None = None,
) -> Iterator[Done[T, R]]:
    """Each task with `function`'s result, in the order of `tasks`.

    With `jobs` > 1 and enough tasks the work goes to spawned processes, a few tasks ahead of what
    is consumed. A dead worker breaks every task in flight and names none, so those are run again
    one at a time, and only the one that kills again is given up. `parts` takes that one apart: its
    parts come in its place, and only those that kill are given up.

    Where the caller leaves early, by Ctrl-C or otherwise, the workers are ended at once.
    """
    if jobs <= 1 or len(tasks) < FEW_TASKS:
        for task in tasks:
            yield Done(task, function(task))
        return
    left = deque(tasks)
    while left:
        yield from _until_broken(function, left, jobs, ahead=jobs * _AHEAD)
        suspects = [left.popleft() for _ in range(min(len(left), jobs * _AHEAD))]
        for done in _one_at_a_time(function, suspects):
            pieces = parts(done.task) if parts is not None and done.result is None else ()
            if len(pieces) > 1:
                yield from _one_at_a_time(function, pieces)
            else:
                yield done


def _until_broken(
    function: Callable[[T], R], left: deque[T], jobs: int, *, ahead: int
) -> Iterator[Done[T, R]]:
    """Results in order, removing each task from `left`; stops early where the pool breaks.

    At most `ahead` tasks are under way.
    """
    with _pool(jobs) as pool:
        waiting: deque[Future[R]] = deque()
        try:
            while left:
                while len(waiting) < min(len(left), ahead):
                    waiting.append(pool.submit(function, left[len(waiting)]))
                result = waiting.popleft().result()
                yield Done(left.popleft(), result)
        except BrokenProcessPool:
            return


def _one_at_a_time(function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[Done[T, R]]:
    left = deque(tasks)
    while left:
        yield from _until_broken(function, left, 1, ahead=1)
        if left:
            yield Done(left.popleft(), None)


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of spawned workers, which are gone when the context is left, however it is left."""
    others = {process.pid for process in multiprocessing.active_children()}
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_end_with_parent)
    try:
        with _one_thread_each(), _interrupts_held_back():
            pool.submit(os.getpid)  # starts all workers
        yield pool
    except BaseException:
        for process in multiprocessing.active_children():
            if process.pid not in others:
                process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started in this context have one BLAS thread: more would fight over the cores."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Processes started in this context never see Ctrl-C, which a terminal sends to all at once.

    Here it arrives when the context is left. Ending the workers is the parent's business.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    """Make this worker end when its parent does: a parent that is killed can't say so."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
