"""What part of a map is looked at, and the ticks along it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from igaviz.errors import SelectionError, UsageError
from igaviz.figures import View, overview
from igaviz.figures.ticks import scaled_ticks, value_ticks
from igaviz.figures.view import Window, default_queries
from igaviz.metrics import Pairs


def window(make_map, numbers, chains=None, **view):
    structure = replace(
        make_map(len(numbers)).structure,
        residue_index=np.array(numbers, dtype=np.int32),
        chain_index=np.zeros(len(numbers), np.int32) if chains is None else np.array(chains),
    )
    return Window.of(structure, View(**view))


@pytest.mark.parametrize("wrong", ["10-50", ["3"], [1.5], 7, np.ones(5, dtype=bool)])
@pytest.mark.parametrize("which", ["residues", "queries"])
def test_residues_of_a_view_are_positions(which, wrong):
    assert getattr(View(**{which: np.arange(3)}), which) == (0, 1, 2)
    with pytest.raises(UsageError, match=f"{which} of a view are positions") as caught:
        View(**{which: wrong})
    assert "Residues.parse" in caught.value.hint


@settings(deadline=None)
@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=300), st.integers(2, 10))
def test_ticks_are_few_and_carry_the_residues_own_numbers(make_map, numbers, most):
    seen = window(make_map, numbers)
    places, labels = seen.ticks(most)
    assert 1 <= len(places) <= 1.4 * most + 1
    assert places == sorted(set(places))
    assert [str(numbers[int(place)]) for place in places] == labels


def test_ticks_stand_at_round_numbers_and_skip_holes(make_map):
    numbers = [*range(5, 48), *range(51, 110)]
    _, labels = window(make_map, numbers).ticks(6)
    assert labels == ["20", "40", "60", "80", "100"]
    seen = window(make_map, numbers)
    assert seen.gaps.tolist() == [42.5]
    assert seen.breaks.tolist() == []


def test_chains_are_named_where_there_are_several(make_map):
    seen = window(make_map, [*range(1, 31), *range(1, 31)], [0] * 30 + [1] * 30)
    _, labels = seen.ticks(6)
    assert labels == ["A/10", "A/20", "A/30", "B/10", "B/20", "B/30"]
    assert seen.breaks.tolist() == [29.5]
    alone = window(make_map, [*range(1, 31), *range(1, 31)], [0] * 30 + [1] * 30, residues=[40, 41])
    assert alone.ticks(6)[1] == ["B/11", "B/12"]


def test_every_chain_with_room_has_a_tick_and_no_axis_has_one_number_alone(make_map):
    seen = window(make_map, [*range(1, 121), *range(531, 571)], [0] * 120 + [1] * 40)
    assert seen.ticks(4)[1] == ["A/50", "A/100", "B/550"]
    short = window(make_map, [*range(1, 121), *range(531, 536)], [0] * 120 + [1] * 5)
    assert short.ticks(4)[1] == ["A/50", "A/100"]
    assert window(make_map, range(6, 91)).ticks(3)[1] == ["25", "50", "75"]


def test_a_cut_is_in_the_order_of_the_item(make_map):
    seen = window(make_map, range(100, 110), residues=np.array([7, 2, 3, 7]))
    assert seen.positions.tolist() == [2, 3, 7]
    assert (seen.place(7), seen.place(5)) == (2, None)
    table = np.arange(100).reshape(10, 10)
    assert seen.cut(table)[1].tolist() == [32, 33, 37]


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": "cubic"},
        {"radius": -1.0},
        {"radius": float("nan")},
        {"residues": ()},
        {"queries": ()},
        {"queries": (1, 2, 3, 4, 5)},
    ],
)
def test_a_view_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(UsageError):
        View(**wrong)


def test_what_is_not_there_is_refused(make_map):
    map = make_map(10)
    with pytest.raises(SelectionError, match="position 10"):
        overview(map, view=View(residues=(3, 10)))
    with pytest.raises(UsageError, match="8 Å"):
        overview(map, pairs=Pairs.of(map.structure, 8.0), view=View(radius=10.0))
    with pytest.raises(UsageError, match="11 residues"):
        overview(map, pairs=Pairs.of(make_map(11).structure))


def test_default_queries():
    assert default_queries(100) == (25, 50, 75, 99)
    assert [default_queries(n) for n in (0, 1, 2)] == [(), (0,), (0, 1)]


@settings(deadline=None)
@given(st.floats(-1e30, 1e30), st.floats(1e-6, 1e30))
def test_value_ticks_lie_inside_and_are_told_apart(low, extent):
    high = low + extent
    if not high - low > 1e-5 * abs(high):
        return
    for ticks, labels in (value_ticks(low, high), scaled_ticks(low, high)[:2]):
        assert 2 <= len(ticks) <= 8
        slack = 1e-9 * max(abs(low), abs(high))
        assert all(low - slack <= tick <= high + slack for tick in ticks)
        assert len(set(labels)) == len(labels)
        assert not any("-" in label for label in labels)


def test_scaled_ticks_say_their_power_of_ten():
    assert scaled_ticks(0, 0.004) == (
        pytest.approx([0, 0.001, 0.002, 0.003, 0.004]),
        ["0", "1", "2", "3", "4"],
        "10⁻³",
    )
    assert scaled_ticks(-3e7, 0)[1:] == (["−30", "−20", "−10", "0"], "10⁶")
    assert scaled_ticks(-1.0, -0.976)[1:] == (["−1.00", "−0.99", "−0.98"], "")
    assert value_ticks(1e-4, 0.3, log=True)[1] == ["10⁻⁴", "10⁻³", "0.01", "0.1"]
