"""Every number of a map: what the checks judge and the summary prints."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
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
from igaviz.metrics.tally import joined, of_head
from igaviz.metrics.terms import Kind, Terms
from igaviz.metrics.values import Missing, Results, settle

# Freed once, an untouched block of 8 MB has glibc keep smaller ones: else it gives the memory of
# each array back to the system and takes it anew, page by page, a fifth of the time of a map.
np.empty(2**22-2**12, dtype=np.float64)

TERMS = ("logits_before", "geo_bias", "attention")
"""The terms that the numbers of a map come from; see `replay.asks_for_pair_bias` for one more."""

_AT_ONCE = 2**19
"""So many pairs of a head and a query's key: what is computed of them stays in the last cache."""

_OF_ONE_RESIDUE = frozenset({"gamma", "self_mass", "entropy", "row_sum_error", "nonfinite"})


@dataclass(frozen=True, eq=False)
class _Rows:
    """What is known of the queries of maps whose rows are finite; None where a term is missing."""

    bias: BiasRows | None
    content: ContentRows | None
    attention: AttentionRows | None
    replay: ReplayRows | None

    @classmethod
    def of(cls, terms: Terms, like: AttentionMap) -> _Rows:
        """Those of `terms`, of maps that are like this one."""
        S, G, A = terms.logits, terms.bias, terms.attention
        return cls(
            bias=None if G is None else BiasRows.of(G),
            content=None if S is None else ContentRows.of(S),
            attention=None if A is None else AttentionRows.of(A, terms),
            replay=ReplayRows.of(terms, like.compute_dtype) if like.attention_recorded else None,
        )


def measure(map: AttentionMap, pairs: Pairs | None = None) -> Measurement:
    """All metrics of `map`, with None and a reason where one has no value.

    `pairs` are the tables of the map's structure, made of it if left out: pass them where several
    heads share them. Lengths are in Å, bias and entropy in nats.
    Nothing raises on non-finite, constant or tiny maps. The map is taken in blocks of queries, so
    that little more memory is held than the map and the tables.
    """
    (found,) = measure_heads([map], pairs)
    return found


# Hostile numbers overflow on the way; what comes out not finite has no value.
@np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore")
def measure_heads(maps: Sequence[AttentionMap], pairs: Pairs | None = None) -> list[Measurement]:
    """What `measure` says of each of `maps`, which are of one layer and structure.

    The numbers of a map are the same, bit for bit, whatever it is measured with. Those of one kind
    are taken together, which takes half the time where they are small; more than `heads_at_once`
    save nothing, and have as much more memory held.
    """
    if not maps:
        return []
    pairs = Pairs.of(maps[0].structure) if pairs is None else pairs
    together: dict[object, list[int]] = defaultdict(list)
    kinds = [Kind.of(map) for map in maps]
    for place, kind in enumerate(kinds):
        together[kind if kind.whole else place].append(place)
    found: dict[int, Measurement] = {}
    for places in together.values():
        chosen = [maps[place] for place in places]
        found |= zip(places, _measure_alike(chosen, kinds[places[0]], pairs), strict=True)
    return [found[place] for place in range(len(maps))]


def heads_at_once(n_residues: int) -> int:
    """How many maps of so many residues are best measured together."""
    return max(1, _AT_ONCE // max(1, n_residues**2))


def _measure_alike(maps: Sequence[AttentionMap], kind: Kind, pairs: Pairs) -> list[Measurement]:
    """The measurements of maps of one `kind`; one that isn't whole is alone."""
    whole, finite, nonfinite = _in_blocks(maps, kind, pairs)
    return [
        _measurement(map, pairs, None if whole is None else of_head(whole, head), finite, nonfinite)
        for head, map in enumerate(maps)
    ]


def _in_blocks(
    maps: Sequence[AttentionMap], kind: Kind, pairs: Pairs
) -> tuple[_Rows | None, Booleans, int]:
    """What is known of the finite rows, None where there is none; which they are, [N].

    And the number of values that are not finite.
    """
    parts: list[_Rows] = []
    finite = np.zeros(pairs.n_residues, dtype=bool)
    nonfinite = 0
    for groups in pairs.blocks:
        terms = Terms.of(maps, groups, kind)
        finite[groups.queries] = terms.rows
        nonfinite += terms.nonfinite
        if terms.rows.any():
            parts.append(_Rows.of(terms, maps[0]))
    return joined(parts) if parts else None, finite, nonfinite


def _measurement(
    map: AttentionMap, pairs: Pairs, rows: _Rows | None, finite: Booleans, nonfinite: int
) -> Measurement:
    """The measurement of `map`, whose `finite` rows [N] are known by `rows`."""
    results: Results = dict.fromkeys((m.name for m in METRICS), Missing("not recorded"))
    results["gamma"] = Missing("gamma was not recorded") if map.gamma is None else map.gamma
    judged = None
    if rows is not None:
        results |= _of_rows(rows, finite, map, pairs)
        if rows.replay is not None:
            judged = replay(map, pairs, rows.replay)
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
