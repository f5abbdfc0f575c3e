"""Every number of a map: what the checks judge and the summary prints."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from igaviz.dump.data import AttentionMap
from igaviz.metrics.columns import columns_of
from igaviz.metrics.data import Measurement
from igaviz.metrics.pairs import Pairs
from igaviz.metrics.replay import replay
from igaviz.metrics.rows import Known, Rows
from igaviz.metrics.sketch import sketch
from igaviz.metrics.table import METRICS, OF_ONE_RESIDUE
from igaviz.metrics.terms import Kind
from igaviz.metrics.values import Missing, Results, settle

TERMS = ("logits_before", "geo_bias", "attention")
"""The terms that the numbers of a map come from; see `replay.asks_for_pair_bias` for one more."""


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

    The numbers of a map are the same, bit for bit, whatever it is measured with; together they take
    less time, the more so the smaller they are.
    """
    if not maps:
        return []
    pairs = Pairs.of(maps[0].structure) if pairs is None else pairs
    kinds = [Kind.of(map) for map in maps]
    together: dict[object, list[int]] = defaultdict(list)
    for place, kind in enumerate(kinds):
        together[kind if kind.whole else place].append(place)
    found: dict[int, Measurement] = {}
    for places in together.values():
        chosen = [maps[place] for place in places]
        found |= zip(places, _of_one_kind(chosen, kinds[places[0]], pairs), strict=True)
    return [found[place] for place in range(len(maps))]


def _of_one_kind(maps: Sequence[AttentionMap], kind: Kind, pairs: Pairs) -> list[Measurement]:
    """The measurements of maps of one `kind`; one that isn't whole is alone."""
    known = Known.of(maps, kind, pairs)
    columns = {} if known.rows is None else columns_of(known.rows, known.finite, maps)
    found = []
    for head, map in enumerate(maps):
        results = {name: column[head] for name, column in columns.items()}
        found.append(_measurement(map, pairs, known, head, results))
    return found


def _measurement(
    map: AttentionMap, pairs: Pairs, known: Known, head: int, of_rows: Results
) -> Measurement:
    """The measurement of `map`, the one at position `head` of those whose rows are `known`.

    `of_rows` are the metrics that come from these.
    """
    nothing = "not recorded" if known.rows is not None else "no row is finite"
    results: Results = dict.fromkeys((m.name for m in METRICS), Missing(nothing))
    results |= of_rows
    results["gamma"] = Missing("gamma was not recorded") if map.gamma is None else map.gamma
    judged = None
    if known.rows is not None:
        results |= _contacts(map, known, known.rows, head, pairs)
        if known.rows.replay is not None:
            judged = replay(map, pairs, known.rows.replay.of_head(head))
            results["replay_error"] = judged.error_of_all
    nonfinite_gamma = map.gamma is not None and not np.isfinite(map.gamma)
    results["nonfinite"] = known.nonfinite + nonfinite_gamma
    if pairs.n_residues < 2:
        single = Missing("a single residue has no pairs")
        results |= {name: single for name in results if name not in OF_ONE_RESIDUE}
    values, reasons = settle(results)
    structure = map.structure
    A = map.attention if known.finite.all() else None
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
        unplaced=pairs.unplaced,
        log_det_min=map.log_det_min,
        sigma_floor_share=map.sigma_floor_share,
        sketch=None if A is None else sketch(A),
    )


def _contacts(map: AttentionMap, known: Known, rows: Rows, head: int, pairs: Pairs) -> Results:
    A = rows.attention
    if map.attention is None or A is None:
        why = Missing("attention was not recorded")
    elif not known.finite.all():
        broken = "some rows are not finite"
        why = Missing(broken if known.nonfinite else "some queries have no key: padding")
    else:
        return pairs.contacts.measure(map.attention, A.others[head] + A.columns.values[head])
    return dict.fromkeys(("contact_precision", "contact_lift"), why)
