"""Messages name the cause that the numbers point to, with numbers that people can read."""

import re

import pytest

from igaviz.checks import CHECKS, judge_layer
from igaviz.checks.explain import explain_check
from igaviz.checks.settings import Settings
from igaviz.checks.wording import number, raised, ranges, span
from igaviz.metrics.data import Replay
from igaviz.percent import percent, percent_of, whole_percent


def message(maps, **choice):
    (finding,) = judge_layer(maps, Settings.of(**choice)).verdict().findings
    return finding.message


@pytest.mark.parametrize(
    ("gamma", "spread", "says"),
    [
        (0.0001, 0.02, "γ is too small"),
        (1.0, 0.01, "the spread before γ, not γ, is too small"),
        (0.018, 0.04, "the spread before γ, not γ, is too small"),
        (0.0001, 1.6e-4, "γ is too small"),
        (0.005, 0.002, "γ and the spread before it are both too small"),
        (0.0, 0.0, "γ is 0"),
        (None, 0.01, "γ was not recorded"),
    ],
)
def test_which_of_gamma_and_spread_is_too_small(layer, gamma, spread, says):
    sick = layer(range(8), gamma=gamma, geo_bias_std_near=spread, geometry_effect=0.008)
    assert says in message(sick)


def test_how_far_gamma_would_have_to_grow(layer):
    sick = layer(range(8), gamma=0.0001, geo_bias_std_near=0.02, geometry_effect=0.008)
    assert (
        "grow about 10-fold (γ alone: to about 0.001) for geometry to move 8 % and for its bias to "
        "differ by 0.05 nats"
    ) in message(sick)


@pytest.mark.parametrize(
    ("check", "sick"),
    [
        ("D104", {"geometry_ratio_near": 20.0}),
        ("D107", {"geo_range": 3.6, "geometry_effect": 0.9}),
        ("D202", {"self_mass": 0.9, "geometry_effect": 0.9, "content_effect": 0.1}),
        ("D204", {}),
    ],
)
def test_what_to_do_blames_gamma_only_where_the_numbers_do(layer, check, sick):
    """γ is that of a healthy run, the spread before it a hundred times as wide."""
    steep = layer(range(8), gamma=0.018, geo_bias_std_near=40.0, **sick)
    (finding,) = judge_layer(steep, Settings.of(select=[check])).verdict().findings
    assert "The spread before γ, not γ, is too large" in finding.message
    assert finding.remedy.startswith(
        "If γ is too large: start it smaller. If the spread before γ is too large: "
    )


def test_advice_fits_layers_without_gaussians(layer):
    """Of points there is neither σ nor an overlap: what is said of them names Gaussians."""
    asked = [check for check in CHECKS if check.id != "D205"]  # fires where σ is recorded
    said = [f"{check.meaning} {check.remedy}" for check in asked]
    for gamma, spread in [(1.0, 900.0), (0.018, 40.0), (1.0, 0.01), (0.005, 0.002)]:
        sick = {"geometry_ratio_near": 20.0, "geometry_effect": 0.008, "geo_range": 3.6}
        maps = layer(range(8), gamma=gamma, geo_bias_std_near=spread, **sick)
        said += [finding.message for finding in judge_layer(maps, Settings()).verdict().findings]
    for sentence in " ".join(said).split(". "):
        assert not re.search("σ|overlap|log-det", sentence) or "Gaussians" in sentence, sentence


@pytest.mark.parametrize(
    ("count", "says"), [(1, "1 number of a map is"), (7, "7 numbers of a map are")]
)
def test_how_many_numbers_are_not_finite(layer, count, says):
    assert f"{says} NaN or infinite" in message(layer([3], nonfinite=count))


@pytest.mark.parametrize(
    ("fits", "says"),
    [
        ("without geometry", "softmax(S) alone gives it"),
        ("geometry subtracted", "softmax(S − G) gives it"),
        ("geometry alone", "softmax(G) alone gives it"),
        ("geometry without γ", "γ included"),
        ("attention transposed", "record it as [query, key]"),
        ("without pair bias", "without the pair bias"),
        (None, "no other reading"),
    ],
)
def test_which_reading_of_the_terms_fits(layer, fits, says):
    said = message(layer(range(8), replay=Replay(0.45, 80, 84, 5e-3, fits)))
    assert says in said
    assert "95 % of rows, by up to 0.45" in said


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (0.7, "so content does it"),
        (0.02, "2 %: only with geometry does it"),
        (None, "to one key. Worst"),
    ],
)
def test_which_term_saturates(layer, content, says):
    assert says in message(layer(range(8), saturation=0.8, content_saturation=content))


def test_content_that_is_left_under_a_dominating_geometry(layer):
    said = message(layer(range(8), geometry_ratio_near=15.5, content_effect=0.03))
    assert "15.5 times as far as content (Q·K + pair bias); content moves 3 % of attention" in said


def test_numbers_are_rounded_for_people():
    values = (0, 2e-8, 3.05e-5, 0.0001, 0.01234, 12.345, 12600, 3e8, float("nan"))
    assert [number(x) for x in values] == [
        "0",
        "2e−8",
        "3.05e−5",
        "0.0001",
        "0.0123",
        "12.3",
        "12,600",
        "3e8",
        "not finite",
    ]
    assert [percent(x) for x in (0.0, 1e-20, 0.0083, 0.025, 0.0996, 0.25, 1.0)] == [
        "0 %",
        "<0.01 %",
        "0.83 %",
        "2.5 %",
        "10 %",
        "25 %",
        "100 %",
    ]
    assert [whole_percent(x) for x in (-0.031, 0.004, 0.5)] == ["-3 %", "0 %", "50 %"]
    counts = ((0, 10), (1, 22500), (5, 100), (999, 1000), (10, 10))
    said = [percent_of(count, total) for count, total in counts]
    assert said == ["0 %", "<0.01 %", "5 %", ">99 %", "100 %"]
    assert span([0.008, 0.025], percent) == "0.8–2.5 %"
    assert span([-0.5, -0.2]) == "-0.5 to -0.2"
    assert span([0.30001, 0.30002]) == "0.3"
    assert ranges([5, 0, 1, 2, 2]) == "0-2, 5"
    assert raised("float16 1.0e-05, 0.5, 2e+07") == "float16 1e−5, 0.5, 2e7"
    assert "over 1 % over 200" in explain_check("D106").formula


@pytest.mark.parametrize(
    ("gamma", "spread", "says"),
    [
        (5.0, 90.0, "γ is too large for this spread"),
        (0.018, 90.0, "the spread before γ, not γ, is too large"),
        (1.0, 900.0, "γ and the spread before it are both too large"),
        (0.018, 0.4, "neither γ nor the spread before it is large: content is weak"),
    ],
)
def test_what_makes_geometry_dominate(layer, gamma, spread, says):
    said = message(
        layer(range(8), geometry_ratio_near=15.0, gamma=gamma, geo_bias_std_near=spread),
        select=["D104"],
    )
    assert says in said.replace("The spread", "the spread").replace("Neither", "neither")
    assert ("would have to shrink about 3-fold" in said) == ("content is weak" not in says)
    assert "What to do first: " in said


def test_how_far_gamma_would_have_to_shrink_for_geometry_to_reach(layer):
    """Where the bias falls with the square of the distance, γ of a third reaches 6 Å."""
    third = (3.5**2 + (6**2 - 3.5**2) / 3) ** 0.5
    said = message(layer(range(8), geo_range=third, geometry_effect=0.9, gamma=0.3))
    assert "shrink about 3-fold (γ alone: to about 0.1)" in said


@pytest.mark.parametrize(
    ("geometry", "content", "first"),
    [(0.9, 0.1, "start γ smaller"), (0.1, 0.9, "a norm on Q and K")],
)
def test_what_puts_attention_on_the_diagonal(layer, geometry, content, first):
    steep = {"geo_bias_std_near": 7.2, "gamma": 1.0}
    said = message(
        layer(range(8), self_mass=0.9, geometry_effect=geometry, content_effect=content, **steep)
    )
    assert f"What to do first: {first}" in said


def test_what_may_follow_from_a_mistaken_unit_points_to_it(layer, measure):
    short = {"geo_range": 3.94, "geometry_effect": 0.9, "gamma": 0.5, "geo_bias_std_near": 1.0}
    maps = layer(range(8), ca_step=0.38, length_unit="angstrom", **short)
    verdict = judge_layer(maps, Settings()).verdict()
    for of_maps in (verdict.findings, verdict.by_map):
        said = next(found.message for found in of_maps if found.id == "D107")
        assert "(D004 unit-suspect)" in said
        assert "mend the unit" in said
        assert "start γ smaller" not in said
    assert "start γ smaller" in message(maps, ignore=["D004"])
    worse = [measure(head, batch=1, **{**short, "geo_range": 3.6}) for head in range(8)]
    found = {f.id: f.message for f in judge_layer([*maps, *worse], Settings()).verdict().findings}
    assert "start γ smaller" in found["D107"]  # the worst map is of an item whose unit is sound


def test_attention_that_geometry_drives_from_neighbours_is_told_with_geometry(layer):
    said = message(layer(range(8), neighbour_shift=-1.8, bias_trend=1.0, local_enrichment=0.05))
    assert said.startswith("The bias is lower at neighbours")
    assert "With it comes D206 no-locality: Neighbours in space get 0.05 times" in said


def test_a_consequence_does_not_name_the_cause_again(layer):
    steep = {"geo_bias_std_near": 90.0, "gamma": 5.0, "content_saturation": 0.0}
    said = message(
        layer(range(8), geometry_ratio_near=15.0, saturation=0.9, **steep), ignore=["D204"]
    )
    assert "With it comes D203" in said
    assert said.count("What to do first") == 1
