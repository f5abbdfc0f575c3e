"""When the numbers of a step ask for its full maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from igaviz.errors import RecordingError
from igaviz.record.numbers import NAMES

Line = Mapping[str, Any]
"""One line of the scalars file: `layer`, `heads`, and per metric a value for each head."""

Trigger = Mapping[str, float] | Callable[[Line], bool]
"""Metric → the level above which a head asks for maps; or a function of a layer's line."""


def check_trigger(trigger: Trigger | None, scalars_interval: int | None) -> None:
    """Raise `RecordingError` for a trigger that could never fire."""
    if trigger is None:
        return
    if scalars_interval is None:
        raise RecordingError(
            "trigger is judged on scalar steps, and there are none",
            hint="add scalars_interval=10, say",
        )
    if callable(trigger):
        return
    if not isinstance(trigger, Mapping) or not trigger:
        raise RecordingError(
            f"trigger={trigger!r} is neither a mapping nor a function",
            hint='trigger={"saturation": 0.5, "nonfinite": 0}',
        )
    for name, level in trigger.items():
        if name not in NAMES:
            raise RecordingError(
                f"trigger names {name!r}, which is no metric that a recorder computes",
                hint=f"one of {', '.join(NAMES)}",
            )
        if isinstance(level, bool) or not isinstance(level, int | float):
            raise RecordingError(f"trigger's level for {name} is {level!r}, not a number")


def fired(trigger: Trigger, line: Line) -> bool:
    """Whether the numbers of one layer ask for full maps."""
    if callable(trigger):
        return bool(trigger(line))
    return any(
        value is not None and value > level
        for name, level in trigger.items()
        for value in line.get(name, ())
    )
