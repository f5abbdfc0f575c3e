"""Where output goes: results to stdout, progress and messages to stderr."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from igaviz.cli import interrupt

if TYPE_CHECKING:
    from rich.console import Console

    from igaviz.dump import Damage

PIPED_WIDTH = 160
"""Columns of a table that goes to a file or a pipe, where no terminal says how wide it is."""

_SECONDS_BEFORE_PROGRESS = 1.0


class Invoked:
    """The command line that is being run, as it was given."""

    arguments: tuple[str, ...] = ()


def out() -> Console:
    """The console for results: plain text where stdout is no terminal."""
    from rich.console import Console

    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(
        file=sys.stdout,
        markup=False,
        highlight=False,
        emoji=False,
        soft_wrap=False,
        width=PIPED_WIDTH if piped else None,
    )


def print_json(data: object) -> None:
    """Print one JSON document; numbers are finite or null by then."""
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    print(json.dumps(data, ensure_ascii=not utf8, allow_nan=False, indent=2))


def message(text: str) -> None:
    """Say something on stderr."""
    print(f"igaviz: {text}", file=sys.stderr)


def report_damage(damaged: Iterable[Damage], warnings: Iterable[str] = ()) -> bool:
    """Name on stderr what was skipped as damaged, and the warnings; whether there was damage."""
    from igaviz.dump import describe

    for warning in warnings:
        message(f"warning: {warning}")
    pieces = tuple(damaged)
    for piece in pieces:
        message(f"skipped {describe(piece)}")
    return bool(pieces)


@contextmanager
def progress(doing: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A callback (done, total) that draws a bar on stderr once the work takes over a second.

    With it stand the rate so far and the time left at that rate.

    Nothing is drawn where stderr is no terminal. Ctrl-C that was lost in between ends the work.
    """
    if not sys.stderr.isatty():
        yield lambda done, total: interrupt.check()
        return
    bar = _Bar(doing, unit)
    try:
        yield bar.advance
    finally:
        bar.stop()


class _Bar:
    """A bar that appears a second after work began, whether or not a piece is done by then."""

    def __init__(self, doing: str, unit: str) -> None:
        self.doing = doing
        self.unit = unit
        self.started = time.monotonic()
        self.at = 0, 0
        self.shown: tuple[Any, Any] | None = None
        self.due: threading.Timer | None = None
        self.lock = threading.RLock()

    def advance(self, done: int, total: int) -> None:
        """Show that `done` of `total` is done; time counts from 0, and at the end the bar goes."""
        interrupt.check()
        if done >= total:
            self.stop()
            return
        with self.lock:
            if done == 0:
                self.started = time.monotonic()
            self.at = done, total
            if self.shown is not None:
                self._draw()
            elif self.due is None:
                wait = self.started + _SECONDS_BEFORE_PROGRESS - time.monotonic()
                self.due = threading.Timer(max(wait, 0.0), self._appear)
                self.due.daemon = True
                self.due.start()

    def _appear(self) -> None:
        with self.lock:
            if self.due is threading.current_thread():  # nobody has stopped it meanwhile
                self.shown = self._show(self.at[1])
                self._draw()

    def _draw(self) -> None:
        assert self.shown is not None
        (bar, task), (done, total) = self.shown, self.at
        pace = self.unit
        if done:
            seconds = time.monotonic() - self.started
            left = _clock((total - done) * seconds / done)
            pace = f"{self.unit}, {done / seconds:.1f} a second, {left} left"
        bar.update(task, completed=done, total=total, pace=pace)

    def _show(self, total: int) -> tuple[Any, Any]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[pace]}"),
            console=Console(file=sys.stderr),
            transient=True,
        )
        bar.start()
        return bar, bar.add_task(self.doing, total=total, pace=self.unit)

    def stop(self) -> None:
        """Take the bar away, or see to it that none appears."""
        with self.lock:
            due, self.due = self.due, None
            if due is not None:
                due.cancel()
            if self.shown is not None:
                self.shown[0].stop()
            self.shown = None
            self.started = time.monotonic()
        if due is not None:
            due.join()  # gone: only a process of one thread starts others as copies of itself


def _clock(seconds: float) -> str:
    """A length of time as hours, minutes and seconds: 1:02:03, 0:07."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
