"""How a term goes with distance: its means by bins of 1 Å, their trend, and how far they reach."""

from __future__ import annotations

import numpy as np

from igaviz.metrics.groups import Doubles, Indices, Sums
from igaviz.metrics.table import BEYOND, BIN_PAIRS, RANGE_START, TREND_BINS
from igaviz.metrics.values import Missing, Result


def bin_means(sums: Sums, counts: Sums) -> tuple[Indices, Doubles]:
    """The bins that hold at least 20 pairs, and the mean of a term in each."""
    bins = counts.filled
    return bins, sums.bins[bins] / counts.bins[bins]


def trend(sums: Sums, counts: Sums) -> Result:
    """Spearman's correlation of distance bin and bin mean, with average ranks.

    Means that differ by less than float32 resolves are a constant, which has no trend.
    """
    bins, means = bin_means(sums, counts)
    if len(bins) < TREND_BINS:
        return Missing(f"fewer than {TREND_BINS} distance bins hold {BIN_PAIRS} pairs")
    if np.ptp(means) <= np.finfo(np.float32).eps * np.abs(means).max():
        return Missing("it is the same at every distance")
    order, ranks = np.arange(len(bins)) - (len(bins) - 1) / 2, average_ranks(means)
    ranks -= ranks.mean()
    return float(order @ ranks / np.sqrt((order @ order) * (ranks @ ranks)))


def fall(sums: Sums, counts: Sums) -> Result:
    """The distance in Å at which a term's mean has fallen 1 nat below its first bin from 3 Å on.

    Between bin centres the mean is taken as linear; `beyond` where it never falls that far.
    """
    bins, means = bin_means(sums, counts)
    bins, means = bins[bins >= RANGE_START], means[bins >= RANGE_START]
    if len(bins) < 2:
        return Missing(f"fewer than 2 distance bins hold {BIN_PAIRS} pairs")
    level = means[0] - 1.0
    fallen = np.flatnonzero(means <= level)
    if not len(fallen):
        return BEYOND
    before, after = fallen[0] - 1, fallen[0]
    share = (means[before] - level) / (means[before] - means[after])
    return float(bins[before] + 0.5 + share * (bins[after] - bins[before]))


def average_ranks(values: Doubles) -> Doubles:
    """The ranks of `values` from 0; equal values share the mean of theirs."""
    ordered = np.sort(values)  # and two searches: a fifth of what np.unique takes for so few
    first, last = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    ranks: Doubles = (first + last - 1) / 2
    return ranks
