"""How a worker process is started: what it inherits, what it never sees, what it ends with."""

from __future__ import annotations

import errno
import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType
from typing import TYPE_CHECKING

from igaviz.errors import UsageError
from igaviz.process import BLAS_THREADS, can_fork, leave_quickly

if TYPE_CHECKING:
    from multiprocessing.context import ForkContext, SpawnContext

_LIMITS = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
_COPYING = 0.02
"""Seconds that one more copy of this process takes: they are made one after the other."""

_STARTING = 0.5
"""Seconds until processes that start anew have imported what they need, each on its core."""

_one_at_a_time = threading.RLock()
"""The environment is all threads': one would put back what another has just set."""

FEWER = "ask for fewer with --jobs; 1 starts none (from Python jobs=1)"
"""What to do where processes can't be had."""


def seconds_to_start(jobs: int) -> float:
    """About what it takes to start so many processes now."""
    return jobs * _COPYING if can_fork() else _STARTING


@contextmanager
def starting() -> Iterator[ForkContext | SpawnContext]:
    """Processes started in this context, by what it gives, have one BLAS thread and no Ctrl-C.

    They are copies of this process where that is safe. Raises `UsageError` where the system has no
    room for another process, or for what it needs.
    """
    with _limits_told(), _one_at_a_time:
        context = _context()
        with _one_thread_each(), _interrupts_held_back():
            yield context


def _context() -> ForkContext | SpawnContext:
    """How processes start."""
    if can_fork():
        return multiprocessing.get_context("fork")
    if hasattr(signal, "pthread_sigmask"):
        # Python's own helper of such processes: when it starts it lets Ctrl-C through again
        resource_tracker.ensure_running()
    # a fork server would be the whole process's own, and import everything once more
    return multiprocessing.get_context("spawn")


def begin_work() -> None:
    """Make this worker end when its parent does: a parent that is killed can't say so."""
    leave_quickly()
    gc.freeze()  # what was imported stays; of a copy, memory that is looked through is copied too
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    try:
        threading.Thread(target=wait, daemon=True).start()
    except RuntimeError:  # the system allows no more: the parent says so once, for all workers
        sys.exit(1)


@contextmanager
def _limits_told() -> Iterator[None]:
    """Raise `UsageError` where the system has no room for another process, or for what it needs."""
    try:
        yield
    except OSError as error:
        if error.errno not in _LIMITS:  # stdout is written out before a process starts
            raise
        raise UsageError(
            f"can't start worker processes: {os.strerror(error.errno).lower()}", hint=FEWER
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
