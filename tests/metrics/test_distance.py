"""How alike the steps along a chain are: what tells a mistaken unit from noise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from igaviz.dump import Structure
from igaviz.metrics.distance import chain_step, chain_step_spread


def structure(ca):
    numbers = np.arange(len(ca))
    return Structure("x", ca, numbers, np.zeros_like(numbers), "angstrom")


def chain(n, step, rng):
    turns = rng.normal(size=(n, 3))
    return np.cumsum(step * turns / np.linalg.norm(turns, axis=1, keepdims=True), axis=0)


@given(seed=st.integers(0, 1000), step=st.sampled_from([0.38, 3.8, 38.0]))
def test_steps_of_a_chain_are_alike_in_any_unit(seed, step):
    rng = np.random.default_rng(seed)
    ca = chain(80, step, rng)
    assert chain_step(ca, structure(ca)) == pytest.approx(step)
    assert chain_step_spread(ca, structure(ca)) < 1e-9
    noised = ca + rng.normal(scale=0.05 * step, size=ca.shape)
    assert chain_step_spread(noised, structure(ca)) < 0.25


@given(seed=st.integers(0, 1000), noise=st.floats(8, 60))
def test_steps_of_noise_are_not(seed, noise):
    rng = np.random.default_rng(seed)
    ca = chain(80, 3.8, rng) + rng.normal(scale=noise, size=(80, 3))
    assert chain_step_spread(ca, structure(ca)) > 0.3


def test_no_steps_no_spread():
    ca = np.zeros((1, 3))
    assert chain_step_spread(ca, structure(ca)) is None
    assert chain_step_spread(np.zeros((5, 3)), structure(np.zeros((5, 3)))) is None
