"""The metrics of some heads from what is known of their rows: by name, a result of each head."""

from __future__ import annotations

from collections.abc import Sequence

from igaviz.dump.data import AttentionMap, Booleans
from igaviz.metrics import attention as weights
from igaviz.metrics import geometry
from igaviz.metrics.rows import Rows
from igaviz.metrics.values import Columns, Missing, alike


def columns_of(rows: Rows, finite: Booleans, maps: Sequence[AttentionMap]) -> Columns:
    """All metrics of the terms of `maps` but for contacts and the replay.

    `rows` are of those that are `finite` [N]. A term that isn't there is named as the reason.
    """
    n_heads = len(maps)

    def missing(term: str, names: tuple[str, ...]) -> Columns:
        return alike(Missing(f"{term} was not recorded"), names, n_heads)

    S, G, A = rows.content, rows.bias, rows.attention
    found = geometry.spread(G) | geometry.reach(G) if G else missing("geo_bias", _OF_BIAS)
    found |= geometry.content(S) if S else missing("logits_before", _OF_LOGITS)
    if S and G:
        found |= geometry.ratios(S, G)
    else:
        found |= missing("geo_bias" if S else "logits_before", _OF_RATIO)
    if A is None:
        return found | missing("attention", _OF_ATTENTION)
    found |= weights.locality(A) | weights.concentration(A)
    found["sink"] = weights.sinks(A, finite)
    if A.blind is not None and A.geometry_moved is not None:
        found |= weights.gains(A, A.blind)
        found["geometry_effect"] = A.geometry_moved.mean(axis=1).tolist()
    else:
        found |= missing("logits_before", ("local_gain", "longrange_gain", "geometry_effect"))
    if A.content_moved is not None:
        found["content_effect"] = A.content_moved.mean(axis=1).tolist()
    else:
        found |= missing("geo_bias", ("content_effect",))
    if maps[0].attention_recorded:
        found["row_sum_error"] = weights.row_sum_errors(A)
    else:
        derived = Missing("attention was not recorded but derived")
        found |= alike(derived, ("row_sum_error", "replay_error"), n_heads)
    return found


_OF_BIAS = (
    "geo_bias_mean",
    "geo_bias_std",
    "geo_bias_absmax",
    "geo_bias_std_near",
    "geo_range",
    "neighbour_shift",
    "bias_trend",
)
_OF_LOGITS = ("sequence_share", "content_saturation")
_OF_RATIO = ("geometry_ratio", "geometry_ratio_near")
_OF_ATTENTION = (
    "geometry_effect",
    "content_effect",
    "local_attn",
    "global_attn",
    "local_global_ratio",
    "local_mass",
    "local_enrichment",
    "local_gain",
    "longrange_enrichment",
    "longrange_gain",
    "attention_trend",
    "self_mass",
    "saturation",
    "sink",
    "entropy",
    "uniform_kl",
    "mean_distance",
)
