"""What the further figures draw, against second implementations that take one pair at a time."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import fmean, median

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from random_maps import random_map

from igaviz.format import MapId
from igaviz.metrics import Pairs, measure
from igaviz.metrics.contact_map import ContactMap
from igaviz.metrics.effects import Effects
from igaviz.metrics.heads import HEAD_TYPES, HeadTable, head_type
from igaviz.metrics.history import Moment, telling, tracks_of
from igaviz.metrics.separation import Separations
from igaviz.metrics.sheet import Sheet, shrunk
from igaviz.metrics.variance import VarianceShares

seeds = st.integers(0, 10**6)
whole = st.builds(random_map, st.integers(2, 24), seeds)
spoiled = st.builds(random_map, st.integers(2, 20), seeds, st.integers(0, 6))


def exact_softmax(row):
    top = max(row)
    weights = [math.exp(float(x) - float(top)) for x in row]
    return [w / math.fsum(weights) for w in weights]


@settings(max_examples=30, deadline=None)
@given(spoiled)
def test_effects_are_what_loops_give_and_their_means_the_metrics(map):
    pairs = Pairs.of(map.structure)
    effects = Effects.of(map, pairs)
    values = measure(map, pairs).values
    terms = (map.logits_before, map.geo_bias, map.attention)
    for effect, without, metric in (
        (effects.geometry, map.logits_before, "geometry_effect"),
        (effects.content, map.geo_bias, "content_effect"),
    ):
        for i in range(map.n_residues):
            masked = np.isneginf(map.logits_before[i]) & (map.attention[i] == 0)
            finite = all(np.isfinite(term[i][~masked]).all() for term in terms)
            if masked.any():
                continue
            assert np.isfinite(effect.by_query[i]) == finite
            if finite:
                moved = map.attention[i] - np.array(exact_softmax(without[i]))
                assert effect.moved[i] == pytest.approx(moved, abs=2e-6)
                assert effect.by_query[i] == pytest.approx(0.5 * np.abs(moved).sum(), abs=2e-5)
        if values[metric] is None:
            assert effect is None or effect.mean is None or map.n_residues < 2
        else:
            assert effect.mean == pytest.approx(values[metric], abs=1e-6)


def covariance(one, other):
    a, b = fmean(one), fmean(other)
    return fmean((x - a) * (y - b) for x, y in zip(one, other, strict=True))


@settings(max_examples=30, deadline=None)
@given(whole, st.booleans())
def test_shares_of_variance_are_covariances_with_the_sum(map, with_pair):
    rng = np.random.default_rng(map.n_residues)
    if with_pair:
        map = replace(map, pair_bias=rng.normal(size=map.attention.shape).astype(np.float32))
    pairs = Pairs.of(map.structure)
    found = VarianceShares.of(map, pairs)
    S, G, P = map.logits_before.astype(float), map.geo_bias.astype(float), map.pair_bias
    assert found.names == ("Q·K", "pair bias", "geometry")[:: 1 if with_pair else 2]
    for part, keys in ((found.every, np.ones(pairs.near.shape, bool)), (found.near, pairs.near)):
        for i in range(map.n_residues):
            j = np.flatnonzero(keys[i])
            if part is found.near and len(j) < 3:
                assert np.isnan(part.share[:, i]).all()
                continue
            rows = [S[i, j], G[i, j]] if P is None else [S[i, j] - P[i, j], P[i, j], G[i, j]]
            total = np.sum(rows, axis=0)
            variance = covariance(total, total)
            if variance < 1e-11:
                continue
            wanted = [covariance(row, total) / variance for row in rows]
            assert part.share[:, i] == pytest.approx(wanted, rel=1e-6, abs=1e-6)
            assert part.share[:, i].sum() == pytest.approx(1)
            own = [covariance(row, row) / variance for row in rows]
            assert part.own[:, i] == pytest.approx(own, rel=1e-6, abs=1e-6)
        finite = part.share[:, np.isfinite(part.share[0])]
        assert part.rows == finite.shape[1]
        if part.rows:
            assert part.medians == pytest.approx([median(row) for row in finite])
            correlation = part.correlation
            assert np.nanmax(np.abs(correlation)) < 1 + 1e-9
            assert correlation == pytest.approx(correlation.T, nan_ok=True)


def test_a_term_that_works_against_the_sum_has_a_share_below_zero():
    map = random_map(12, 3)
    bias = -0.4 * map.logits_before
    found = VarianceShares.of(replace(map, geo_bias=bias), Pairs.of(map.structure)).every
    # with G = −0.4 S the sum is 0.6 S: S has 1 ÷ 0.6, G −0.4 ÷ 0.6
    assert found.medians == pytest.approx([1 / 0.6, -0.4 / 0.6], rel=1e-5)
    assert found.covariances == pytest.approx(1 - (1 + 0.16) / 0.36, rel=1e-5)
    assert found.correlation[0, 1] == pytest.approx(-1)


@settings(max_examples=30, deadline=None)
@given(spoiled)
@example(random_map(2, 274, 4))  # a row of −∞ has no softmax
def test_separations_go_by_residue_numbers_within_a_chain(map):
    s = map.structure
    found = Separations.of(map, Pairs.of(s))
    content = np.array([[np.nan] * map.n_residues] * map.n_residues)
    for i, row in enumerate(map.logits_before):
        if np.isfinite(row).all():
            content[i] = exact_softmax(row)
        elif np.isfinite(row).any() and not (np.isnan(row) | np.isposinf(row)).any():
            content[i] = exact_softmax(np.where(np.isfinite(row), row, -1e30))
    for curve, table in ((found.attention, map.attention), (found.content, content)):
        groups: dict[int, list[float]] = {}
        for i in range(map.n_residues):
            for j in range(map.n_residues):
                if s.chain_index[i] == s.chain_index[j] and np.isfinite(table[i, j]):
                    apart = abs(int(s.residue_index[i]) - int(s.residue_index[j]))
                    groups.setdefault(apart, []).append(float(table[i, j]))
        assert curve.bins.tolist() == sorted(groups)
        for k, apart in enumerate(sorted(groups)):
            assert curve.count[k] == len(groups[apart])
            assert curve.mean[k] == pytest.approx(fmean(groups[apart]), rel=1e-5, abs=1e-9)
            wanted = np.percentile(groups[apart], [10, 50, 90])
            assert [curve.low[k], curve.median[k], curve.high[k]] == pytest.approx(
                wanted, rel=1e-5, abs=1e-9
            )


@settings(max_examples=30, deadline=None)
@given(st.builds(random_map, st.integers(2, 40), seeds))
def test_contacts_are_ranked_by_corrected_attention(map):
    pairs = Pairs.of(map.structure)
    found = ContactMap.of(map, pairs)
    values = measure(map, pairs).values
    assert found.precision == values["contact_precision"]
    s, n = map.structure, map.n_residues
    A = map.attention.astype(float)
    both = A + A.T
    np.fill_diagonal(both, 0)
    scores = both - np.outer(both.sum(1), both.sum(1)) / both.sum()
    ranked = []
    for i in range(n):
        for j in range(i + 1, n):
            near = abs(int(s.residue_index[i]) - int(s.residue_index[j])) < 6
            candidate = not near or s.chain_index[i] != s.chain_index[j]
            assert found.candidates[i, j] == found.candidates[j, i] == candidate
            touch = candidate and math.dist(s.ca[i], s.ca[j]) < 8
            assert found.touching[i, j] == found.touching[j, i] == touch
            if candidate:
                ranked.append((-scores[i, j], i, j, touch))
    ranked = sorted(ranked)[:n]
    assert found.scores == pytest.approx(scores)
    if ranked and len({r[0] for r in ranked}) == len(ranked):
        hits = [touch for *_, touch in ranked]
        precision = [sum(hits[: k + 1]) / (k + 1) for k in range(len(hits))]
        assert found.attention.precision == pytest.approx(precision)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.integers(1, 12), seeds)
def test_a_shrunk_map_has_the_means_of_its_blocks(n, most, seed):
    table = np.random.default_rng(seed).random((n, n)).astype(np.float32)
    if n > 3:
        table[2, 1] = np.inf
    small = shrunk(table, most)
    block = -(-n // most)
    assert len(small) == -(-n // block) <= most
    for y in range(len(small)):
        for x in range(len(small)):
            part = table[y * block : (y + 1) * block, x * block : (x + 1) * block]
            wanted = part.mean(dtype=float) if np.isfinite(part).all() else np.nan
            assert small[y, x] == pytest.approx(wanted, rel=1e-5, nan_ok=True)


def plain_type(geometry, content, saturation):
    """The definition, read from the page."""
    if saturation is not None and saturation > 0.3:
        return "one-hot"
    if geometry is None:
        return None
    if geometry < 0.08:
        return "blind"
    if content is None:
        return None
    ratio = math.inf if geometry == 0 else content / geometry
    return "content" if ratio >= 2 else "geometric" if ratio <= 0.5 else "mixed"


shares = st.none() | st.floats(0, 1) | st.sampled_from([0.0, 0.04, 0.08, 0.16, 0.3, 0.32, 1.0])


@given(shares, shares, shares)
def test_types_by_both_effects_and_saturation(geometry, content, saturation):
    values = {
        "geometry_effect": geometry,
        "content_effect": content,
        "saturation": saturation,
    }
    found = head_type(values)
    assert found == plain_type(geometry, content, saturation)
    assert found is None or found in HEAD_TYPES


def of_head(map, layer, head, batch=0):
    identity = MapId("run", "train", 7, 0, batch, layer, head)
    return measure(replace(map, id=identity), Pairs.of(map.structure))


def test_a_table_holds_the_mean_over_items_and_tells_what_is_not_recorded():
    maps = [random_map(30, seed) for seed in range(4)]
    measured = [
        of_head(maps[0], 2, 5),
        of_head(maps[1], 2, 5, batch=1),
        of_head(maps[2], 4, 1),
        of_head(maps[3], 4, 5),
    ]
    table = HeadTable.of(measured, "entropy")
    assert (table.layers, table.heads) == ((2, 4), (1, 5))
    assert table.recorded == {(2, 5), (4, 1), (4, 5)}
    assert np.isnan(table.values[0, 0])
    wanted = fmean(m.values["entropy"] for m in measured[:2])
    assert table.values[0, 1] == pytest.approx(wanted)
    assert table.medians[1] == pytest.approx(fmean(table.values[1]))
    assert not table.words
    types = HeadTable.of(measured)
    assert set(types.words) == types.recorded
    assert np.isnan(types.values).all()
    flat = of_head(replace(maps[0], geo_bias=maps[0].geo_bias * 1e-6), 2, 5)
    assert HeadTable.of([flat], "geo_range").words == {(2, 5): "beyond"}
    near = HeadTable.of(measured, "geometry_ratio_near")
    assert near.means.startswith("the geometry ratio over keys within 15 Å")
    assert "within 15 Å" in near.means
    with pytest.raises(ValueError, match="several steps"):
        HeadTable.of([*measured, replace(flat, id=flat.id._replace(step=8))])


def moment(layer, step, numbers, severity="healthy", from_maps=False):
    return Moment(layer, step, [{"gamma": n} for n in numbers], from_maps, severity)


def test_tracks_hold_medians_ranges_and_spans_between_steps():
    moments = [
        moment(0, 10, [1, 2, 9]),
        moment(3, 10, [None, 5.0], "error", from_maps=True),
        moment(0, 20, [], "warning"),
        moment(0, 40, [4, None, "beyond", 6], "warning"),
        moment(3, 40, [1], "error"),
        moment(0, 80, [7], "error"),
    ]
    first, last = tracks_of(iter(moments), ["gamma"])
    assert (first.layer, last.layer) == (0, 3)
    assert first.steps.tolist() == [10, 20, 40, 80]
    assert first.median["gamma"] == pytest.approx([2, np.nan, 5, 7], nan_ok=True)
    assert first.low["gamma"] == pytest.approx([1, np.nan, 4, 7], nan_ok=True)
    assert first.high["gamma"] == pytest.approx([9, np.nan, 6, 7], nan_ok=True)
    assert [(s.first, s.last, s.severity) for s in first.spans] == [
        (15, 60, "warning"),
        (60, 80, "error"),
    ]
    assert [(s.first, s.last, s.severity) for s in last.spans] == [(10, 40, "error")]
    assert last.from_maps.tolist() == [True, False]
    assert [m.name for m in telling("entropy")] == ["entropy"]


def test_a_sheet_is_read_one_map_at_a_time_and_is_of_one_call():
    held = []

    def one_by_one():
        for head in (3, 1):
            map = random_map(8, head)
            held.append(head)
            yield replace(map, id=map.id._replace(head=head))

    sheet = Sheet.of(one_by_one(), [1, 2, 5])
    assert [tile.head for tile in sheet.tiles] == [1, 3]
    assert sheet.tiles[0].cells == pytest.approx(
        random_map(8, 1).attention[np.ix_([1, 2, 5], [1, 2, 5])]
    )
    whole = Pairs.of(random_map(8, 3).structure).distance
    np.testing.assert_array_equal(sheet.distance, whole[np.ix_([1, 2, 5], [1, 2, 5])])
    other = random_map(8, 5)
    with pytest.raises(ValueError, match="several attention calls"):
        Sheet.of([random_map(8, 1), replace(other, id=other.id._replace(layer=9))])
    with pytest.raises(ValueError, match="none"):
        Sheet.of([])
