"""Which of several possible causes a map's numbers point to: γ, the spread before γ, content.

γ alone proves nothing, and neither does the spread of the bias: geometry does what γ × spread of
what it multiplies says, against what content does. Both are compared with what healthy networks
have. A dump doesn't tell an overlap of Gaussians from distances of points: the words fit either.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from igaviz.checks.wording import number
from igaviz.metrics.data import Measurement
from igaviz.metrics.table import capital
from igaviz.percent import percent

HEALTHY_GAMMA = 0.018
"""γ of healthy networks of the reference layer; less than half of it is small."""

LARGE_GAMMA = 0.1
"""γ above this is large: five times that of healthy runs."""

HEALTHY_NEAR = 3.6
"""Nats: the largest spread of the bias within 15 Å on a map of a healthy run."""

LARGE_SPREAD = HEALTHY_NEAR / HEALTHY_GAMMA
"""Nats within 15 Å, before γ: healthy networks stay below 200."""

_NEXT_RESIDUE = 3.5
"""Å: the middle of the bin from which the fall of the bias is counted."""

_FAR = 1000
"""Beyond this factor a proportion tells nothing any more but that it is far."""

_FLAT = "check the unit of the coordinates, what the term is divided by and the widths of Gaussians"

_STEEP = (
    "check the unit of the coordinates, and what γ multiplies (σ of Gaussians: bound it from "
    "below, clamp the log-determinant; offsets of points: bound them from above)"
)

_FIRST = {
    "γ": "start γ smaller",
    "spread": _STEEP,
    "both": f"{_STEEP}, then look at γ",
    "content": "look at Q and K: their scale, their gradients",
}


def too_small(m: Measurement, *, effect: float, spread: float, least: float) -> str:
    """Which of γ and the spread before γ is too small, and how far γ would have to grow.

    `effect` and `spread` are what geometry should at least move and differ by; `least` is what even
    an untrained layer differs by, so that a spread which gives it with a healthy γ isn't small.
    """
    gamma, near = m.number("gamma"), m.number("geo_bias_std_near")
    if gamma is None or near is None:
        return "γ × spread is too small (γ was not recorded, so which of the two is open)."
    if gamma == 0:
        return "γ is 0: first check that it is meant to be learned, and starts above 0."
    per_gamma = abs(near / gamma)
    gamma_small = abs(gamma) < HEALTHY_GAMMA / 2
    spread_small = per_gamma * HEALTHY_GAMMA < least
    if gamma_small and spread_small:
        culprit, first = "γ and the spread before it are both", f"start γ larger, then {_FLAT}"
    elif gamma_small:
        culprit, first = "γ is", "start γ larger and check that it gets a gradient"
    else:
        culprit, first = "the spread before γ, not γ, is", _FLAT
    moved = m.number("geometry_effect") or 0.0
    growth = ""
    if moved > 0:
        factor = max(effect / moved, spread / near if near > 0 else 1.0)
        far = (
            f"about {_rough(factor)}-fold (γ alone: to about {_rough(gamma * factor)})"
            if factor <= _FAR
            else f"over {_FAR:,}-fold"
        )
        growth = (
            f" γ × spread would have to grow {far} for geometry to move {percent(effect)} and for "
            f"its bias to differ by {number(spread)} nats."
        )
    return (
        f"{culprit} too small (γ {number(gamma)}, spread of the bias before γ "
        f"{number(per_gamma)} nats).{growth} What to do first: {first}."
    )


def too_steep(m: Measurement, factor: float, *, weak_content: bool = False) -> str:
    """Which of γ and the spread before γ is too large, and how far γ would have to shrink.

    `factor` is what γ × spread is too large by. With `weak_content`, content is the cause where
    neither of the two is large.
    """
    gamma, near = m.number("gamma"), m.number("geo_bias_std_near")
    if gamma is None or near is None or gamma == 0:
        return "γ was not recorded, so whether γ or the spread of the bias is too large is open."
    per_gamma = abs(near / gamma)
    gamma_large, spread_large = abs(gamma) > LARGE_GAMMA, per_gamma > LARGE_SPREAD
    if gamma_large and spread_large:
        culprit, said = "both", "γ and the spread before it are both too large"
    elif spread_large:
        culprit, said = "spread", "the spread before γ, not γ, is too large"
    elif gamma_large or not weak_content:
        culprit, said = "γ", "γ is too large for this spread"
    else:
        culprit, said = "content", "neither γ nor the spread before it is large: content is weak"
    shrink = ""
    if culprit != "content" and factor > 1:
        shrink = (
            f"; γ × spread would have to shrink about {_rough(factor)}-fold (γ alone: to about "
            f"{_rough(gamma / factor)})"
        )
    return (
        f"{capital(said)} (γ {number(gamma)}, "
        f"spread of the bias before γ {number(per_gamma)} nats){shrink}. What to do first: "
        f"{_FIRST[culprit]}."
    )


def grew_large(first: Sequence[float], last: Sequence[float]) -> bool:
    """Whether γ of some heads is large now that wasn't before: learned so, not started so."""
    return any(
        abs(before) <= LARGE_GAMMA < abs(now) for before, now in zip(first, last, strict=True)
    )


def too_sharp(m: Measurement, *, content_does_it: bool | None = None) -> str:
    """Whether content or geometry sharpens attention, and which of its parts; empty if unknown."""
    if content_does_it is None:
        content, geometry = m.number("content_effect"), m.number("geometry_effect")
        if content is None or geometry is None:
            return ""
        content_does_it = content > geometry
    if content_does_it:
        return "What to do first: a norm on Q and K, or a smaller scale (a higher temperature)."
    near = m.number("geo_bias_std_near") or 0.0
    # A spread that healthy networks have too points to nothing.
    return too_steep(m, near / HEALTHY_NEAR) if near > HEALTHY_NEAR else ""


def range_factor(reach: float, wanted: float) -> float:
    """What γ × spread is too large by where the bias falls by 1 nat at `reach` Å, not `wanted`.

    Near its top the bias falls with the square of the distance.
    """
    fallen = max(reach**2 - _NEXT_RESIDUE**2, 0.1)
    return max(1.0, (wanted**2 - _NEXT_RESIDUE**2) / fallen) if math.isfinite(reach) else 1.0


def _rough(value: float) -> str:
    """Two significant digits: a proportion that holds while the effect is small."""
    return number(float(f"{value:.2g}"))
