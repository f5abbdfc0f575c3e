"""What the logits are: the geometric bias, and the content that it is added to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from igaviz.dump.data import Booleans
from igaviz.metrics.arrays import Doubles
from igaviz.metrics.attention import saturated
from igaviz.metrics.groups import Counts, Sums
from igaviz.metrics.table import FLAT_STD, NEAR_KEYS, NEAR_RADIUS
from igaviz.metrics.tally import Total
from igaviz.metrics.terms import Centred, Logits, flat
from igaviz.metrics.trend import falls, trends
from igaviz.metrics.values import Columns, Missing, Result, medians, quotients

TOO_FEW_NEAR = f"no query has {NEAR_KEYS} keys within {NEAR_RADIUS:g} Å"
FLAT_LOGITS = "the logits of no query vary"


@dataclass(frozen=True, eq=False)
class BiasRows:
    """What is known of G by head and query, [H, Q], and in total.

    A query's pairs are its keys but for itself and masked ones: `n_pairs`, their `pair_sums`, the
    `pair_squares` of what differs from their mean; `largest` is the largest magnitude of each block
    of queries, [H, blocks]. `key_stds` and `near_stds` are the spreads over keys and over near
    ones; `local_means` is each row's mean as often as it has local keys.
    """

    n_pairs: Doubles
    pair_sums: Doubles
    pair_squares: Doubles
    largest: Doubles
    key_stds: Doubles
    near_stds: Doubles
    local_means: Doubles
    sums: Sums
    counts: Counts

    @classmethod
    def of(cls, bias: Logits) -> BiasRows:
        """Those of `bias`. Squares are of pairs first, and a query's own is added to them."""
        groups = bias.groups
        left_out = groups.diagonal
        own = flat(bias.values).take(left_out, axis=1).astype(np.float64)
        paired = np.isfinite(own)  # but where a query is masked for itself
        if len(bias.masked):
            left_out = np.union1d(bias.masked, left_out)
        own = np.where(paired, own, 0.0)
        n_pairs, pair_sums = bias.n_keys - paired, bias.row_sums - own
        means = pair_sums / np.maximum(n_pairs, 1)
        centred = Centred.of(bias.values, means, left_out, groups)
        of_own = paired * n_pairs / bias.n_keys * (own - means) ** 2
        magnitude = np.abs(bias.values, out=centred.values)
        flat(magnitude)[:, left_out] = 0
        return cls(
            n_pairs=n_pairs,
            pair_sums=pair_sums,
            pair_squares=centred.row_squares,
            largest=flat(magnitude).max(axis=1, keepdims=True).astype(np.float64),
            key_stds=np.sqrt((centred.row_squares + of_own) / bias.n_keys),
            near_stds=centred.near_stds,
            local_means=groups.n_local * bias.means,
            sums=groups.sums(bias.values),
            counts=groups.counts,
        )


@dataclass(frozen=True, eq=False)
class ContentRows:
    """What is known of S by head and query, [H, Q], and in total.

    `row_squares` are of what differs from the row's mean, `offset_sums` the sums of that by residue
    offset; `saturated` says where softmax(S) gives one key more than 0.9.
    """

    row_squares: Doubles
    key_stds: Doubles
    near_stds: Doubles
    saturated: Booleans
    offset_sums: Total
    counts: Counts

    @classmethod
    def of(cls, logits: Logits) -> ContentRows:
        """Those of `logits`."""
        centred = Centred.of(logits.values, logits.means, logits.masked, logits.groups)
        return cls(
            row_squares=centred.row_squares,
            key_stds=np.sqrt(centred.row_squares / logits.n_keys),
            near_stds=centred.near_stds,
            saturated=saturated(logits.softmax),
            offset_sums=Total(logits.groups.offsets.sums(centred.values)),
            counts=logits.groups.counts,
        )


def spread(bias: BiasRows) -> Columns:
    """`geo_bias_mean`, `_std` and `_absmax` over pairs, and `geo_bias_std_near`."""
    near: Columns = {"geo_bias_std_near": medians(bias.near_stds, TOO_FEW_NEAR)}
    n_pairs = bias.n_pairs.sum(axis=1)
    if not n_pairs.all():  # of heads that are taken together, all or none
        nothing: list[Result] = [Missing("every pair is masked")] * len(n_pairs)
        return near | dict.fromkeys(("geo_bias_mean", "geo_bias_std", "geo_bias_absmax"), nothing)
    means = bias.pair_sums.sum(axis=1) / n_pairs
    apart = bias.pair_sums / np.maximum(bias.n_pairs, 1) - means[:, None]
    squares = bias.pair_squares.sum(axis=1) + (bias.n_pairs * apart**2).sum(axis=1)
    return near | {
        "geo_bias_mean": means.tolist(),
        "geo_bias_std": np.sqrt(squares / n_pairs).tolist(),
        "geo_bias_absmax": bias.largest.max(axis=1).tolist(),
    }


def ratios(logits: ContentRows, bias: BiasRows) -> Columns:
    """`geometry_ratio` and `geometry_ratio_near`: the bias's spread by that of the logits."""
    near = FLAT_LOGITS if bias.near_stds.size else TOO_FEW_NEAR
    return {
        "geometry_ratio": _median_ratios(bias.key_stds, logits.key_stds, FLAT_LOGITS),
        "geometry_ratio_near": _median_ratios(bias.near_stds, logits.near_stds, near),
    }


def reach(bias: BiasRows) -> Columns:
    """`geo_range`, `neighbour_shift` and `bias_trend`: how the bias goes with distance."""
    apart = bias.sums.local[:, 0] - bias.local_means.sum(axis=1)
    return {
        "geo_range": falls(bias.sums, bias.counts),
        "neighbour_shift": quotients(apart, bias.counts.local[0], "no local pairs"),
        "bias_trend": trends(bias.sums, bias.counts),
    }


def content(logits: ContentRows) -> Columns:
    """`sequence_share` and `content_saturation` of the logits before geometry.

    The class of a key is its offset in residue numbers, clipped to ±32, the query itself
    included; keys in another chain are a class of their own, as in the models.
    """
    explained = logits.offset_sums.values**2 / np.maximum(logits.counts.offsets, 1)
    return {
        "sequence_share": quotients(
            explained.sum(axis=1), logits.row_squares.sum(axis=1), FLAT_LOGITS
        ),
        "content_saturation": logits.saturated.mean(axis=1).tolist(),
    }


def _median_ratios(bias_stds: Doubles, logits_stds: Doubles, reason: str) -> list[Result]:
    """The median by head over the queries whose logits vary."""
    return medians(bias_stds / logits_stds, reason, counted=logits_stds >= FLAT_STD)
