"""Shares in per cent, the same in texts, pictures and pages. Pure."""

from __future__ import annotations

import math


def percent(share: float) -> str:
    """`share` (1 is all) in per cent: whole from 10 % on, two digits below, none below 0.01 %."""
    if not math.isfinite(share):
        return "not finite"
    value = 100 * share
    if 0 < value < 0.01:
        return "<0.01 %"
    return f"{value:.0f} %" if abs(value) >= 9.95 else f"{value:.2g} %"


def whole_percent(share: float) -> str:
    """`share` in whole per cent: of parts that are seen beside each other, some below 0."""
    return f"{round(100 * share)} %" if math.isfinite(share) else "not finite"


def percent_of(count: int, total: int) -> str:
    """What part `count` is of `total`, as by `percent`, but never rounded to all."""
    share = count / total
    return ">99 %" if share >= 0.995 and count < total else percent(share)
