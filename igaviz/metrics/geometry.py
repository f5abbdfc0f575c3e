"""What the logits are: the geometric bias, and the content that it is added to."""

from __future__ import annotations

import numpy as np

from igaviz.metrics.groups import Doubles
from igaviz.metrics.table import FLAT_STD, NEAR_KEYS, NEAR_RADIUS, SATURATED
from igaviz.metrics.terms import Centred, Logits
from igaviz.metrics.trend import fall, trend
from igaviz.metrics.values import Missing, Result, Results, median, quotient

TOO_FEW_NEAR = f"no query has {NEAR_KEYS} keys within {NEAR_RADIUS:g} Å"
FLAT_LOGITS = "the logits of no query vary"


def spread(bias: Logits) -> Results:
    """`geo_bias_mean`, `_std` and `_absmax` over pairs, and `geo_bias_std_near`."""
    near: Results = {"geo_bias_std_near": median(bias.near_stds, TOO_FEW_NEAR)}
    left_out, unmasked = bias.groups.diagonal, bias.groups.diagonal
    if len(bias.masked):
        left_out = np.union1d(bias.masked, left_out)
        unmasked = np.setdiff1d(unmasked, bias.masked)
    n_pairs = bias.values.size - len(left_out)
    if n_pairs == 0:
        nothing = Missing("every pair is masked")
        return near | dict.fromkeys(("geo_bias_mean", "geo_bias_std", "geo_bias_absmax"), nothing)
    own = bias.values.take(unmasked)
    mean = (bias.row_sums.sum() - own.sum(dtype=np.float64)) / n_pairs
    squares = Centred.of(bias.values, mean, left_out).row_squares.sum()
    magnitude = np.abs(bias.values)
    magnitude.ravel()[left_out] = 0
    return near | {
        "geo_bias_mean": float(mean),
        "geo_bias_std": float(np.sqrt(squares / n_pairs)),
        "geo_bias_absmax": float(magnitude.max()),
    }


def ratios(logits: Logits, bias: Logits) -> Results:
    """`geometry_ratio` and `geometry_ratio_near`: the bias's spread by that of the logits."""
    near: Result = Missing(TOO_FEW_NEAR)
    if len(logits.near_stds):
        near = _median_ratio(bias.near_stds, logits.near_stds)
    return {
        "geometry_ratio": _median_ratio(bias.key_stds, logits.key_stds),
        "geometry_ratio_near": near,
    }


def reach(bias: Logits) -> Results:
    """`geo_range`, `neighbour_shift` and `bias_trend`: how the bias goes with distance."""
    counts = bias.groups.counts
    n_local = counts.local[0]
    shift: Result = Missing("no local pairs")
    if n_local:
        shift = float((bias.sums.local[0] - bias.groups.n_local @ bias.means) / n_local)
    return {
        "geo_range": fall(bias.sums, counts),
        "neighbour_shift": shift,
        "bias_trend": trend(bias.sums, counts),
    }


def content(logits: Logits) -> Results:
    """`sequence_share` and `content_saturation` of the logits before geometry.

    The class of a key is its offset in residue numbers, clipped to ±32, the query itself
    included; keys in another chain are a class of their own, as in the models.
    """
    sums = logits.groups.offset_sums(logits.by_row.values)
    explained = (sums**2 / np.maximum(logits.groups.offset_counts, 1)).sum()
    variance = logits.by_row.row_squares.sum()
    return {
        "sequence_share": quotient(explained, variance, FLAT_LOGITS),
        "content_saturation": float((logits.softmax.max(axis=1) > SATURATED).mean()),
    }


def _median_ratio(bias_stds: Doubles, logits_stds: Doubles) -> Result:
    varied = logits_stds >= FLAT_STD
    return median(bias_stds[varied] / logits_stds[varied], FLAT_LOGITS)
