"""Where output goes: results to stdout, progress and messages to stderr."""

from __future__ import annotations

import json
import os
import sys
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
    def __init__(self, doing: str, unit: str) -> None:
        self.doing = doing
        self.unit = unit
        self.started = time.monotonic()
        self.shown: tuple[Any, Any] | None = None

    def advance(self, done: int, total: int) -> None:
        """Show that `done` of `total` is done; time counts from 0, and at the end the bar goes."""
        interrupt.check()
        if done == 0:
            self.started = time.monotonic()
        seconds = time.monotonic() - self.started
        if self.shown is None and done < total and seconds > _SECONDS_BEFORE_PROGRESS:
            self.shown = self._show(total)
        if self.shown is not None:
            bar, task = self.shown
            pace = self.unit
            if done:
                left = _clock((total - done) * seconds / done)
                pace = f"{self.unit}, {done / seconds:.1f} a second, {left} left"
            bar.update(task, completed=done, total=total, pace=pace)
        if done >= total:
            self.stop()

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
        if self.shown is not None:
            self.shown[0].stop()
        self.shown, self.started = None, time.monotonic()


def _clock(seconds: float) -> str:
    """A length of time as hours, minutes and seconds: 1:02:03, 0:07."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
