"""When a step is due: schedules are plain functions of the step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from igaviz.errors import RecordingError
from igaviz.record.settings import whole_number

Schedule = Callable[[int], bool]
Interval = int | Mapping[int, int] | Schedule
"""Every k steps; k from a step on, as `{0: 50, 5000: 500}`; or a function of the step."""


def make_schedules(
    interval: Interval | None, at: Iterable[int], scalars_interval: int | None
) -> tuple[Schedule, Schedule]:
    """Two functions of the step: whether full maps are due, and whether scalars are.

    Raises `RecordingError` for an interval that is no natural number, or nothing ever due.
    """
    named = frozenset(at)
    if interval is None and not named and scalars_interval is None:
        raise RecordingError(
            "nothing would ever be recorded: no interval, at or scalars_interval says when",
            hint="interval=100 records every 100 steps",
        )
    by_interval = _never if interval is None else _by_interval(interval)
    scalars = _never if scalars_interval is None else _by_interval(scalars_interval)
    return lambda step: step in named or by_interval(step), scalars


def describe(interval: Interval | None) -> object:
    """The interval as `run.json` holds it."""
    if isinstance(interval, Mapping):
        return {str(start): every for start, every in interval.items()}
    return getattr(interval, "__qualname__", repr(interval)) if callable(interval) else interval


def _by_interval(interval: Interval) -> Schedule:
    if isinstance(interval, Mapping):
        return _by_pieces(interval)
    if callable(interval):
        return lambda step: bool(interval(step))
    every = whole_number("interval", interval, least=1)
    return lambda step: step % every == 0


def _by_pieces(pieces: Mapping[int, int]) -> Schedule:
    if not pieces:
        raise RecordingError(
            "interval is an empty mapping", hint="{0: 50, 5000: 500}: from step 5000 on every 500"
        )
    starts = sorted(
        (
            whole_number("a first step in interval", start, least=0),
            whole_number(f"interval from step {start} on", every, least=1),
        )
        for start, every in pieces.items()
    )

    def due(step: int) -> bool:
        every = next((every for start, every in reversed(starts) if start <= step), None)
        return every is not None and step % every == 0

    return due


def _never(step: int) -> bool:
    return False
