"""Where attention goes: near or far, along the sequence or across it, to one key or to all."""

from __future__ import annotations

import math

import numpy as np

from igaviz.dump.data import Floats
from igaviz.metrics.groups import Sums
from igaviz.metrics.table import SATURATED
from igaviz.metrics.terms import Logits, Weights
from igaviz.metrics.trend import trend
from igaviz.metrics.values import Missing, Results, quotient

NO_LOCAL = "no local pairs"
NO_GLOBAL = "no global pairs"


def effect(attention: Weights, without: Floats) -> float:
    """The share of attention, 0 to 1, that moves between [Q, N] `without` a term and A."""
    moved = attention.values - without
    np.abs(moved, out=moved)
    return float(0.5 * moved.sum(axis=1).mean(dtype=np.float64))


def locality(attention: Weights) -> Results:
    """The metrics that compare local with global pairs, but for the gains."""
    sums, counts = attention.sums, attention.groups.counts
    local = quotient(sums.local[0], counts.local[0], NO_LOCAL)
    distant = quotient(sums.distant[0], counts.distant[0], NO_GLOBAL)
    n_queries = len(attention.values)
    return {
        "local_attn": local,
        "global_attn": distant,
        "local_global_ratio": quotient(local, distant, "global_attn is 0"),
        "local_mass": quotient(sums.local[0], n_queries, "")
        if counts.local[0]
        else Missing(NO_LOCAL),
        "local_enrichment": enrichment(sums, counts, 0),
        "longrange_enrichment": enrichment(sums, counts, 1),
        "attention_trend": trend(sums, counts),
        "mean_distance": _mean_distance(attention),
    }


def gains(attention: Weights, logits: Logits) -> Results:
    """`local_gain` and `longrange_gain`: the enrichment of A by that of softmax(S)."""
    blind = attention.groups.shares(logits.softmax)
    counts = attention.groups.counts
    return {
        name: quotient(
            enrichment(attention.sums, counts, apart),
            enrichment(blind, counts, apart),
            "the logits alone give local pairs nothing",
        )
        for name, apart in (("local_gain", 0), ("longrange_gain", 1))
    }


def concentration(attention: Weights) -> Results:
    """How many keys share the attention of a query, and of all queries."""
    weights = attention.values
    n_queries, n_keys = weights.shape
    logarithms = np.maximum(weights, np.finfo(np.float32).tiny)
    np.log(logarithms, out=logarithms)
    entropy = float(-np.einsum("ij,ij->i", weights, logarithms).sum(dtype=np.float64) / n_queries)
    return {
        "self_mass": float(attention.own.mean()),
        "saturation": float((weights.max(axis=1) > SATURATED).mean()),
        "sink": float(weights.sum(axis=0, dtype=np.float64).max() / n_queries),
        "entropy": entropy,
        "uniform_kl": math.log(n_keys) - entropy,
    }


def row_sum_error(attention: Weights) -> float:
    """How far the weights of a query are from summing to 1."""
    return float(np.abs(attention.row_sums - 1.0).max())


def enrichment(sums: Sums, counts: Sums, apart: int) -> float | Missing:
    """The local share of attention by the local share of pairs: 1 for blind attention.

    Over all pairs (`apart` 0) or over those that are far apart in sequence (1).
    """
    n_local, n_distant = counts.local[apart], counts.distant[apart]
    which = "long-range " * apart
    if n_local == 0 or n_distant == 0:
        return Missing(f"no {'local' if n_local == 0 else 'global'} {which}pairs")
    total = sums.local[apart] + sums.distant[apart]
    share = quotient(sums.local[apart], total, f"no attention to {which}pairs")
    return quotient(share, n_local / (n_local + n_distant), "no local pairs")


def _mean_distance(attention: Weights) -> float | Missing:
    reached = np.einsum("ij,ij->i", attention.values, attention.groups.distance)
    total = attention.sums.local[0] + attention.sums.distant[0]
    return quotient(reached.sum(dtype=np.float64), total, "no attention to other residues")
