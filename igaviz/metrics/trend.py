"""How a term goes with distance: its means by bins of 1 Å, their trend, and how far they reach."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np

from igaviz.metrics.arrays import Doubles, Indices
from igaviz.metrics.groups import Counts, Sums
from igaviz.metrics.table import BEYOND, BIN_PAIRS, RANGE_START, TREND_BINS
from igaviz.metrics.values import Missing, Result

_SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")


def bin_means(sums: Sums, counts: Counts) -> tuple[Indices, Doubles]:
    """The bins [B] that hold at least 20 pairs, and the mean of a term in each, [H, B]."""
    bins = counts.filled
    return bins, sums.bins[:, bins] / counts.bins[bins]


def trends(sums: Sums, counts: Counts) -> list[Result]:
    """Spearman's correlation of distance bin and bin mean, with average ranks, by head.

    Means that differ by less than float32 resolves are a constant, which has no trend.
    """
    bins, means = bin_means(sums, counts)
    if len(bins) < TREND_BINS:
        few = Missing(f"fewer than {TREND_BINS} distance bins hold {BIN_PAIRS} pairs")
        return [few] * len(means)
    alike = np.ptp(means, axis=1) <= np.finfo(np.float32).eps * np.abs(means).max(axis=1)
    order, ranks = np.arange(len(bins)) - (len(bins) - 1) / 2, average_ranks(means)
    ranks -= ranks.mean(axis=1, keepdims=True)
    squares = (order @ order) * np.einsum("hb,hb->h", ranks, ranks)
    found = np.einsum("b,hb->h", order, ranks) / np.sqrt(squares)
    constant = Missing("it is the same at every distance")
    return [constant if same else f for f, same in zip(found.tolist(), alike, strict=True)]


def falls(sums: Sums, counts: Counts) -> list[Result]:
    """The distances in Å at which a term's mean is 1 nat below its first bin from 3 Å on, by head.

    Between bin centres the mean is taken as linear; `beyond` where it never falls that far.
    """
    bins, means = bin_means(sums, counts)
    from_start = bins >= RANGE_START
    centres, means = (bins[from_start] + 0.5).tolist(), means[:, from_start].tolist()
    if len(centres) < 2:
        return [Missing(f"fewer than 2 distance bins hold {BIN_PAIRS} pairs")] * len(means)
    return [_fall(centres, of_head) for of_head in means]


def _fall(centres: Sequence[float], means: Sequence[float]) -> Result:
    level = means[0] - 1.0
    for (nearer, before), (farther, after) in pairwise(zip(centres, means, strict=True)):
        if after <= level:
            drop = before - after  # none where means are so large that 1 nat is less than a digit
            return nearer + (before - level) / drop * (farther - nearer) if drop else math.nan
    return BEYOND


def average_ranks(values: Doubles) -> Doubles:
    """The ranks from 0 of the values in each row of [H, B]; equal values share the mean of theirs.

    By sorting and two searches: a fifth of what np.unique takes for so few.
    """
    ordered = np.sort(values, axis=1)
    rows = list(zip(ordered, values, strict=True))
    first, last = (np.array([r.searchsorted(v, side) for r, v in rows]) for side in _SIDES)
    ranks: Doubles = (first + last - 1) / 2
    return ranks
