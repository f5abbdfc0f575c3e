"""Each check fires on one side of its threshold and stays quiet on the other."""

import math

import numpy as np
import pytest

from igaviz.checks import CHECKS, find_check
from igaviz.checks.cases import judge_maps
from igaviz.checks.rules import Unjudged, heads_redundant
from igaviz.checks.settings import Settings
from igaviz.dump.data import Mask
from igaviz.metrics.data import Replay, Unplaced

BLIND = {"geometry_effect": 0.025, "geo_bias_std_near": 0.01}
WEAK = {"geometry_effect": 0.025, "geo_bias_std_near": 0.04}
INVERTED = {"neighbour_shift": -0.5, "bias_trend": 0.9}
UNIFORM = {"uniform_kl": 0.002, "local_enrichment": 1.02}


def replay(failed=0, tolerance=5e-3, judged=100, fits=None):
    return {"replay": Replay(0.4, failed, judged, tolerance, fits)}


def unplaced(missing=0, piled=0, no_extent=False):
    return {"unplaced": Unplaced(missing, piled, local_share=0.1, no_extent=no_extent)}


# check, what makes it fire, and one change each that brings it back to the quiet side
SIDES = [
    ("D001", {"nonfinite": 1}, [{"nonfinite": 0}]),
    ("D002", {"row_sum_error": 1.1e-4}, [{"row_sum_error": 9e-5}, {"attention_dtype": "float16"}]),
    (
        "D002",
        {"row_sum_error": 2.1e-3, "attention_dtype": "float16"},
        [{"row_sum_error": 1.9e-3}, {"attention_dtype": "bfloat16"}],
    ),
    ("D002", {"row_sum_error": 6.1e-3, "attention_dtype": "bfloat16"}, [{"row_sum_error": 5.9e-3}]),
    ("D003", replay(failed=6), [replay(failed=5)]),
    ("D004", {"ca_step": 38.0}, [{"ca_step": 41.9}, {"ca_step": 34.1}, {"ca_step": 3.8}]),
    ("D004", {"ca_step": 38.0, "step_spread": 0.1}, [{"step_spread": 0.6}]),
    ("D004", {"ca_step": 0.38}, [{"ca_step": 0.419}, {"ca_step": 0.341}, {"reference_step": 3.8}]),
    ("D005", {"mask": Mask(-1e9, pairs=84, keys=1)}, [{"mask": None}]),
    ("D006", unplaced(missing=1), [unplaced(piled=2), {"unplaced": None}]),
    ("D006", unplaced(no_extent=True), [unplaced(piled=2)]),
    ("D007", unplaced(piled=2), [unplaced(missing=1), unplaced(no_extent=True)]),
    ("D101", BLIND, [{"geometry_effect": 0.081}, {"geo_bias_std_near": 0.051}]),
    ("D101", {**BLIND, "step": 300}, [{"geo_bias_std_near": 0.016}]),
    ("D101", WEAK, [{"step": 900}]),
    (
        "D101",
        {**WEAK, "step": 300, "bias_trend": -0.7},
        [{"bias_trend": -0.9}, {"bias_trend": None}],
    ),
    (
        "D103",
        {"geo_bias_std_near": 0.014},
        [{"geo_bias_std_near": 0.016}, {"geometry_effect": 0.079}],
    ),
    ("D104", {"geometry_ratio_near": 5.1}, [{"geometry_ratio_near": 4.9}]),
    ("D105", INVERTED, [{"neighbour_shift": 0.01}, {"bias_trend": 0.29}]),
    (
        "D107",
        {"geo_range": 5.9, "geometry_effect": 0.81},
        [{"geo_range": 6.1}, {"geo_range": "beyond"}, {"geometry_effect": 0.79}],
    ),
    ("D107", {"geo_range": 5.9, "geometry_effect": None}, [{"geo_range": 6.1}]),
    ("D201", UNIFORM, [{"uniform_kl": 0.011}, {"local_enrichment": 1.16}]),
    ("D202", {"self_mass": 0.51}, [{"self_mass": 0.49}]),
    ("D203", {"saturation": 0.31}, [{"saturation": 0.29}]),
    ("D204", {"geo_bias_std_near": 8.1}, [{"geo_bias_std_near": 7.9}]),
    ("D205", {"sigma_floor_share": 0.51}, [{"sigma_floor_share": 0.49}]),
    ("D205", {"log_det_min": -17.1}, [{"log_det_min": -16.9}]),
    ("D205", {"log_det_min": -math.inf, "sigma_floor_share": 0.1}, [{"log_det_min": -12.0}]),
    ("D206", {"local_enrichment": 1.09}, [{"local_enrichment": 1.11}]),
    ("D208", {"sink": 0.21}, [{"sink": 0.19}, {"n_residues": 47}]),
    ("D209", {"twin_cosine": 0.985}, [{"twin_cosine": 0.975}]),
]


def outcome(check_id, m):
    (judgement,) = judge_maps([m], Settings())
    return judgement.outcomes.get(check_id, judgement.unjudged.get(check_id))


@pytest.mark.parametrize(("check", "fires", "back"), SIDES)
def test_fires_on_one_side_only(measure, check, fires, back):
    assert outcome(check, measure(**fires)).fired
    for change in back:
        assert not outcome(check, measure(**{**fires, **change})).fired


def test_every_check_with_a_rule_is_tried():
    assert {side[0] for side in SIDES} == {check.id for check in CHECKS if check.rule}


def test_a_healthy_map_fires_nothing(measure):
    (judgement,) = judge_maps([measure()], Settings())
    assert not [check.id for check in CHECKS if judgement.fired(check)]


@pytest.mark.parametrize("check", [check for check in CHECKS if check.rule and check.id > "D007"])
def test_a_missing_number_is_no_verdict(measure, check):
    """A metric without a value can't make a check fire, nor look healthy, and gives the reason."""
    missing = dict.fromkeys(check.metrics)
    m = measure(**missing, reasons=dict.fromkeys(check.metrics, "geo_bias was not recorded"))
    expected = {
        "D205": "σ not recorded: neither sigma_floor_share nor log_det_min, which layers without "
        "Gaussians don't have",
        "D209": "no other head's map to compare with",
    }
    assert outcome(check.id, m) == expected.get(check.id, "geo_bias was not recorded")


def test_one_failing_condition_decides_without_the_other(measure):
    assert not outcome("D101", measure(geometry_effect=0.3, geo_bias_std_near=None)).fired
    assert outcome("D101", measure(geometry_effect=0.01, geo_bias_std_near=None))


def test_nan_in_numbers_that_a_dump_gives_is_a_missing_number(measure):
    assert not outcome("D205", measure(log_det_min=math.nan, sigma_floor_share=0.1)).fired
    assert isinstance(outcome("D205", measure(log_det_min=math.nan)), str)
    assert isinstance(outcome("D004", measure(ca_step=math.nan)), str)


@pytest.mark.parametrize(
    "unreplayable", [{"replay": None}, {"replay": Replay(0.0, 0, 0, 0.0, coarse_rows=84)}]
)
def test_replay_is_not_judged_where_it_can_not_be(measure, unreplayable):
    rule = find_check("terms-disagree").rule
    assert isinstance(rule(measure(**unreplayable), {"rows": 0.05}), Unjudged)


@pytest.mark.parametrize(("failed", "fires"), [(0, False), (1, False), (2, True)])
def test_rows_that_can_be_replayed_are_judged_beside_those_that_can_not(measure, failed, fires):
    one = measure(replay=Replay(0.4, failed, 20, 5e-3, coarse_rows=64), compute_dtype="bfloat16")
    found = find_check("terms-disagree").rule(one, {"rows": 0.05})
    assert found.fired == fires
    assert found.left_out.startswith("logits too large to replay in bfloat16 in some rows")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, "no other head's map to compare with"),
        (
            {"sketch": None, "mask": Mask(value=-np.inf, pairs=840, keys=10)},
            "maps with padding are not compared with each other",
        ),
        (
            {"sketch": None, "nonfinite": 7},
            "maps with rows that are left out are not compared with each other",
        ),
        (
            {"sketch": None, "entropy": None, "reasons": {"entropy": "attention was not recorded"}},
            "attention was not recorded",
        ),
    ],
)
def test_why_no_head_is_like_this_one(measure, changes, why):
    assert heads_redundant(measure(**changes), {"cosine": 0.98}) == Unjudged(why)
