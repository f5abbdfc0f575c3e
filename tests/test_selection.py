from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from igaviz.errors import SelectionError, UsageError
from igaviz.selection import Numbers, Residues, format_numbers, format_time_line

numbers = st.sets(st.integers(0, 400), min_size=1, max_size=30)


@given(numbers, st.integers(0, 400), st.integers(0, 400), st.integers(1, 50))
def test_ranges_take_what_is_there_as_a_loop_would(available, start, length, stride):
    stop = start + length
    expected = [n for n in range(start, stop + 1, stride) if n in available]
    selection = Numbers.parse(f"{start}:{stop}:{stride}")
    if expected:
        assert selection.choose({"x": available}, "step") == {"x": tuple(expected)}
    else:
        with pytest.raises(SelectionError):
            selection.choose({"x": available}, "step")


@given(numbers)
def test_what_is_written_is_read_back(available):
    text = format_numbers(available, most=1000)
    assert Numbers.parse(text).choose({0: available}, "layer")[0] == tuple(sorted(available))


@given(
    st.lists(st.tuples(st.integers(0, 9000), st.integers(1, 90), st.integers(1, 9)), max_size=6),
    numbers,
)
def test_long_lists_are_written_by_their_distances_and_read_back(runs, others):
    available = others | {a + k * stride for a, stride, count in runs for k in range(count)}
    text = format_numbers(available)
    if "…" not in text:
        assert Numbers.parse(text).choose({0: available}, "step")[0] == tuple(sorted(available))


def test_equal_distances_are_joined_where_the_list_is_long():
    assert format_numbers(range(25, 1500, 25)) == "25:1475:25"
    assert format_numbers({*range(25, 1500, 25)} - {100}) == "25:75:25,125:1475:25"
    assert format_numbers([0, 2, 4]) == "0,2,4"


def test_steps_with_maps_and_with_numbers_alone_are_told_apart():
    words = format_time_line({100, 1500}, set(range(30, 1501, 30)))
    assert words == "maps at steps 100, 1500; numbers every 30 from 30 to 1500"
    assert format_time_line({5}, {5}) == "maps at steps 5"
    assert format_time_line(set(), {1, 2, 7}) == "no maps; numbers alone at steps 1, 2, 7"


@given(numbers, numbers)
def test_what_is_said_of_numbers_is_so(mapped, numbered):
    words = format_time_line(mapped, numbered)
    every = re.search(r"numbers every (\d+) from (\d+) to (\d+)", words)
    if every:
        stride, first, last = map(int, every.groups())
        said = set(range(first, last + 1, stride))
        assert numbered - mapped <= said <= numbered | mapped
    assert ("numbers" in words) == bool(numbered - mapped)


@given(numbers)
def test_words(available):
    def chosen(word):
        return Numbers.parse(word).choose({0: available}, "step")[0]

    assert chosen("all") == tuple(sorted(available))
    assert chosen("first") == (min(available),)
    assert chosen("last") == (max(available),)


def test_last_is_the_last_of_each_group():
    chosen = Numbers.parse("last").choose({"a": [1, 2], "b": [1, 5]}, "step")
    assert chosen == {"a": (2,), "b": (5,)}


def test_a_number_that_is_in_one_group_only_is_no_error():
    assert Numbers.parse("5").choose({"a": [1, 2], "b": [1, 5]}, "step") == {"b": (5,)}


def test_what_is_not_there_says_what_is():
    with pytest.raises(SelectionError, match=r"no layer 9: there are layers 0-5"):
        Numbers.parse("0,9").choose({0: range(6)}, "layer")


@pytest.mark.parametrize("text", ["", "x", "-1", "3-1", "1:5:0", "1,,2", "٣", "1.5", "9" * 40])
def test_what_is_no_selection_is_said(text):
    with pytest.raises(UsageError, match="is not a selection of layers"):
        Numbers.parse(text, "layer")


RESIDUES = [-2, -1, 5, 6, 7, 5, 6]
CHAINS = [0, 0, 0, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("text", "positions"),
    [
        ("-2", (0,)),
        ("A/5", (2,)),
        ("B/5-6", (5, 6)),
        ("-2:5", (0, 1, 2, 5)),
        ("7,-1", (4, 1)),
    ],
)
def test_residues_by_their_numbers(text, positions):
    assert Residues.parse(text).positions(RESIDUES, CHAINS) == positions


def test_an_ambiguous_residue_names_the_ways_to_write_it():
    with pytest.raises(SelectionError, match="ambiguous") as error:
        Residues.parse("5").positions(RESIDUES, CHAINS)
    assert "A/5, B/5" in error.value.hint


def test_a_residue_that_is_not_there_says_what_is():
    with pytest.raises(SelectionError, match=r"no residue C/1: there are residues A/-2:7, B/5-6"):
        Residues.parse("C/1").positions(RESIDUES, CHAINS)
