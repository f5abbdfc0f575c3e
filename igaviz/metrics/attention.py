"""Where attention goes: near or far, along the sequence or across it, to one key or to all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from igaviz.dump.data import Booleans, Floats
from igaviz.metrics.arrays import Doubles, row_products, row_sums
from igaviz.metrics.groups import Counts, Sums
from igaviz.metrics.table import SATURATED
from igaviz.metrics.tally import Total
from igaviz.metrics.terms import Logits, Terms, Weights, flat
from igaviz.metrics.trend import trends
from igaviz.metrics.values import Columns, Missing, Result, quotients

NO_LOCAL = "no local pairs"
NO_GLOBAL = "no global pairs"

_DROPPED = 13
"""The last bits of a float32 that float16 has no room for."""

_BEYOND_TABLE = 2**31 | 2**_DROPPED - 1
"""Any of these bits is set in a weight that is negative, or has more digits than float16."""

_INFINITE = 0x7F800000
"""The bits of infinity in float32: all that is finite is below."""


@dataclass(frozen=True, eq=False)
class AttentionRows:
    """What is known of A by head and query, [H, Q], and in total.

    `own` is a query's attention to itself, `others` its sum over the other keys, and `columns`
    [H, N] what these queries together give to each other key. `distance` is Σ A d.
    `geometry_moved` and `content_moved` are the shares of attention, 0 to 1, that move where a term
    is left out, None where it isn't there; `blind` are the sums of softmax(S) over local and global
    pairs.
    """

    own: Doubles
    others: Doubles
    columns: Total
    saturated: Booleans
    entropy: Doubles
    distance: Doubles
    sums: Sums
    counts: Counts
    geometry_moved: Doubles | None
    content_moved: Doubles | None
    blind: Sums | None

    @classmethod
    def of(cls, attention: Weights, terms: Terms) -> AttentionRows:
        """Those of `attention`, which is of `terms`."""
        weights, groups = attention.values, attention.groups
        S, G = terms.logits, terms.bias
        others = weights.astype(np.float64)
        flat(others)[:, groups.diagonal] = 0
        return cls(
            own=attention.own,
            others=row_sums(others),
            columns=Total(others.sum(axis=1)),
            saturated=saturated(weights),
            entropy=_entropy(weights),
            distance=row_products(weights, groups.distance),
            sums=groups.sums(others),
            counts=groups.counts,
            geometry_moved=None if S is None else _moved(weights, S),
            content_moved=None if G is None else _moved(weights, G),
            blind=None if S is None else groups.shares(S.softmax),
        )


def saturated(weights: Floats) -> Booleans:
    """[H, Q]: which queries give one key more than 0.9 of their attention."""
    given: Booleans = np.any(weights > SATURATED, axis=2)
    return given


def locality(attention: AttentionRows) -> Columns:
    """The metrics that compare local with global pairs, but for the gains."""
    sums, counts = attention.sums, attention.counts
    local = quotients(sums.local[:, 0], counts.local[0], NO_LOCAL)
    distant = quotients(sums.distant[:, 0], counts.distant[0], NO_GLOBAL)
    n_queries = float(attention.own.shape[1])
    return {
        "local_attn": local,
        "global_attn": distant,
        "local_global_ratio": quotients(local, distant, "global_attn is 0"),
        "local_mass": quotients(sums.local[:, 0], n_queries if counts.local[0] else 0.0, NO_LOCAL),
        "local_enrichment": enrichments(sums, counts, 0),
        "longrange_enrichment": enrichments(sums, counts, 1),
        "attention_trend": trends(sums, counts),
        "mean_distance": quotients(
            attention.distance.sum(axis=1),
            sums.local[:, 0] + sums.distant[:, 0],
            "no attention to other residues",
        ),
    }


def gains(attention: AttentionRows, blind: Sums) -> Columns:
    """`local_gain` and `longrange_gain`: the enrichment of A by that of softmax(S)."""
    counts = attention.counts
    return {
        name: quotients(
            enrichments(attention.sums, counts, apart),
            enrichments(blind, counts, apart),
            "the logits alone give local pairs nothing",
        )
        for name, apart in (("local_gain", 0), ("longrange_gain", 1))
    }


def concentration(attention: AttentionRows) -> Columns:
    """How many keys share the attention of a query."""
    n_keys = attention.columns.values.shape[1]
    entropy = attention.entropy.mean(axis=1)
    return {
        "self_mass": attention.own.mean(axis=1).tolist(),
        "saturation": attention.saturated.mean(axis=1).tolist(),
        "entropy": entropy.tolist(),
        "uniform_kl": (math.log(n_keys) - entropy).tolist(),
    }


def sinks(attention: AttentionRows, rows: Booleans) -> list[Result]:
    """The largest mean attention that a key gets from the queries at `rows` [N]."""
    received = attention.columns.values.copy()
    received[:, rows] += attention.own
    largest: list[Result] = (received.max(axis=1) / attention.own.shape[1]).tolist()
    return largest


def row_sum_errors(attention: AttentionRows) -> list[Result]:
    """How far the weights of a query are from summing to 1."""
    largest: list[Result] = np.abs(attention.others + attention.own - 1.0).max(axis=1).tolist()
    return largest


def enrichments(sums: Sums, counts: Counts, apart: int) -> list[Result]:
    """The local share of attention by the local share of pairs: 1 for blind attention.

    Over all pairs (`apart` 0) or over those that are far apart in sequence (1).
    """
    n_local, n_distant = counts.local[apart], counts.distant[apart]
    which = "long-range " * apart
    if n_local == 0 or n_distant == 0:
        none = Missing(f"no {'local' if n_local == 0 else 'global'} {which}pairs")
        return [none] * len(sums.local)
    total = sums.local[:, apart] + sums.distant[:, apart]
    share = quotients(sums.local[:, apart], total, f"no attention to {which}pairs")
    return quotients(share, float(n_local / (n_local + n_distant)), "no local pairs")


def _moved(weights: Floats, without: Logits) -> Doubles:
    """[H, Q]: the share of attention that moves between softmax(`without`) and A."""
    moved = weights - without.softmax
    np.abs(moved, out=moved)
    shares: Doubles = 0.5 * row_sums(moved).astype(np.float64)
    return shares


def _entropy(weights: Floats) -> Doubles:
    bits = weights.view(np.uint32)
    if not np.bitwise_or.reduce(bits, axis=None) & _BEYOND_TABLE:
        return row_sums(_entropies().take(bits >> _DROPPED, mode="wrap")).astype(np.float64)
    return row_sums(_entropy_terms(weights)).astype(np.float64)


def _entropy_terms(weights: Floats) -> Floats:
    logarithms = np.maximum(weights, np.finfo(np.float32).tiny)
    np.log(logarithms, out=logarithms)
    logarithms *= weights
    return np.negative(logarithms, out=logarithms)


@cache
def _entropies() -> Floats:
    """−w ln w of every weight from 0 on that has no more digits than float16, by its first bits.

    Most recorded weights are such. Looking one up takes half the time of its logarithm.
    """
    bits = np.arange(_INFINITE >> _DROPPED, dtype=np.uint32) << _DROPPED
    return _entropy_terms(bits.view(np.float32))
