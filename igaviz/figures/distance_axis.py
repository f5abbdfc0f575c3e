"""The axis of distances: as far as attention reaches, alike in every panel that has one."""

from __future__ import annotations

import math

from igaviz.figures import colour
from igaviz.metrics.profiles import Profiles
from igaviz.percent import percent, percent_of

_AT_LEAST = 3.0  # radii of local pairs
_READABLE = 6.0  # radii, too: an axis that long is left as it is


def farthest_shown(profiles: Profiles) -> float:
    """Where an axis of distances ends, in whole Å.

    At the farthest pair, but for outliers; nearer where hardly any attention goes so far: in an
    assembly of 600 residues the 8 Å that matter most would be a fifteenth of the axis.
    """
    known = profiles.pairs.distance[profiles.known_pairs]
    whole = max(1.0, math.ceil(colour.robust_limits(known)[1]))
    reach, radius = profiles.attention_reach, profiles.pairs.radius
    if reach is None or whole <= _READABLE * radius:
        return whole
    return min(whole, max(reach, float(math.ceil(_AT_LEAST * radius))))


def what_is_farther(profiles: Profiles) -> str:
    """The sentence about the pairs beyond the axis; empty where there are none."""
    end = farthest_shown(profiles)
    beyond = profiles.beyond(end)
    if not beyond.n:
        return ""
    attention = f"{percent(beyond.attention)} of" if beyond.attention >= 1e-5 else "no"
    return (
        f"Not shown: pairs beyond {end:,.0f} Å, {percent_of(beyond.n, beyond.of)} of all; "
        f"they get {attention} attention."
    )
