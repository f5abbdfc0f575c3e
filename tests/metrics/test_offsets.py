"""Residue offsets: what a term adds up to over each, whatever the numbering."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from igaviz.dump.data import Structure
from igaviz.metrics.offsets import Offsets


def structure_of(numbers, chains):
    return Structure(
        name="x",
        ca=np.zeros((len(numbers), 3)),
        residue_index=np.array(numbers),
        chain_index=np.array(chains),
        length_unit="angstrom",
    )


def slow(where, values, masked, queries):
    number, chain = where.residue_index.tolist(), where.chain_index.tolist()
    sums, counts = np.zeros((len(values), 66)), np.zeros(66)
    for row, i in enumerate(queries):
        for j in range(len(number)):
            offset = max(-32, min(32, number[j] - number[i])) + 32
            if not masked[row, j]:
                of = offset if chain[i] == chain[j] else 65
                counts[of] += 1
                sums[:, of] += values[:, row, j].astype(np.float64)
    return sums, counts


@st.composite
def structures(draw):
    n = draw(st.integers(1, 70))
    step = draw(st.sampled_from([(1, 1), (1, 3), (0, 2), (-40, 40)]))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    numbers = np.cumsum(rng.integers(step[0], step[1], n, endpoint=True))
    chains = np.sort(rng.integers(0, draw(st.sampled_from([1, 2, 9])), n))
    if draw(st.booleans()):
        chains = rng.permutation(chains)
    return structure_of(numbers.tolist(), chains.tolist())


@settings(max_examples=80, deadline=None)
@given(structures(), st.integers(0, 10_000), st.sampled_from([0.0, 0.1, 1.0]))
def test_sums_and_counts_are_those_of_a_loop_over_pairs(where, seed, share):
    n, rng = where.n_residues, np.random.default_rng(seed)
    queries = np.sort(rng.choice(n, rng.integers(1, n, endpoint=True), replace=False))
    masked = rng.random((len(queries), n)) < share
    values = rng.normal(size=(2, len(queries), n)).astype(np.float32)
    chosen = np.isin(np.arange(n), queries)
    offsets = Offsets.of(where, slice(0, n)).only(chosen).without(masked)
    sums, counts = slow(where, values, masked, queries)
    assert offsets.sums(values) == pytest.approx(sums, rel=1e-5, abs=1e-4)
    assert offsets.counts.tolist() == counts.tolist()


def test_offsets_of_a_long_chain_are_those_of_a_loop_over_pairs():
    where = structure_of(range(130), [0] * 90 + [1] * 40)
    values = np.random.default_rng(0).normal(size=(3, 40, 130)).astype(np.float32)
    queries = slice(70, 110)
    sums, counts = slow(where, values, np.zeros((40, 130), bool), range(70, 110))
    offsets = Offsets.of(where, queries)
    assert offsets.sums(values) == pytest.approx(sums, rel=1e-5, abs=1e-5)
    assert offsets.counts.tolist() == counts.tolist()
