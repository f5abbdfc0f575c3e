"""Ctrl-C, heard even where Python loses it: an exception in a weak reference's callback is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_asked = threading.Event()


@contextmanager
def heard() -> Iterator[None]:
    """A context in which Ctrl-C is remembered beside being raised.

    Does nothing beyond the main thread, or where the caller has its own way with Ctrl-C.
    """
    _asked.clear()
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def asked() -> bool:
    """Whether Ctrl-C was pressed."""
    return _asked.is_set()


def check() -> None:
    """Raise KeyboardInterrupt where Ctrl-C was pressed and lost; between two pieces of work."""
    if _asked.is_set():
        raise KeyboardInterrupt


def _remember(number: int, frame: FrameType | None) -> None:
    _asked.set()
    signal.default_int_handler(number, frame)
