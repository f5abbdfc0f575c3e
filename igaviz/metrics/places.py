"""Residues without a place of their own: no coordinates, or those of others as well."""

from __future__ import annotations

from typing import Final

import numpy as np

from igaviz.dump.data import Booleans, Floats

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
    placed = ca[residues]
    with np.errstate(over="ignore"):
        for further in range(1, len(residues)):
            one = np.flatnonzero(placed[further:, 0] - placed[:-further, 0] <= ONE_POINT)
            if not len(one):  # nor are those near that stand still further from each other
                break
            apart = placed[one + further] - placed[one]
            one = one[(apart**2).sum(axis=1) <= ONE_POINT**2]
            found[residues[one]] = found[residues[one + further]] = True
    return found


def all_on_one_point(ca: Floats) -> bool:
    """Whether all residues of [N, 3] `ca` in Å that have coordinates, two at least, lie there."""
    known = ca[have_coordinates(ca)]
    return len(known) > 1 and bool((np.ptp(known, axis=0) <= ONE_POINT).all())
