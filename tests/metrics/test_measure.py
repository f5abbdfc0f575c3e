"""Every metric against a second implementation: slow, obvious, loops in float64."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import bare
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_maps import random_map

from igaviz.dump.data import AttentionMap, Mask, Structure
from igaviz.format import METRIC_NAMES, MapId
from igaviz.metrics import (
    METRICS,
    Pairs,
    contacts,
    distance,
    groups,
    measure,
    measure_heads,
    rows,
    terms,
)

ID = MapId("run", "train", 100, 0, 0, 3, 0)


def structure(ca, chain=None, reference=None):
    n = len(ca)
    return Structure(
        name="x",
        ca=np.asarray(ca, dtype=np.float64),
        ca_reference=reference,
        residue_index=np.arange(n),
        chain_index=np.zeros(n, dtype=np.int64) if chain is None else chain,
        length_unit="angstrom",
    )


def measured(where, S, G, A, **more):
    given = {"logits_before": S, "geo_bias": G, "attention": A}
    terms = {k: None if v is None else np.asarray(v, np.float32) for k, v in given.items()}
    return measure(AttentionMap(ID, where, **{"gamma": 1.0, **terms, **more}), Pairs.of(where))


# --- the slow implementation ---------------------------------------------------------------------


def softmax_rows(logits):
    rows = []
    for row in logits:
        top = max(row)
        weights = [math.exp(x - top) for x in row]
        rows.append([w / sum(weights) for w in weights])
    return rows


def std(values):
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values))


def enrichment(A, pairs, local):
    chosen = math.fsum(A[i][j] for i, j in pairs if local[i][j])
    share = chosen / math.fsum(A[i][j] for i, j in pairs)
    return share / (sum(local[i][j] for i, j in pairs) / len(pairs))


def ranks(values):
    ordered = sorted(values)
    return [(ordered.index(v) + len(ordered) - 1 - ordered[::-1].index(v)) / 2 for v in values]


def spearman(xs, ys):
    a, b = ranks(xs), ranks(ys)
    ma, mb = sum(a) / len(a), sum(b) / len(b)
    top = sum((p - ma) * (q - mb) for p, q in zip(a, b, strict=True))
    return top / (len(a) * std(a) * std(b))


def bins_of(term, d, pairs):
    found = {}
    for i, j in pairs:
        found.setdefault(math.floor(d[i][j]), []).append(term[i][j])
    return {k: math.fsum(v) / len(v) for k, v in sorted(found.items()) if len(v) >= 20}


def geo_range(G, d, pairs):
    means = [(k + 0.5, m) for k, m in bins_of(G, d, pairs).items() if k >= 3]
    for (x0, y0), (x1, y1) in itertools.pairwise(means):
        level = means[0][1] - 1
        if y1 <= level:
            return x0 + (y0 - level) / (y0 - y1) * (x1 - x0)
    return "beyond"


def slow(where, S, G, A):
    n = len(A)
    S, G, A = (np.asarray(t, np.float32).astype(float).tolist() for t in (S, G, A))
    ca, chain, number = where.ca, where.chain_index, where.residue_index
    d = [[float(np.float32(math.dist(ca[i], ca[j]))) for j in range(n)] for i in range(n)]
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    local = [[i != j and d[i][j] < 8 for j in range(n)] for i in range(n)]
    far = [(i, j) for i, j in pairs if chain[i] != chain[j] or abs(int(number[i] - number[j])) >= 6]
    blind, alone = softmax_rows(S), softmax_rows(G)
    replayed = softmax_rows(
        [[s + g for s, g in zip(r, q, strict=True)] for r, q in zip(S, G, strict=True)]
    )
    over_pairs = [G[i][j] for i, j in pairs]
    near = [[j for j in range(n) if d[i][j] < 15] for i in range(n)]
    near_rows = [i for i in range(n) if len(near[i]) >= 3]
    out = {
        "gamma": 1.0,
        "geo_bias_mean": math.fsum(over_pairs) / len(pairs),
        "geo_bias_std": std(over_pairs),
        "geo_bias_absmax": max(map(abs, over_pairs)),
        "geo_bias_std_near": np.median([std([G[i][j] for j in near[i]]) for i in near_rows]),
        "geometry_ratio": np.median([std(G[i]) / std(S[i]) for i in range(n)]),
        "geometry_ratio_near": np.median(
            [std([G[i][j] for j in near[i]]) / std([S[i][j] for j in near[i]]) for i in near_rows]
        ),
        "geo_range": geo_range(G, d, pairs),
        "neighbour_shift": np.mean([G[i][j] - sum(G[i]) / n for i, j in pairs if local[i][j]]),
        "bias_trend": spearman(*zip(*bins_of(G, d, pairs).items(), strict=True)),
        "attention_trend": spearman(*zip(*bins_of(A, d, pairs).items(), strict=True)),
        "local_attn": np.mean([A[i][j] for i, j in pairs if local[i][j]]),
        "global_attn": np.mean([A[i][j] for i, j in pairs if not local[i][j]]),
        "local_mass": np.mean([sum(A[i][j] for j in range(n) if local[i][j]) for i in range(n)]),
        "local_enrichment": enrichment(A, pairs, local),
        "local_gain": enrichment(A, pairs, local) / enrichment(blind, pairs, local),
        "longrange_enrichment": enrichment(A, far, local),
        "longrange_gain": enrichment(A, far, local) / enrichment(blind, far, local),
        "self_mass": np.mean([A[i][i] for i in range(n)]),
        "saturation": np.mean([max(row) > 0.9 for row in A]),
        "content_saturation": np.mean([max(row) > 0.9 for row in blind]),
        "sink": max(sum(A[i][j] for i in range(n)) / n for j in range(n)),
        "entropy": np.mean([-sum(a * math.log(a) for a in row if a > 0) for row in A]),
        "mean_distance": sum(A[i][j] * d[i][j] for i, j in pairs) / sum(A[i][j] for i, j in pairs),
        "row_sum_error": max(abs(sum(row) - 1) for row in A),
        "replay_error": max(abs(A[i][j] - replayed[i][j]) for i in range(n) for j in range(n)),
        "nonfinite": 0,
    }
    for name, other in (("geometry_effect", blind), ("content_effect", alone)):
        out[name] = np.mean(
            [sum(abs(A[i][j] - other[i][j]) for j in range(n)) / 2 for i in range(n)]
        )
    out["local_global_ratio"] = out["local_attn"] / out["global_attn"]
    out["uniform_kl"] = math.log(n) - out["entropy"]
    out |= slow_sequence_share(S, number, chain) | slow_contacts(A, d, far)
    return out


def slow_sequence_share(S, number, chain):
    n = len(S)
    centred = {(i, j): S[i][j] - sum(S[i]) / n for i in range(n) for j in range(n)}
    classes = {}
    for (i, j), value in centred.items():
        offset = max(-32, min(32, int(number[j] - number[i])))
        classes.setdefault(offset if chain[i] == chain[j] else "other", []).append(value)
    explained = sum(sum(v) ** 2 / len(v) for v in classes.values())
    return {"sequence_share": explained / sum(v**2 for v in centred.values())}


def slow_contacts(A, d, far):
    n = len(A)
    M = [[A[i][j] + A[j][i] if i != j else 0.0 for j in range(n)] for i in range(n)]
    sums = [math.fsum(row) for row in M]
    total = math.fsum(sums)
    candidates = [(i, j) for i, j in far if i < j]
    scored = sorted(
        candidates, key=lambda p: (-(M[p[0]][p[1]] - sums[p[0]] * sums[p[1]] / total), p)
    )
    chosen = scored[: min(n, len(candidates))]
    precision = np.mean([d[i][j] < 8 for i, j in chosen])
    return {
        "contact_precision": precision,
        "contact_lift": precision / np.mean([d[i][j] < 8 for i, j in candidates]),
    }


def example(n=40, seed=0, scale=1.0):
    ca = bare.helix(n, seed)
    data = bare.terms(ca, 1, seed=seed)
    S, G = scale * data["logits_before"][0], data["geo_bias"][0]
    return ca, S, G, bare.softmax(S + G)


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("two_chains", [False, True])
@pytest.mark.parametrize("stored", [np.float32, np.float16])
def test_every_metric_is_what_the_slow_one_says(scale, two_chains, stored):
    ca, S, G, A = example(scale=scale)
    A = A.astype(stored)
    where = structure(ca, (np.arange(40) >= 25).astype(np.int64) if two_chains else None)
    found, expected = measured(where, S, G, A), slow(where, S, G, A)
    assert METRIC_NAMES == {metric.name for metric in METRICS} == set(expected) == set(found.values)
    for name, value in expected.items():
        if isinstance(value, str):
            assert found.values[name] == value, name
        else:
            assert found.values[name] == pytest.approx(value, rel=2e-5, abs=2e-6), name


def test_the_clean_structure_decides_what_is_a_contact():
    ca, S, G, A = example()
    noisy = ca + np.random.default_rng(0).normal(scale=15.0, size=ca.shape)
    clean = measured(structure(ca), S, G, A).values["contact_precision"]
    assert measured(structure(noisy, reference=ca), S, G, A).values["contact_precision"] == clean
    assert measured(structure(noisy), S, G, A).values["contact_precision"] != clean


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(12, 60))
def test_blind_attention_is_enriched_exactly_once(seed, n):
    ca = bare.helix(n, seed)
    uniform = np.full((n, n), 1 / n)
    zero = np.zeros((n, n))
    values = measured(structure(ca), zero, zero, uniform).values
    assert values["local_enrichment"] == pytest.approx(1, rel=1e-6)
    assert values["uniform_kl"] == pytest.approx(0, abs=1e-6)
    assert values["geometry_effect"] == pytest.approx(0, abs=1e-6)
    assert values["bias_trend"] is None


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_moving_the_structure_and_offsets_per_row_change_nothing(seed):
    ca, S, G, A = example(30, seed % 7)
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    base = measured(structure(ca), S, G, A).values
    moved = measured(structure(ca @ turn + rng.normal(scale=50, size=3)), S, G, A).values
    for name in ("local_mass", "geo_bias_std_near", "mean_distance", "longrange_gain"):
        assert moved[name] == pytest.approx(base[name], rel=1e-3), name
    shifted = measured(structure(ca), S, G + rng.normal(size=(30, 1)), A).values
    for name in ("geometry_ratio", "geometry_ratio_near", "content_effect", "neighbour_shift"):
        assert shifted[name] == pytest.approx(base[name], rel=1e-3, abs=1e-5), name


def test_rows_with_non_finite_values_are_left_out_and_counted():
    ca, S, G, A = example()
    bad = S.copy()
    bad[3, 7] = np.nan
    bad[9, 0] = np.inf
    values = measured(structure(ca), bad, G, A).values
    kept = np.delete(np.arange(40), [3, 9])
    assert values["nonfinite"] == 2
    assert values["self_mass"] == pytest.approx(A.diagonal()[kept].mean(), rel=1e-5)
    assert values["geometry_ratio"] == pytest.approx(
        np.median(G[kept].std(axis=1) / S[kept].std(axis=1)), rel=1e-5
    )


def test_logits_that_are_the_same_for_all_near_keys_do_not_vary_there():
    ca, S, G, A = example()
    distance = np.linalg.norm(ca[:, None] - ca[None], axis=-1)
    S = np.where(distance < 15, np.float32(1 / 3), np.float32(-2000.1) + S)
    found = measured(structure(ca), S, G, A)
    assert found.values["geometry_ratio_near"] is None
    assert found.reasons["geometry_ratio_near"] == "the logits of no query vary"
    assert found.values["geometry_ratio"] is not None


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.1, 3.0, 200.0, -0.5]))
def test_the_entropy_is_the_same_however_many_digits_the_weights_have(seed, scale):
    rng = np.random.default_rng(seed)
    exact = (scale * rng.dirichlet(np.full(12, 0.1), 12)).astype(np.float16).astype(np.float32)
    ca, S, G, _ = example(12)
    one_more = exact.copy()
    one_more[0, 0] = np.nextafter(exact[0, 0], np.float32(1))  # which float16 hasn't
    here, there = (measured(structure(ca), S, G, A).values["entropy"] for A in (exact, one_more))
    assert here == pytest.approx(there, rel=1e-6, abs=1e-6)
    positive = np.maximum(exact.astype(np.float64), np.finfo(np.float32).tiny)
    assert here == pytest.approx(-(exact * np.log(positive)).sum(axis=1).mean(), rel=1e-5)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2), (2, 1, 0), (0, 2), (0, 0)])
def test_maps_that_lie_in_one_array_are_measured_as_they_are_alone(order):
    ca = bare.helix(40, 0)
    data = bare.terms(ca, 3, seed=0)
    S, G = (data[name].astype(np.float32) for name in ("logits_before", "geo_bias"))
    A = bare.softmax(S + G).astype(np.float32)
    maps = [
        AttentionMap(ID, structure(ca), gamma=1.0, logits_before=s, geo_bias=g, attention=a)
        for s, g, a in zip(S, G, A, strict=True)
    ]
    together = measure_heads([maps[head] for head in order])
    alone = [
        measure(
            replace(
                maps[head],
                logits_before=S[head].copy(),
                geo_bias=G[head].copy(),
                attention=A[head].copy(),
            )
        )
        for head in order
    ]
    assert [m.values for m in together] == [m.values for m in alone]


def test_a_mask_is_no_sickness():
    ca, S, G, _ = example()
    S = S.copy()
    S[:, 30:] = -np.inf
    values = measured(structure(ca), S, G, bare.softmax(S + G)).values
    assert values["nonfinite"] == 0
    assert values["replay_error"] == pytest.approx(0, abs=1e-6)
    assert values["geometry_ratio"] == pytest.approx(
        np.median(G[:, :30].std(axis=1) / S[:, :30].std(axis=1)), rel=1e-5
    )


def test_what_padding_leaves_out_is_not_called_broken():
    ca, S, G, A = example()
    S[:, 5] = S[5] = -np.inf
    A[:, 5] = 0
    mask = Mask(value=-1e9, pairs=2 * len(S) - 1, keys=1)
    found = measured(structure(ca), S, G, A, mask=mask)
    assert found.values["contact_lift"] is None
    assert found.reasons["contact_lift"] == "some queries have no key: padding"
    S[7, 7] = np.nan
    found = measured(structure(ca), S, G, A, mask=mask)
    assert found.reasons["contact_lift"] == "some rows are not finite"


@pytest.mark.parametrize("n", [1, 2, 3])
def test_tiny_maps_have_reasons_instead_of_numbers(n):
    ca, S, G, A = example(n)
    found = measured(structure(ca), S, G, A)
    for metric in METRICS:
        value = found.values[metric.name]
        assert value is not None or found.reasons[metric.name]
        assert not isinstance(value, float) or math.isfinite(value)
    if n == 1:
        there = {name for name, value in found.values.items() if value is not None}
        assert there == {"gamma", "self_mass", "entropy", "row_sum_error", "nonfinite"}


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf, 3e38])
def test_maps_of_one_bad_value_raise_nothing(broken):
    ca, *_ = example()
    for n in (1, 2, 40):
        bad = np.full((n, n), broken)
        measured(structure(ca[:n]), bad, bad, bad)
        measured(structure(np.full((n, 3), broken)), bad, bad, bad)


def test_what_was_not_recorded_is_named():
    ca, S, _, A = example()
    found = measured(structure(ca), S, None, A)
    assert found.values["geometry_ratio"] is None
    assert found.reasons["geometry_ratio"] == "geo_bias was not recorded"
    assert found.values["geometry_effect"] is not None
    assert found.replay is None


def without_some_keys(S, G):
    """The logits where a mask of pairs leaves out the last 9 of 40 keys, but for those queries."""
    logits = S + G
    logits[:31, 31:] = -np.inf
    logits[31:] = 0
    return logits


def without_later_blocks(S, G):
    """The logits where a query sees its own block of 10 residues, and those before it."""
    block = np.arange(40) // 10
    return np.where(block > block[:, None], -np.inf, S + G)


GAMMA = 0.2
READINGS = {
    None: lambda S, G: S + G,
    "without geometry": lambda S, G: S,
    "geometry subtracted": lambda S, G: S - G,
    "geometry without γ": lambda S, G: S + GAMMA * G,
    "geometry alone": lambda S, G: G,
    "later keys masked": without_later_blocks,
    "keys masked": without_some_keys,
}


@pytest.mark.parametrize("fits", READINGS)
def test_replay_says_which_reading_fits(fits):
    ca, S, G, _ = example()
    A = bare.softmax(READINGS[fits](S, G))
    replay = measured(structure(ca), S, G, A, gamma=GAMMA).replay
    assert replay.judged_rows == 40
    assert replay.fits == fits
    assert (replay.failed_rows > 2) == (fits is not None)
    assert replay.masked_keys == (9 if fits == "keys masked" else 0)


def test_attention_with_swapped_axes_and_a_small_gamma_that_was_left_out_are_seen():
    """γ so small that the map would pass for one without geometry, had it no better reading."""
    ca, S, G, A = example()
    turned = measured(structure(ca), S, G, np.ascontiguousarray(A.T)).replay
    assert turned.failed_rows > 2
    assert turned.fits == "attention transposed"
    A = bare.softmax(S + 0.001 * G)
    assert np.abs(A - bare.softmax(S)).max() < 5e-3
    assert measured(structure(ca), S, G, A, gamma=0.001).replay.fits == "geometry without γ"
    for unknown in (None, np.nan):
        replay = measured(structure(ca), S, G, A, gamma=unknown).replay
        assert replay.fits == "without geometry"


def test_that_one_residue_sees_itself_alone_proves_no_padding():
    """Causal attention whose last 14 keys are padding: the first row fits whatever is left out."""
    ca, S, G, _ = example()
    hidden = ~np.tri(40, dtype=bool) | (np.arange(40) >= 26)
    replay = measured(structure(ca), S, G, bare.softmax(np.where(hidden, -np.inf, S + G))).replay
    assert replay.failed_rows > 35
    assert (replay.fits, replay.masked_keys) == (None, 0)


def test_the_tolerance_told_is_that_of_rows_which_need_one():
    ca, S, G, A = example()
    sound = measured(structure(ca), S, G, A, compute_dtype="bfloat16").replay
    assert (sound.failed_rows, sound.tolerance) == (0, 5e-3)
    A[7] = np.roll(A[7], 1)
    spoilt = measured(structure(ca), S, G, A, compute_dtype="bfloat16").replay
    counted = np.maximum(A[7], bare.softmax(S + G)[7]) > 1e-3
    largest = (np.abs(S[7]) + np.abs(G[7]))[counted].max()
    assert spoilt.tolerance == pytest.approx(5e-3 + 2 * 2.0**-9 * largest)


def test_one_hot_attention_is_not_taken_for_masked_keys():
    """Each row would fit without the keys that it gives nothing: they aren't the same keys."""
    ca, S, G, _ = example()
    replay = measured(structure(ca), S, G, np.eye(40, dtype=np.float32)).replay
    assert replay.failed_rows == 40
    assert (replay.fits, replay.masked_keys) == (None, 0)


def test_a_row_that_is_too_coarse_to_replay_leaves_the_others_judged():
    ca, S, G, _ = example()
    A = bare.softmax(S)  # geometry never entered
    S[3] *= 1e5
    replay = measured(structure(ca), S, G, A, compute_dtype="bfloat16").replay
    assert (replay.coarse_rows, replay.judged_rows) == (1, 39)
    assert replay.failed_rows > 2
    assert replay.fits == "without geometry"
    assert replay.tolerance <= 0.1
    assert replay.error <= replay.error_of_all
    S *= 1e5
    found = measured(structure(ca), S, G, A, compute_dtype="bfloat16")
    assert (found.replay.coarse_rows, found.replay.judged_rows) == (40, 0)
    assert (found.replay.failed_rows, found.replay.error, found.replay.fits) == (0, 0.0, None)
    assert found.values["replay_error"] == found.replay.error_of_all > 0.1


def spoil(map, how):
    """`map` as it is, or one that can't be computed as the others of its layer are."""
    if how == "large":
        map = replace(map, logits_before=40 * map.logits_before)
    elif how == "huge":
        map = replace(map, geo_bias=np.float32(1e30) * map.geo_bias)
    elif how == "nan":
        map.attention[0, 3] = np.nan
    elif how == "masked":
        map.logits_before[:, 5] = -np.inf
        map.attention[:, 5] = 0
    elif how == "without geometry":
        map = replace(map, geo_bias=None)
    return map


KINDS = st.sampled_from(["whole", "large", "huge", "nan", "masked", "without geometry"])


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(8, 60),
    st.lists(KINDS | st.just("whole"), min_size=2, max_size=9),
    st.integers(1, 4),
)
def test_the_numbers_of_a_head_are_the_same_whatever_it_is_measured_with(seed, n, kinds, at_once):
    where = random_map(n, seed).structure
    maps = [
        replace(spoil(random_map(n, seed + k), how), structure=where) for k, how in enumerate(kinds)
    ]
    pairs = Pairs.of(where)
    alone = [measure(map, pairs) for map in maps]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "_AT_ONCE", at_once * n * n)
        together = measure_heads(maps, pairs)
    assert [repr(found) for found in together] == [repr(found) for found in alone]


def test_how_heads_lie_in_memory_does_not_matter():
    """Stacked, arrays that lie by columns lie so too, and what is set in a flat copy is lost."""
    maps = [random_map(20, seed) for seed in range(3)]
    maps = [replace(map, structure=maps[0].structure) for map in maps]
    by_columns = [
        replace(
            map,
            logits_before=np.asfortranarray(map.logits_before),
            geo_bias=np.asfortranarray(map.geo_bias),
            attention=np.asfortranarray(map.attention),
        )
        for map in maps
    ]
    assert [repr(m) for m in measure_heads(by_columns)] == [repr(m) for m in measure_heads(maps)]


def test_a_map_is_looked_over_as_often_for_many_blocks_as_for_one(monkeypatch):
    """A replay that fails takes the map's blocks once for each reading."""
    map = random_map(60, 0)
    map = replace(map, attention=np.ascontiguousarray(map.attention[:, ::-1]))
    looked = []
    of = terms.Kind.of
    monkeypatch.setattr(terms.Kind, "of", lambda map: looked.append(map) or of(map))
    assert measure(map, Pairs.of(map.structure)).replay.failed_rows > 10
    once = len(looked)
    monkeypatch.setattr(distance, "BLOCK", 60 * 6)
    pairs = Pairs.of(map.structure)
    assert len(pairs.blocks) == 10
    measure(map, pairs)
    assert len(looked) == 2 * once


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(30, 70), st.integers(1, 9), st.integers(0, 5))
def test_blocks_of_queries_give_what_the_whole_gives(seed, n, rows, spoiled):
    map = random_map(n, seed, spoiled)
    if seed % 3 == 0:
        map.logits_before[:, n // 2] = -np.inf  # masked where attention is 0
        map.attention[:, n // 2] = 0
    whole = measure(map, Pairs.of(map.structure))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distance, "BLOCK", rows * n)
        patch.setattr(contacts, "_TILE", rows * n)
        patch.setattr(groups, "FEW_RESIDUES", 0)  # classes in 16 bits
        pairs = Pairs.of(map.structure)
        assert len(pairs.blocks) == -(-n // rows)
        found = measure(map, pairs)
    for name, value in whole.values.items():
        if isinstance(value, float):
            assert found.values[name] == pytest.approx(value, rel=1e-5, abs=1e-6), name
        else:
            assert found.values[name] == value, name
    assert found.reasons == whole.reasons
    if whole.replay is not None:
        assert found.replay.error == pytest.approx(whole.replay.error, abs=1e-6)
        assert found.replay.failed_rows == whole.replay.failed_rows
        assert found.replay.fits == whole.replay.fits
