"""Processes on this machine, which end when their parent does, however it ends."""

from __future__ import annotations

import errno
import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from igaviz.errors import UsageError
from igaviz.process import BLAS_THREADS, can_fork, leave_quickly
from igaviz.survey.work.calls import run_call

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 4
_LIMITS = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
_COPYING = 0.02
"""Seconds that one more copy of this process takes: they are made one after the other."""

_STARTING = 0.5
"""Seconds until processes that start anew have imported what they need, each on its core."""


class Processes:
    """`jobs` worker processes; one that dies breaks the pool with all that is in flight."""

    death: type[Exception] = BrokenProcessPool

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self.ahead = jobs * _AHEAD
        self.pool = self._start()

    @classmethod
    @contextmanager
    def hired(cls, jobs: int) -> Iterator[Processes]:
        """Workers that are gone when the context is left, however it is left."""
        others = {process.pid for process in multiprocessing.active_children()}
        crew = None
        try:
            crew = cls(jobs)
            yield crew
        except BaseException:
            for process in multiprocessing.active_children():
                if process.pid not in others:
                    process.terminate()
            raise
        finally:
            if crew is not None:
                crew.pool.shutdown(wait=True, cancel_futures=True)

    def submit(self, call: bytes) -> Future[bytes]:
        """What will come of a packed call; a pool that broke unseen fails it as all in flight."""
        try:
            return _submit(self.pool, run_call, call)
        except BrokenProcessPool as error:
            failed: Future[bytes] = Future()
            failed.set_exception(error)
            return failed

    def renew(self) -> None:
        """A new pool in place of a broken one."""
        try:
            _submit(self.pool, abs, 0)
        except BrokenProcessPool:
            self.pool.shutdown(wait=True, cancel_futures=True)
            self.pool = self._start()

    def _start(self) -> ProcessPoolExecutor:
        """A pool whose processes run: where they are copies, before this one has other threads."""
        # a fork server would be the whole process's own, and import everything once more
        context = multiprocessing.get_context("fork" if can_fork() else "spawn")
        with _limits_told():
            pool = ProcessPoolExecutor(self.jobs, mp_context=context, initializer=_begin)
        _submit(pool, abs, 0)
        return pool


def seconds_to_start(jobs: int) -> float:
    """About what it takes to start so many processes now."""
    return jobs * _COPYING if can_fork() else _STARTING


def _submit(pool: ProcessPoolExecutor, function: Callable[[T], R], task: T) -> Future[R]:
    """The result to be. Any call may start a worker, for as long as there are not all of them."""
    with _one_thread_each(), _interrupts_held_back(), _limits_told():
        return pool.submit(function, task)


@contextmanager
def _limits_told() -> Iterator[None]:
    """Raise `UsageError` where the system has no room for another process, or for what it needs."""
    try:
        yield
    except OSError as error:
        if error.errno not in _LIMITS:  # stdout is written out before a process starts
            raise
        raise UsageError(
            f"can't start worker processes: {os.strerror(error.errno).lower()}",
            hint="ask for fewer with --jobs; 1 starts none (from Python jobs=1)",
        ) from error


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started in this context have one BLAS thread: more would fight over the cores."""
    before = {name: os.environ.get(name) for name in BLAS_THREADS}
    os.environ.update(BLAS_THREADS)
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

    Here it arrives when the context is left, not between a process's start and its being known.
    Ending the workers is the parent's business.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with _handled_later():
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _handled_later() -> Iterator[None]:
    """Ctrl-C that another thread takes is handled in the main one: here, when this is left."""
    handler = signal.getsignal(signal.SIGINT)
    main = threading.current_thread() is threading.main_thread()
    if not main or not callable(handler):
        yield
        return
    pressed: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: pressed.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if pressed:
            handler(*pressed[0])


def _begin() -> None:
    """Make this worker end when its parent does: a parent that is killed can't say so."""
    leave_quickly()
    gc.freeze()  # what was imported stays; of a copy, memory that is looked through is copied too
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
