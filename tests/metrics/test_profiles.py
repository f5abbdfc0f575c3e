"""What the figures draw, against loops over pairs."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_maps import ODD, random_map

from igaviz.metrics import Pairs, measure
from igaviz.metrics.profiles import Profiles
from igaviz.softmax import softmax


def profiles_of(map, radius=8.0):
    return Profiles(map, Pairs.of(map.structure, radius))


def groups(map):
    """Every ordered pair with its distance, and whether it is far in sequence, by loops."""
    s = map.structure
    for i in range(map.n_residues):
        for j in range(map.n_residues):
            if i != j:
                apart = abs(int(s.residue_index[i]) - int(s.residue_index[j])) >= 6
                far = apart or s.chain_index[i] != s.chain_index[j]
                yield i, j, float(np.float32(math.dist(s.ca[i], s.ca[j]))), far


maps = st.builds(random_map, st.integers(2, 24), st.integers(0, 10**6), st.integers(0, 6))


@settings(max_examples=40, deadline=None)
@given(maps)
def test_curves_are_what_loops_give(map):
    profiles = profiles_of(map)
    content = softmax(map.logits_before)
    for curves, term in (
        (profiles.attention_curves, map.attention),
        (profiles.bias_curves, map.geo_bias),
        (profiles.content_curves, content),
    ):
        for curve, wanted in (
            (curves.everything, (False, True)),
            (curves.neighbours, (False,)),
            (curves.longrange, (True,)),
        ):
            bins: dict[int, list[float]] = {}
            for i, j, d, far in groups(map):
                if far in wanted and np.isfinite(term[i, j]):
                    bins.setdefault(math.floor(d), []).append(float(term[i, j]))
            assert curve.bins.tolist() == sorted(bins)
            for k, place in enumerate(sorted(bins)):
                values = bins[place]
                assert curve.count[k] == len(values)
                assert curve.mean[k] == pytest.approx(math.fsum(values) / len(values), rel=1e-6)
                expected = np.percentile(values, [10, 50, 90])
                found = (curve.low[k], curve.median[k], curve.high[k])
                assert found == pytest.approx(expected, rel=1e-6, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(maps, st.floats(2, 20))
def test_distribution_and_density_count_every_pair_once(map, radius):
    profiles = profiles_of(map, radius)
    edges = np.geomspace(1e-3, 0.5, 9)
    shared = profiles.distribution(edges)
    known = [(i, j, d, far) for i, j, d, far in groups(map) if np.isfinite(map.attention[i, j])]
    for counted, chosen in (
        (shared.local, [p for p in known if p[2] < radius]),
        (shared.local_longrange, [p for p in known if p[2] < radius and p[3]]),
        (shared.distant, [p for p in known if p[2] >= radius]),
    ):
        values = np.array([map.attention[i, j] for i, j, *_ in chosen], dtype=np.float64)
        assert counted.counts.tolist() == np.histogram(values, edges)[0].tolist()
        assert counted.below == (values < edges[0]).sum()
        assert counted.above == (values > edges[-1]).sum()

    grid = profiles.density(np.array([0.0, 5.0, 10.0]), np.array([0.0, 0.1, 0.2]))
    assert grid.count.sum() == sum(d <= 10 for *_, d, _ in known)
    lowest = [(i, j) for i, j, d, _ in known if d < 5 and map.attention[i, j] < np.float32(0.1)]
    assert grid.count[0, 0] == len(lowest)
    bias = [float(map.geo_bias[p]) for p in lowest if np.isfinite(map.geo_bias[p])]
    if bias:
        assert grid.bias[0, 0] == pytest.approx(math.fsum(bias) / len(bias))
    else:
        assert np.isnan(grid.bias[0, 0])


def test_levels_and_range_are_the_metrics():
    map = random_map(60, 3)
    pairs = Pairs.of(map.structure)
    values = measure(map, pairs).values
    profiles = Profiles(map, pairs)
    assert profiles.local_level.mean == pytest.approx(values["local_attn"], rel=1e-6)
    assert profiles.global_level.mean == pytest.approx(values["global_attn"], rel=1e-6)
    assert profiles.geo_range == pytest.approx(values["geo_range"])
    blind = Profiles(replace(map, geo_bias=map.geo_bias * 0), pairs)
    assert blind.geo_range == "beyond"


def test_a_row_is_cut_out_of_the_map():
    map = random_map(20, 5)
    row = profiles_of(map).row(7)
    distance = np.linalg.norm(map.structure.ca - map.structure.ca[7], axis=1)
    local = (distance < 8) & (np.arange(20) != 7)
    assert (row.neighbours | row.longrange).tolist() == local.tolist()
    assert not (row.neighbours & row.longrange).any()
    assert row.local_mass == pytest.approx(map.attention[7, local].sum())
    assert row.attention.tolist() == map.attention[7].tolist()
    map.attention[7, np.flatnonzero(local)[0]] = np.nan
    assert profiles_of(map).row(7).local_mass is None


def test_non_finite_values_are_counted_by_kind():
    map = random_map(10, 1)
    map.logits_before[2, :3] = ODD
    map.logits_before[5, 5] = np.nan
    counted = profiles_of(map).non_finite
    assert set(counted) == {"logits_before", "logits_after"}
    found = counted["logits_before"]
    assert (found.nan, found.plus_infinity, found.minus_infinity) == (2, 1, 1)


@pytest.mark.parametrize("n", [0, 1])
def test_without_pairs_everything_is_empty(n):
    profiles = profiles_of(random_map(n, 0))
    assert not len(profiles.attention_curves.everything.bins)
    assert profiles.local_level.n == 0
    assert profiles.local_level.mean is None
    assert profiles.geo_range is None
    assert profiles.distribution(np.array([0.0, 1.0])).distant.counts.sum() == 0


def test_missing_terms_are_none():
    map = random_map(8, 2)
    bare = profiles_of(replace(map, attention=None, geo_bias=None, logits_before=None))
    assert bare.attention_curves is None
    assert bare.bias_curves is None
    assert bare.content is None
    assert bare.geo_range is None
    assert bare.distribution(np.array([0.0, 1.0])) is None
    assert bare.density(np.array([0.0, 1.0]), np.array([0.0, 1.0])) is None
    assert bare.local_level is None
