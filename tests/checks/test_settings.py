"""Checks go by id or name; what is unknown is an error that offers the nearest."""

import pytest

from igaviz.checks import CHECKS, Severity, find_check, judge_layer
from igaviz.checks.settings import Settings, parse_setting
from igaviz.errors import SelectionError, UsageError


@pytest.mark.parametrize("check", CHECKS)
def test_found_by_id_and_by_name_in_any_case(check):
    assert find_check(check.id) is find_check(check.name) is find_check(check.id.lower()) is check
    assert find_check(f" {check.name.upper()} ") is check


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("gama-too-small", "gamma-too-small (D101)"), ("D301", "D201"), ("diagonal", "D202")],
)
def test_an_unknown_check_offers_the_nearest(typed, offered):
    with pytest.raises(SelectionError, match="no check") as error:
        find_check(typed)
    assert offered in error.value.hint


def test_nothing_near_says_what_there_is():
    with pytest.raises(SelectionError) as error:
        find_check("zzz")
    assert "D001" in error.value.hint


@pytest.mark.parametrize("typed", ["gamma-too-small.effect=0.1", "D101.effect=1e-1"])
def test_a_setting_names_check_and_threshold(typed):
    assert parse_setting(typed) == ("D101", "effect", 0.1)


@pytest.mark.parametrize(
    ("typed", "error", "hint"),
    [
        ("gamma-too-small.efect=0.1", SelectionError, "did you mean effect"),
        ("D101.kl=0.1", SelectionError, "effect, spread"),
        ("D101=0.1", UsageError, "gamma-too-small.effect=0.1"),
        ("D101.effect", UsageError, "gamma-too-small.effect=0.1"),
        ("D101.effect=much", UsageError, None),
        ("D101.effect=nan", UsageError, None),
    ],
)
def test_a_wrong_setting_says_what_is_right(typed, error, hint):
    with pytest.raises(error) as raised:
        parse_setting(typed)
    assert raised.value.exit_code == 2
    assert hint is None or hint in raised.value.hint


def test_select_and_ignore_by_id_and_name(layer):
    sick = layer(range(8), self_mass=0.9, sink=0.5)
    assert _ids(sick) == {"D202", "D208"}
    assert _ids(sick, select=["diagonal-collapse,D101"]) == {"D202"}
    assert _ids(sick, ignore=["D202"]) == {"D208"}
    assert _ids(sick, select=["D202"], ignore=["diagonal-collapse"]) == set()


def test_a_threshold_moves(layer):
    maps = layer(range(8), self_mass=0.4)
    assert _ids(maps) == set()
    assert _ids(maps, settings=["diagonal-collapse.mass=0.3"]) == {"D202"}


def test_fail_on():
    assert Settings.of(fail_on="never").fail_on is None
    assert Settings.of(fail_on="note").fail_on == Severity.NOTE
    with pytest.raises(UsageError):
        Settings.of(fail_on="always")


def _ids(maps, **typed):
    return {finding.id for finding in judge_layer(maps, Settings.of(**typed)).findings}
