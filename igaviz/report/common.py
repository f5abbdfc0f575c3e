"""What the JSON of every verb shares."""

from __future__ import annotations

import math
from collections.abc import Iterable

from igaviz.checks.finding import DamagedPiece


def damage_json(damaged: Iterable[DamagedPiece]) -> list[dict[str, str]]:
    """The list under `damaged`."""
    return [{"path": d.path, "where": d.where, "reason": d.reason} for d in damaged]


def finite(value: float | int | str | None) -> float | int | str | None:
    """The value itself, None for a number that is not finite: JSON has no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
