"""Every number of one map: what the checks judge and the summary prints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from igaviz.dump.data import AttentionMap, Booleans
from igaviz.metrics import attention as weights
from igaviz.metrics import geometry
from igaviz.metrics.attention import AttentionRows
from igaviz.metrics.data import Measurement
from igaviz.metrics.geometry import BiasRows, ContentRows
from igaviz.metrics.pairs import Pairs
from igaviz.metrics.replay import ReplayRows, replay
from igaviz.metrics.sketch import sketch
from igaviz.metrics.table import METRICS
from igaviz.metrics.tally import joined
from igaviz.metrics.terms import Terms
from igaviz.metrics.values import Missing, Results, settle

# Freed once, an untouched block of 8 MB has glibc keep smaller ones: else it gives the memory of
# each array back to the system and takes it anew, page by page, a fifth of the time of a map.
np.empty(2**20, dtype=np.float64)

TERMS = ("logits_before", "geo_bias", "attention")
"""The terms that the numbers of a map come from; see `replay.asks_for_pair_bias` for one more."""

_OF_ONE_RESIDUE = frozenset({"gamma", "self_mass", "entropy", "row_sum_error", "nonfinite"})


@dataclass(frozen=True, eq=False)
class _Rows:
    """What is known of the queries of a map whose rows are finite; None where a term is missing."""

    bias: BiasRows | None
    content: ContentRows | None
    attention: AttentionRows | None
    replay: ReplayRows | None

    @classmethod
    def of(cls, terms: Terms, map: AttentionMap) -> _Rows:
        S, G, A = terms.logits, terms.bias, terms.attention
        return cls(
            bias=None if G is None else BiasRows.of(G),
            content=None if S is None else ContentRows.of(S),
            attention=None if A is None else AttentionRows.of(A, terms),
            replay=ReplayRows.of(terms, map.compute_dtype) if map.attention_recorded else None,
        )


# Hostile numbers overflow on the way; what comes out not finite has no value.
@np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore")
def measure(map: AttentionMap, pairs: Pairs | None = None) -> Measurement:
    """All metrics of `map`, with None and a reason where one has no value.

    `pairs` are the tables of the map's structure, made of it if left out: pass them where several
    heads share them. Lengths are in Å, bias and entropy in nats.
    Nothing raises on non-finite, constant or tiny maps. The map is taken in blocks of queries, so
    that little more memory is held than the map and the tables.
    """
    pairs = Pairs.of(map.structure) if pairs is None else pairs
    results: Results = dict.fromkeys((m.name for m in METRICS), Missing("not recorded"))
    results["gamma"] = Missing("gamma was not recorded") if map.gamma is None else map.gamma
    whole, finite, nonfinite = _in_blocks(map, pairs)
    judged = None
    if whole is not None:
        results |= _of_rows(whole, finite, map, pairs)
        if whole.replay is not None:
            judged = replay(map, pairs, whole.replay)
            results["replay_error"] = judged.error_of_all
    else:
        broken = Missing("no row is finite")
        results |= {name: broken for name in results if name != "gamma"}
    results["nonfinite"] = nonfinite + (map.gamma is not None and not np.isfinite(map.gamma))
    if pairs.n_residues < 2:
        single = Missing("a single residue has no pairs")
        results |= {name: single for name in results if name not in _OF_ONE_RESIDUE}
    values, reasons = settle(results)
    structure = map.structure
    return Measurement(
        id=map.id,
        item=structure.name,
        n_residues=pairs.n_residues,
        length_unit=structure.length_unit,
        values=values,
        reasons=reasons,
        attention_recorded=map.attention_recorded,
        attention_dtype=map.attention_dtype,
        compute_dtype=map.compute_dtype,
        flow_time=structure.flow_time,
        ca_step=pairs.ca_step,
        reference_step=pairs.reference_step,
        step_spread=pairs.step_spread,
        replay=judged,
        mask=map.mask,
        log_det_min=map.log_det_min,
        sigma_floor_share=map.sigma_floor_share,
        sketch=None if map.attention is None or not finite.all() else sketch(map.attention),
    )


def _in_blocks(map: AttentionMap, pairs: Pairs) -> tuple[_Rows | None, Booleans, int]:
    """What is known of the finite rows, None where there is none; which they are, [N].

    And the number of values that are not finite.
    """
    parts: list[_Rows] = []
    finite = np.zeros(pairs.n_residues, dtype=bool)
    nonfinite = 0
    for groups in pairs.blocks:
        terms = Terms.of(map, groups)
        finite[groups.queries] = terms.rows
        nonfinite += terms.nonfinite
        if terms.rows.any():
            parts.append(_Rows.of(terms, map))
    return joined(parts) if parts else None, finite, nonfinite


def _of_rows(rows: _Rows, finite: Booleans, map: AttentionMap, pairs: Pairs) -> Results:
    """The metrics of the terms that there are; a term that isn't there is named as the reason."""
    S, G, A = rows.content, rows.bias, rows.attention
    results = geometry.spread(G) | geometry.reach(G) if G else _missing("geo_bias", _OF_BIAS)
    results |= geometry.content(S) if S else _missing("logits_before", _OF_LOGITS)
    if S and G:
        results |= geometry.ratios(S, G)
    else:
        results |= _missing("geo_bias" if S else "logits_before", _OF_RATIO)
    if A is None:
        return results | _missing("attention", _OF_ATTENTION)
    results |= weights.locality(A) | weights.concentration(A)
    results["sink"] = weights.sink(A, finite)
    if A.blind is not None and A.geometry_moved is not None:
        results |= weights.gains(A, A.blind)
        results["geometry_effect"] = float(A.geometry_moved.mean())
    else:
        results |= _missing("logits_before", ("local_gain", "longrange_gain", "geometry_effect"))
    if A.content_moved is not None:
        results["content_effect"] = float(A.content_moved.mean())
    else:
        results |= _missing("geo_bias", ("content_effect",))
    if map.attention_recorded:
        results["row_sum_error"] = weights.row_sum_error(A)
    else:
        derived = Missing("attention was not recorded but derived")
        results |= dict.fromkeys(("row_sum_error", "replay_error"), derived)
    return results | _contacts(A, finite, map, pairs)


def _contacts(A: AttentionRows, finite: Booleans, map: AttentionMap, pairs: Pairs) -> Results:
    assert map.attention is not None
    if not finite.all():
        broken = Missing("some rows are not finite")
        return dict.fromkeys(("contact_precision", "contact_lift"), broken)
    return pairs.contacts.measure(map.attention, A.others + A.columns.values)


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
    "contact_precision",
    "contact_lift",
)


def _missing(term: str, names: tuple[str, ...]) -> Results:
    return dict.fromkeys(names, Missing(f"{term} was not recorded"))
