"""Residues without a place of their own: no coordinates, or those of others as well."""

from __future__ import annotations

from typing import Final

import numpy as np

from igaviz.dump.data import Booleans, Floats
from igaviz.metrics.distance import distances

ONE_POINT: Final = 0.01
"""Å. What is nearer than this lies on one point: no two Cα of a protein are nearer than 2.8 Å, and
of 1,000 residues noised by 10 Å two come as near as this in one of 20,000 draws. Rounding of equal
coordinates that were turned and shifted alike stays far below it."""


def have_coordinates(ca: Floats) -> Booleans:
    """[N]: which residues of [N, 3] `ca` have finite coordinates."""
    finite: Booleans = np.all(np.isfinite(ca), axis=1)
    return finite


def on_one_point(ca: Floats) -> Booleans:
    """[N]: which residues of [N, 3] `ca` in Å lie on one point with another one.

    Only those whose x is nearly that of another are compared, so it takes N log N where few are.
    """
    found: Booleans = np.zeros(len(ca), dtype=bool)
    residues = np.flatnonzero(have_coordinates(ca))
    residues = residues[np.argsort(ca[residues, 0], kind="stable")]
    apart = np.diff(ca[residues, 0], prepend=-np.inf, append=np.inf) > ONE_POINT
    ends = np.flatnonzero(apart)
    for stretch in np.flatnonzero(np.diff(ends) > 1):
        alike = residues[ends[stretch] : ends[stretch + 1]]
        near = distances(ca[alike]) <= ONE_POINT
        found[alike] = near.sum(axis=1) > 1  # itself is one
    return found


def all_on_one_point(ca: Floats) -> bool:
    """Whether all residues of [N, 3] `ca` in Å that have coordinates, two at least, lie there."""
    known = ca[have_coordinates(ca)]
    return len(known) > 1 and bool((np.ptp(known, axis=0) <= ONE_POINT).all())
