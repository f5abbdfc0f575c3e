"""Which colours a map gets, and between which limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from igaviz.figures import colour

# matplotlib itself overflows, with a warning, near the end of float32 (3e38)
numbers = st.sampled_from([np.nan, np.inf, -np.inf]) | st.floats(-(2.0**120), 2.0**120, width=32)
any_floats = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=6),
    elements=numbers,
)


@pytest.mark.parametrize(
    ("values", "cmap"),
    [
        ([-3.0, -1.0], "Blues_r"),
        ([-3.0, 0.0], "Blues_r"),
        ([0.0, 2.0], "Reds"),
        ([1.0, 2.0], "Reds"),
        ([-1.0, 2.0], "RdBu_r"),
        ([7.0, 7.0], "Reds"),
        ([-7.0, -7.0], "Blues_r"),
        ([0.0, 0.0], "Blues_r"),
        ([np.nan, 2.0], "Reds"),
    ],
)
def test_signs_choose_the_colour_map(values, cmap):
    shades = colour.signed(np.array(values))
    assert shades.cmap == cmap
    assert shades.low < shades.high
    if cmap == "RdBu_r":
        assert shades.low == -shades.high
        blue, red = (shades.colormap()(shades.norm()(v)) for v in (-0.9, 0.9))
        assert blue[2] > blue[0]
        assert red[0] > red[2]


@settings(deadline=None)
@given(any_floats)
def test_any_values_get_sound_limits(values):
    for shades in (colour.signed(values), colour.relative(values), colour.lengths(np.abs(values))):
        assert shades.low < shades.high
        drawn = shades.drawable(values)
        finite = np.isfinite(values)
        assert np.isnan(drawn[~finite]).all()
        assert np.isfinite(drawn[finite]).all()
        if finite.any():
            assert shades.colormap()(shades.norm()(drawn)).shape == (*values.shape, 4)


@pytest.mark.parametrize("n", [6, 30, 200])
def test_one_outlier_does_not_flatten_a_map(n):
    values = np.random.default_rng(0).uniform(-1, 1, (n, n)).astype(np.float32)
    clean = colour.signed(values)
    values[1, 2] = 1e8
    spoiled = colour.signed(values)
    assert spoiled.high < 2 * clean.high
    assert spoiled.above == 1
    assert spoiled.total == n * n


def test_values_without_outliers_are_not_clipped():
    values = np.random.default_rng(0).uniform(-1, 1, (2, 2))
    shades = colour.signed(values)
    assert (shades.below, shades.above) == (0, 0)


def test_non_finite_has_a_colour_of_its_own():
    for cmap in ("Blues_r", "Reds", "RdBu_r"):
        shades = colour.Shades(cmap, -1.0, 1.0)
        colours = shades.colormap()(shades.norm()(shades.drawable(np.linspace(-1, 1, 99))))
        bad = shades.colormap()(shades.norm()(np.ma.masked_invalid([np.nan])))[0]
        assert np.abs(colours - bad).sum(axis=1).min() > 0.3


def test_the_diagonal_alone_does_not_set_the_scale_of_attention():
    n = 60
    attention = np.full((n, n), 0.1 / (n - 1))
    np.fill_diagonal(attention, 0.9)
    low, high = colour.attention_limits(attention, log=True)
    assert low == 1e-4
    assert high == pytest.approx(10 / n)
    everywhere = np.random.default_rng(0).dirichlet(np.full(n, 0.1), n)
    wanted = np.percentile(everywhere, 99.9)
    assert colour.attention_limits(everywhere, log=False) == pytest.approx((0.0, wanted))


@pytest.mark.parametrize("n", [0, 1, 2, 1200])
def test_attention_limits_always_hold_the_uniform_level(n):
    one_hot = np.eye(n)[::-1]
    for attention in (one_hot, np.full((n, n), np.nan), np.zeros((n, n))):
        low, high = colour.attention_limits(attention, log=True)
        assert low < 1 / max(n, 1) <= high <= 1


def test_rows_are_taken_relative_to_their_maximum():
    values = np.array([[1.0, 3.0, np.nan], [-np.inf, 0.0, -20.0], [np.nan] * 3])
    below = colour.below_row_maximum(values)
    np.testing.assert_array_equal(below, [[-2, 0, np.nan], [np.nan, 0, -20], [np.nan] * 3])
    shades = colour.relative(below)
    assert (shades.cmap, shades.low, shades.high, shades.below) == ("Blues_r", -10, 0, 1)
