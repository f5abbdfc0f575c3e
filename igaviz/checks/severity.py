"""How bad a finding is, by the share of a layer's heads that show it.

Heads differ, layers fall ill: a trained, healthy network has heads that ignore geometry and heads
that are one-hot. One head proves nothing; half of them do.
"""

from __future__ import annotations

from igaviz.checks.finding import Severity

WARNING_SHARE = 3, 8
"""Numerator and denominator of the share of heads from which on a layer is warned of."""

ERROR_SHARE = 1, 2
"""Those of the share from which on a layer is ill."""

FEW_MAPS = 16
"""Below this many maps in a layer, a finding says from how many it speaks."""


def head_shows(fired: int, judged: int) -> bool:
    """Whether a head shows it: at least half of its judged items do, and one at least."""
    return fired > 0 and 2 * fired >= judged


def severity_by_share(shown: int, heads: int, cap: Severity) -> Severity:
    """How bad it is that `shown` of a layer's `heads` show it, never above `cap`.

    A single head is a note, even where it is the only one that was recorded: one head can't tell
    a peculiar head from a sick layer, and most healthy networks have peculiar heads.
    """
    if shown == 0:
        return Severity.HEALTHY
    if shown == 1 or shown * WARNING_SHARE[1] < heads * WARNING_SHARE[0]:
        severity = Severity.NOTE
    elif shown * ERROR_SHARE[1] < heads * ERROR_SHARE[0]:
        severity = Severity.WARNING
    else:
        severity = Severity.ERROR
    return min(severity, cap)
