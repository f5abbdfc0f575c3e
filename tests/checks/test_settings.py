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


@pytest.mark.parametrize("typed", ["", " , "])
def test_a_selection_of_nothing_is_not_one_of_all(typed):
    with pytest.raises(UsageError, match="names no check"):
        Settings.of(select=[typed])
    assert Settings.of(ignore=[typed]) == Settings()


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
    return {finding.id for finding in judge_layer(maps, Settings.of(**typed)).verdict().findings}


def test_a_file_says_all_of_it(tmp_path):
    path = tmp_path / "checks.toml"
    path.write_text(
        'select = ["D101", "diagonal-collapse"]\nignore = "D202"\nfail-on = "note"\n'
        "[gamma-too-small]\neffect = 0.1\n[D203]\nshare = 1\n"
    )
    settings = Settings.read(path)
    assert settings.select == {"D101", "D202"}
    assert settings.ignore == {"D202"}
    assert settings.fail_on == Severity.NOTE
    assert settings.thresholds == {"D101": {"effect": 0.1}, "D203": {"share": 1.0}}
    typed = Settings.of(
        file=path, select=["D104"], ignore=["D208"], settings=["D101.spread=2"], fail_on="never"
    )
    assert (typed.select, typed.ignore, typed.fail_on) == ({"D104"}, {"D208"}, None)
    assert typed.thresholds["D101"] == {"effect": 0.1, "spread": 2.0}
    assert Settings.of(file=path).thresholds == settings.thresholds


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("[gama-too-small]\neffect = 1", "no check 'gama-too-small'", "gamma-too-small (D101)"),
        ("[D101]\nefect = 1", "no threshold 'efect'", "did you mean effect"),
        ('[D101]\neffect = "much"', "'much' is no number in 'D101.effect'", None),
        ("[D101]\neffect = true", "True is no number", None),
        ("[D101]\neffect = nan", "nan is no number", None),
        ("[D101.effect]\nx = 1", "is no number", None),
        ("slect = []", "no setting 'slect'", "did you mean select"),
        ("select = [1]", "select is no list of checks", '["D101"]'),
        ('ignore = ["D999"]', "no check 'D999'", None),
        ('fail-on = "death"', "no severity 'death'", "never"),
        ("fail-on = 3", "no severity 3", "never"),
        ("D101 = 3", "no setting 'D101'", "per check"),
        ("select = []", "the selection names no check", "run them all"),
        ("select = ", "no TOML", None),
        (b"\xff\xfe", "no TOML", None),
        (None, "no such file", None),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(text, said, hint, tmp_path):
    path = tmp_path / "checks.toml"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError) as raised:
        Settings.read(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert said in str(raised.value)
    assert (hint or "") in (raised.value.hint or "")
