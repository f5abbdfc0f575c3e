"""Tables of structures that follow each other in a pass: each is as if it were the only one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from igaviz.dump.data import Structure
from igaviz.metrics.pairs import Pairs
from igaviz.survey.measuring.layers import pairs_of

N = 40


def structure(seed, *, moved=0, chains=1, clean="none", gap=0, lost=False):
    """One item's structure as a layer gives it: `moved` by the layer, the rest of the item."""
    ca = np.cumsum(np.random.default_rng(seed).normal(0, 2.2, (N, 3)), axis=0)
    number = np.arange(N) + gap * (np.arange(N) > N // 2)
    reference = {"none": None, "own": ca.copy(), "piled": ca * (np.arange(N) > 3)[:, None]}[clean]
    if lost and reference is not None:
        reference[5] = np.nan
    return Structure(
        name="x",
        ca=ca + np.random.default_rng(moved).normal(0, moved, (N, 3)),
        residue_index=number,
        chain_index=np.arange(N) * chains // N,
        length_unit="angstrom",
        ca_reference=reference,
    )


layers = st.builds(
    structure,
    st.integers(0, 1),
    moved=st.integers(0, 2),
    chains=st.integers(1, 2),
    clean=st.sampled_from(["none", "own", "piled"]),
    gap=st.sampled_from([0, 9]),
    lost=st.booleans(),
)


def known(pairs):
    contacts, (groups,) = pairs.contacts, pairs.blocks
    return {
        "tables": (
            pairs.distance,
            pairs.local,
            pairs.longrange,
            groups.classes,
            groups.offsets.table,
        ),
        "contacts": (contacts.first, contacts.second, contacts.touching),
        "steps": (pairs.ca_step, pairs.reference_step, pairs.step_spread, pairs.unplaced),
    }


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(layers, st.sampled_from([8.0, 10.0])), min_size=2, max_size=6))
def test_what_came_before_leaves_nothing_behind(seen):
    for where, radius in seen:
        pairs = pairs_of(where, radius)
        assert pairs.structure.ca is where.ca or np.array_equal(pairs.structure.ca, where.ca)
        alone = known(Pairs.of(replace(where), radius))
        for name, values in known(pairs).items():
            for one, other in zip(values, alone[name], strict=True):
                np.testing.assert_equal(one, other, err_msg=name)


def test_layers_that_move_their_residues_share_what_their_protein_is():
    first, second = (pairs_of(structure(0, moved=moved, clean="own"), 10.0) for moved in (1, 2))
    assert first.distance is not second.distance
    assert first.protein is second.protein
    assert pairs_of(structure(0, moved=2, clean="own"), 10.0) is second
