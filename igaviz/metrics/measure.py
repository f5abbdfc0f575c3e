"""Every number of one map: what the checks judge and the summary prints."""

from __future__ import annotations

import numpy as np

from igaviz.dump.data import AttentionMap
from igaviz.metrics import attention as weights
from igaviz.metrics import geometry
from igaviz.metrics.data import Measurement
from igaviz.metrics.pairs import Pairs
from igaviz.metrics.replay import replay
from igaviz.metrics.sketch import sketch
from igaviz.metrics.table import METRICS
from igaviz.metrics.terms import Terms
from igaviz.metrics.values import Missing, Results, settle

_OF_ONE_RESIDUE = frozenset({"gamma", "self_mass", "entropy", "row_sum_error", "nonfinite"})


# Hostile numbers overflow on the way; what comes out not finite has no value.
@np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore")
def measure(map: AttentionMap, pairs: Pairs) -> Measurement:
    """All metrics of `map`, with None and a reason where one has no value.

    `pairs` are the tables of the map's structure. Lengths are in Å, bias and entropy in nats.
    Nothing raises on non-finite, constant or tiny maps.
    """
    terms = Terms.of(map, pairs)
    results: Results = dict.fromkeys((m.name for m in METRICS), Missing("not recorded"))
    results["gamma"] = Missing("gamma was not recorded") if map.gamma is None else map.gamma
    results["nonfinite"] = terms.nonfinite
    judged = None
    if terms.rows.any():
        results |= _of_terms(terms, pairs)
        terms.forget()
        if map.attention_recorded:
            judged = replay(terms, map.compute_dtype, map.pair_bias)
            if terms.attention is not None:
                results["row_sum_error"] = weights.row_sum_error(terms.attention)
            if judged is not None:
                results["replay_error"] = judged.error_of_all
        else:
            derived = Missing("attention was not recorded but derived")
            results |= dict.fromkeys(("row_sum_error", "replay_error"), derived)
    else:
        broken = Missing("no row is finite")
        results |= {name: broken for name in results if name not in ("gamma", "nonfinite")}
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
        log_det_min=map.log_det_min,
        sigma_floor_share=map.sigma_floor_share,
        sketch=None
        if terms.attention is None or not terms.rows.all()
        else sketch(terms.attention.values),
    )


def _of_terms(terms: Terms, pairs: Pairs) -> Results:
    """The metrics of the terms that there are; a term that isn't there is named as the reason."""
    S, G, A = terms.logits, terms.bias, terms.attention
    # contacts first: they take the most memory, and nothing is kept yet
    results: Results = {} if A is None else _contacts(terms, pairs)
    results |= geometry.spread(G) | geometry.reach(G) if G else _missing("geo_bias", _OF_BIAS)
    results |= geometry.content(S) if S else _missing("logits_before", _OF_LOGITS)
    if S and G:
        results |= geometry.ratios(S, G)
    else:
        results |= _missing("geo_bias" if S else "logits_before", _OF_RATIO)
    if A is None:
        return results | _missing("attention", _OF_ATTENTION)
    results |= weights.locality(A) | weights.concentration(A)
    if S:
        results |= weights.gains(A, S)
        results["geometry_effect"] = weights.effect(A, S.softmax)
    else:
        results |= _missing("logits_before", ("local_gain", "longrange_gain", "geometry_effect"))
    if G:
        results["content_effect"] = weights.effect(A, G.softmax)
    else:
        results |= _missing("geo_bias", ("content_effect",))
    return results


def _contacts(terms: Terms, pairs: Pairs) -> Results:
    assert terms.attention is not None
    if not terms.rows.all():
        broken = Missing("some rows are not finite")
        return dict.fromkeys(("contact_precision", "contact_lift"), broken)
    return pairs.contacts.measure(terms.attention.values)


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
