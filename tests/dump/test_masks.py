"""A mask inside the logits is read as −∞; large logits that are none stay as they are."""

from __future__ import annotations

import bare
import h5py
import numpy as np
import pytest
from diverged import LAYERS, ONE_REPELS
from hypothesis import assume, example, given
from hypothesis import strategies as st

from igaviz import diagnose, open_dump
from igaviz.dump import AttentionMap, Structure, read_maps
from igaviz.dump.masks import with_masks_read
from igaviz.format import MapId
from igaviz.metrics import measure
from igaviz.softmax import softmax

N, HEADS = 44, 2
LOWEST = float(np.finfo(np.float32).min)
FIRST = np.arange(N)
PADDED = FIRST >= 33
MASKS = {
    "keys": np.broadcast_to(PADDED, (N, N)),
    "keys and queries": PADDED | PADDED[:, None],
    "later keys": FIRST[:, None] < FIRST,
    "far keys": abs(FIRST - FIRST[:, None]) > 15,
    "a few pairs": np.random.default_rng(0).random((N, N)) < 0.05,
}


def half(logits, value):
    """What adding the mask in float16 and cutting off what overflows leaves."""
    with np.errstate(over="ignore"):
        return np.maximum((logits + value).astype(np.float16), np.float16(-65504))


WAYS = {
    "added": (-1e4, np.add),
    "added, large": (-1e9, np.add),
    "put in its place": (-1e9, lambda logits, value: np.full_like(logits, value)),
    "lowest float32": (LOWEST, np.add),
    "in float16": (-65504.0, half),
}


def terms(strength=1.0):
    """S and G [H, N, N] of a dump, and its coordinates."""
    ca = bare.helix(N)
    data = bare.terms(ca, HEADS)
    return strength * data["logits_before"], data["geo_bias"], ca


def under(S, mask, way):
    """S with that mask in it, added or put there in that way."""
    value, how = WAYS[way]
    return np.where(mask, how(S, np.float32(value)), S).astype(np.float32)


def as_map(S, G, A, ca=None):
    """A map of these terms, [N, N], read from nowhere."""
    ca = bare.helix(len(S)) if ca is None else ca
    numbers = np.arange(len(S))
    structure = Structure("x", ca, numbers, np.zeros_like(numbers), "angstrom")
    place = MapId("run", "train", 500, 0, 0, 0, 0)
    return AttentionMap(place, structure, logits_before=S, geo_bias=G, attention=A)


def write(path, S, G, A, ca, **more):
    with h5py.File(path, "w") as file:
        item = bare.add_item(bare.start(file), 500, 0, ca)
        bare.add_layer(item, 0, logits_before=S, geo_bias=G, attention=A, **more)
        bare.finish(file)
    return open_dump(path)


def maps_of(dump):
    return [found for entry in dump.entries for found in read_maps(entry)]


def told(dump):
    """What a diagnosis finds, but for masks; and what it says of these."""
    findings = diagnose(dump).findings
    return (
        [(f.id, f.layer, f.heads, f.value) for f in findings if f.id != "D005"],
        [f for f in findings if f.id == "D005"],
    )


CASES = [(way, mask, 1.0) for way in WAYS for mask in MASKS] + [
    (way, mask, 300.0) for way in ("added, large", "lowest float32") for mask in MASKS
]


@pytest.mark.parametrize(("way", "mask", "strength"), CASES)
def test_a_dump_with_a_mask_says_what_it_says_with_minus_infinity(tmp_path, way, mask, strength):
    S, G, ca = terms(strength)
    masked = under(S, MASKS[mask], way)
    A = bare.softmax(masked + G)
    dump = write(tmp_path / "masked.h5", masked, G, A, ca, logits_after=masked + G)
    right = np.where(MASKS[mask], -np.inf, S).astype(np.float32)
    true = write(tmp_path / "masked_right.h5", right, G, np.where(MASKS[mask], 0, A), ca)
    for found, expected in zip(maps_of(dump), maps_of(true), strict=True):
        shut = MASKS[mask] | MASKS[mask].all(axis=0)[:, None]
        np.testing.assert_array_equal(np.isneginf(found.logits_before), shut)
        np.testing.assert_array_equal(np.isneginf(found.logits_after), shut)
        assert found.mask.pairs == MASKS[mask].sum()
        assert measure(found).values == measure(expected).values
    findings, (of_mask,) = told(dump)
    assert findings == told(true)[0]
    assert (of_mask.layer, of_mask.batch, str(of_mask.severity)) == (None, 0, "note")
    padded = "hides 11 of 44 keys: padding was recorded" in of_mask.message
    assert padded == mask.startswith("keys")


@pytest.mark.parametrize("value", [-1e9, -np.inf])
def test_queries_of_padding_are_left_out_whatever_their_attention(value):
    """What is said of content, geometry and queries is what it is without the padding."""
    S, G, ca = terms()
    masked = np.where(PADDED, np.float32(value), S[0])
    A = bare.softmax(masked + G[0])
    numbers = measure(with_masks_read(as_map(masked, G[0], A, ca))).values
    valid = np.ix_(~PADDED, ~PADDED)
    expected = measure(as_map(S[0][valid], G[0][valid], A[valid], ca[~PADDED])).values
    for name in (
        *("geometry_ratio", "geometry_ratio_near", "geometry_effect", "content_effect"),
        *("geo_bias_std", "geo_bias_std_near", "geo_bias_absmax", "neighbour_shift", "geo_range"),
        *("sequence_share", "content_saturation", "saturation", "entropy", "self_mass"),
        *("local_mass", "nonfinite"),
    ):
        assert numbers[name] == pytest.approx(expected[name], rel=1e-5), name


@pytest.mark.parametrize(("of_keys", "of_queries"), [(-1e9, -1e9), (-1e4, -1e4), (-1e4, -1e9)])
def test_two_masks_that_add_up_are_both_read(of_keys, of_queries):
    """Also of very different size: nothing but the larger stood out of all."""
    S, G, _ = terms()
    both = (S[0] + PADDED * of_keys + PADDED[:, None] * of_queries).astype(np.float32)
    found = with_masks_read(as_map(both, G[0], bare.softmax(both + G[0])))
    np.testing.assert_array_equal(np.isneginf(found.logits_before), MASKS["keys and queries"])


def test_a_mask_is_read_where_a_smaller_number_is_attended():
    """What looks like a second mask is none where it gets attention; the larger one is."""
    S, G, _ = terms()
    later = MASKS["later keys"]
    logits = np.where(later, np.float32(-1e9), S[0])
    logits[20, :5] = -1e4
    A = bare.softmax(logits + G[0])
    A[20, :5] = 0.1
    found = with_masks_read(as_map(logits, G[0], A))
    np.testing.assert_array_equal(np.isneginf(found.logits_before), later)


def bfloat16(values):
    """What is left of float32 where it went through bfloat16: 8 bits, rounded to even."""
    bits = np.asarray(values, dtype=np.float32).view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000
    return rounded.astype(np.uint32).view(np.float32)


def content(low, high):
    """Logits [N, N] from `low` to `high`, the ends among them."""
    S = np.random.default_rng(3).uniform(low, high, (N, N)).astype(np.float32)
    S[0, :2] = S[5, 40:42] = low, high
    return S


def read(S, mask):
    """Which pairs are read as masked, where attention is that of these logits."""
    map = as_map(S, np.zeros_like(S), softmax(S))
    found = with_masks_read(map)
    assert (found is map) == (mask is None)
    if mask is not None:
        np.testing.assert_array_equal(np.isneginf(found.logits_before), mask)


def test_a_mask_that_rounding_spreads_is_one():
    """Half precision has steps of 64 there, more than twice the range of the content."""
    S = bfloat16(np.where(MASKS["later keys"], content(-22, -2) - 1e4, content(-22, -2)))
    assert np.ptp(S[MASKS["later keys"]]) == 64
    read(S, MASKS["later keys"])


def test_a_mask_that_content_spreads_is_one():
    """Sharp content under −1e4: a fifth lies between the logits that one mask is added to."""
    S = content(-820, 820)
    read(np.where(MASKS["later keys"], S - 1e4, S), MASKS["later keys"])


def test_a_key_that_diverged_content_keeps_out_is_not_masked():
    """Below all others by twice what these differ by: large numbers, and one scale."""
    S = content(-4e3, 4e3)
    S[:, 7] = -2e4 + 0.1 * S[:, 7]
    read(S, None)


def test_a_key_that_a_healthy_layer_keeps_out_is_not_masked():
    """However far it lies below the others, −200 is within reach of content."""
    S = content(-1, 1)
    S[:, 7] -= 200
    read(S, None)


@example(pattern=0, share=0.001953125, content=10099.0, beyond=1.0, rounded=False)
@given(
    pattern=st.integers(0, 2**32),
    share=st.floats(0.001, 0.9),
    content=st.floats(0, 3e4),
    beyond=st.floats(1, 1e6),
    rounded=st.booleans(),
)
def test_any_mask_that_is_apart_is_found_as_it_is(pattern, share, content, beyond, rounded):
    """Whatever its pattern and size, and however large the content is, if some of that shows."""
    rng = np.random.default_rng(pattern)
    n = int(rng.integers(4, 20))
    mask = rng.random((n, n)) < share
    S = rng.uniform(-content / 2, content / 2, (n, n)).astype(np.float32)
    assume(not mask.all() and np.ptp(S[~mask]) >= content / 2)
    value = -beyond * max(1e4, 8 * content)
    S = np.where(mask, value if rounded else S + value, S).astype(np.float32)
    map = as_map(S, np.zeros_like(S), softmax(S))
    found = with_masks_read(map)
    if (mask & ~mask.all(axis=1, keepdims=True)).any():
        shut = mask | mask.all(axis=0)[:, None]
        np.testing.assert_array_equal(np.isneginf(found.logits_before), shut)
        np.testing.assert_array_equal(found.logits_before[~shut], S[~shut])
        assert (found.mask.pairs, found.mask.keys) == (mask.sum(), mask.all(axis=0).sum())
    else:
        assert found is map


@pytest.mark.parametrize("name", [*LAYERS, *ONE_REPELS])
def test_logits_of_sick_and_diverged_layers_are_no_mask(name):
    make, *how = (LAYERS | ONE_REPELS)[name]
    for S, G, A in zip(*make(*how), strict=True):
        map = as_map(S, G, A)
        assert with_masks_read(map) is map


def test_a_mask_that_the_attention_never_saw_stays_for_the_replay_to_find(tmp_path):
    S, G, ca = terms()
    dump = write(tmp_path / "x.h5", under(S, MASKS["keys"], "added"), G, bare.softmax(S + G), ca)
    assert [found.mask for found in maps_of(dump)] == [None] * HEADS
    assert [finding[0] for finding in told(dump)[0]] == ["D003"]


def test_the_mask_is_read_where_no_attention_was_recorded(tmp_path):
    S, G, ca = terms()
    masked = under(S, MASKS["far keys"], "added")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        item = bare.add_item(bare.start(file), 500, 0, ca)
        bare.add_layer(item, 0, logits_before=masked, geo_bias=G)
        bare.finish(file)
    for head, found in enumerate(maps_of(open_dump(tmp_path / "x.h5"))):
        np.testing.assert_array_equal(np.isneginf(found.logits_before), MASKS["far keys"])
        weights = bare.softmax(masked[head] + G[head])
        np.testing.assert_allclose(found.attention, weights, atol=1e-6)


def test_a_value_that_is_not_finite_hides_no_mask():
    """In S, or in A, and wherever it stands."""
    S, G, _ = terms()
    mask = MASKS["far keys"]
    masked = under(S[0], mask, next(iter(WAYS)))
    A = bare.softmax(masked + G[0])
    open_query = int(np.flatnonzero(~mask.all(axis=1))[0])
    for broken in (np.nan, np.inf):
        spoilt, given = masked.copy(), A.copy()
        spoilt[open_query, open_query] = broken
        given[open_query] = np.nan
        found = with_masks_read(as_map(spoilt, G[0], given)).logits_before
        others = np.arange(len(mask)) != open_query
        np.testing.assert_array_equal(np.isneginf(found[others]), mask[others])


def test_a_mask_of_infinities_that_hides_no_key_is_left_as_it_is():
    S, G, _ = terms()
    causal = np.triu(np.ones(S[0].shape, bool), 1)
    masked = np.where(causal, np.float32(-np.inf), S[0])
    map = as_map(masked, G[0], bare.softmax(masked + G[0]))
    assert with_masks_read(map) is map
