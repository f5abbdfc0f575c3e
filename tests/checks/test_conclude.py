"""From layers to runs: the last step rules, earlier ones are history, γ is told over steps."""

import random
from dataclasses import dataclass

import pytest

from igaviz.checks import Severity, conclude, judge_layer
from igaviz.checks.conclude import MAX_BY_MAP
from igaviz.checks.settings import Settings

BLIND = {"geometry_effect": 0.025, "geo_bias_std_near": 0.01, "gamma": 0.0001}
COLLAPSED = {"self_mass": 0.9}


def diagnose(*layers, damaged=(), **typed):
    settings = Settings.of(**typed)
    return conclude((judge_layer(maps, settings).verdict() for maps in layers), settings, damaged)


def test_nothing_at_all_is_healthy():
    diagnosis = diagnose()
    assert (diagnosis.verdict, diagnosis.maps, diagnosis.findings) == (Severity.HEALTHY, 0, ())


def test_the_last_step_of_each_run_and_phase_rules(layer):
    diagnosis = diagnose(
        layer(range(8), step=100, **COLLAPSED),
        layer(step=200),
        layer(range(8), step=50, phase="val", **COLLAPSED),
        layer(range(3), step=10, run="other", **COLLAPSED),
    )
    assert [(f.run, f.phase, f.step, str(f.severity)) for f in diagnosis.findings] == [
        ("healthy", "val", 50, "error"),
        ("other", "train", 10, "warning"),
    ]
    assert [(f.phase, f.step, str(f.severity)) for f in diagnosis.history] == [
        ("train", 100, "note")
    ]
    assert diagnosis.verdict == Severity.ERROR
    assert diagnosis.maps == 32
    assert [(row.run, row.phase, row.step, row.maps) for row in diagnosis.layers] == [
        ("healthy", "train", 200, 8),
        ("healthy", "val", 50, 8),
        ("other", "train", 10, 8),
    ]


def test_history_is_one_note_per_layer_and_check_and_never_decides(layer):
    steps = [layer(range(4 + s // 300), step=s, **COLLAPSED) for s in (300, 600, 900)]
    diagnosis = diagnose(*steps, layer([1], step=1200, sink=0.5))
    (past,) = diagnosis.history
    assert (past.id, past.severity, past.step, past.maps) == ("D202", Severity.NOTE, 900, 7)
    assert past.message.startswith("At 3 recorded steps from 300 to 900, no longer at 1,200: ")
    assert diagnosis.verdict == Severity.NOTE
    assert not diagnosis.fails(Severity.WARNING)


def test_what_still_fires_is_no_history_even_under_a_cause(layer):
    early = layer(range(8), step=300, saturation=0.9)
    late = layer(range(8), step=600, saturation=0.9, geometry_ratio_near=30.0)
    diagnosis = diagnose(early, late)
    assert [finding.id for finding in diagnosis.findings] == ["D104"]
    assert diagnosis.history == ()


def test_order_of_arrival_is_free(layer):
    layers = [
        layer(range(number), layer=index, step=step, run=run, ca_step=0.38, **BLIND)
        for run in ("a", "b")
        for step in (0, 300, 900)
        for index, number in enumerate((8, 3, 0 if step == 900 else 2))
    ]
    expected = diagnose(*layers)
    assert expected.history
    for seed in range(5):
        random.Random(seed).shuffle(layers)
        assert diagnose(*layers) == expected


def test_nothing_grows_with_the_number_of_steps(layer):
    """What is kept of a thousand steps is what is kept of two."""
    few = diagnose(layer(range(8), step=1, **COLLAPSED), layer(step=5000))
    many = diagnose(*(layer(range(8), step=s, **COLLAPSED) for s in range(300)), layer(step=5000))
    assert len(many.history) == len(few.history) == 1
    assert len(many.layers) == len(few.layers)


def test_an_item_with_a_mistaken_unit_is_told_once(layer):
    layers = [layer(range(8), items=2, layer=index, ca_step=38.0) for index in range(6)]
    diagnosis = diagnose(*layers)
    assert [(f.id, f.layer, f.batch, f.maps, f.of) for f in diagnosis.findings] == [
        ("D004", None, 0, 48, 48),
        ("D004", None, 1, 48, 48),
    ]
    assert diagnosis.verdict == Severity.WARNING


def test_findings_come_worst_first(layer):
    diagnosis = diagnose(
        layer([0], layer=0, **COLLAPSED),
        layer(range(8), layer=1, sink=0.9),
        layer(range(8), layer=2, **COLLAPSED),
        layer(range(8), layer=3, **BLIND),
    )
    assert [(str(f.severity), f.id) for f in diagnosis.findings] == [
        ("error", "D202"),
        ("error", "D101"),
        ("warning", "D208"),
        ("note", "D202"),
    ]


@pytest.mark.parametrize(
    ("first", "says"),
    [
        (0.0001, "γ has not moved since step 0."),
        (0.018, "γ went from 0.018 at step 0 to 0.0001."),
    ],
)
def test_whether_gamma_moved(layer, first, says):
    start = layer(range(8), step=0, gamma=first)
    diagnosis = diagnose(start, layer(range(8), step=1000, **BLIND))
    assert diagnosis.findings[0].message.endswith(says)


@pytest.mark.parametrize(("first", "learned"), [(20.0, False), (12.0, False), (0.05, True)])
def test_a_learning_rate_is_advice_where_gamma_grew_large(layer, first, learned):
    steep = {
        "geo_range": 3.5,
        "geometry_effect": 0.99,
        "geo_bias_std_near": 700.0,
        "geometry_ratio_near": 900.0,
    }
    start = layer(range(8), step=0, gamma=first)
    findings = diagnose(start, layer(range(8), step=1000, gamma=20.0, **steep)).findings
    assert {f.id for f in findings} == {"D104", "D107", "D204"}
    for finding in findings:
        assert "What to do first: start γ smaller." in finding.message
        assert ("learning rate" in finding.message) == learned
        if learned:
            assert "γ grew from 0.05 at step 0 to 20: a smaller" in finding.message


def test_gamma_that_did_not_move_in_a_few_steps_is_no_news(layer):
    """Of a healthy network either: γ has hardly moved after 50 steps."""
    for first in (950, 801):
        short = diagnose(layer(range(8), step=first, **BLIND), layer(range(8), step=1000, **BLIND))
        assert "moved" not in short.findings[0].message
        assert "moved" not in short.information[0].message


def test_heads_that_trade_places_have_moved(measure):
    sick = dict(geometry_effect=0.025, geo_bias_std_near=0.01)
    start = [measure(head, step=0, gamma=1e-4 * (1 + head), **sick) for head in range(2)]
    end = [measure(head, step=900, gamma=1e-4 * (2 - head), **sick) for head in range(2)]
    (finding,) = diagnose(start, end).findings
    assert finding.message.endswith("γ has moved since step 0, within 0.0001–0.0002.")


def test_one_step_says_nothing_about_moving(layer):
    assert "moved" not in diagnose(layer(range(8), **BLIND)).findings[0].message


def test_information_is_one_line_per_run_and_no_finding(layer):
    healthy = [layer(range(8), step=s, gamma=0.018, run=r) for s in (0, 900) for r in ("a", "b")]
    diagnosis = diagnose(*healthy)
    assert [run for run, _ in diagnosis.information] == ["a", "b"]
    assert diagnosis.information[0].message == (
        "Geometry moves 25 % of attention (median), so γ 0.018 and median geometry ÷ content 0.97 "
        "are fine; 0.5–2 and 2–5 are rules of thumb of users, no checks; "
        "γ has not moved over the recorded steps"
    )
    assert diagnosis.verdict == Severity.HEALTHY
    assert diagnose(*healthy, ignore=["D102,D106,D207"]).information == ()


def test_information_does_not_soothe_a_sick_run(layer):
    (information,) = diagnose(layer(range(8), **BLIND)).information
    assert information.message.endswith("geometry moves 2.5 % of attention (median)")


def test_nothing_is_called_fine_that_could_not_be_judged(layer):
    early = diagnose(layer(range(8), step=100, gamma=0.018))
    noise = diagnose(layer(range(8), ca_step=60.0), layer(range(8), layer=1))
    for diagnosis, where in ((early, "judge"), (noise, "judge in 1 of 2 layers")):
        (information,) = diagnosis.information
        assert "fine" not in information.message
        assert information.message.endswith(f"(median), which its checks could not {where}")


def test_checks_that_judged_nothing_at_the_last_step_are_told(layer):
    """Those of trends too; what was silent at earlier steps only is not among them."""
    judged = [layer(range(8), step=step) for step in (100, *range(300, 1000, 100))]
    assert [silent.id for silent in diagnose(*judged, ignore=["D205"]).silent] == []
    steps = diagnose(layer(range(8), step=100), layer(range(8), step=900))
    assert [silent.id for silent in steps.silent] == ["D205", "D210", "D211"]
    both = diagnose(layer(range(8), ca_step=60.0), layer(range(8), layer=1))
    told = {silent.id: silent for silent in both.silent}
    noise = "coordinates are noise: consecutive Cα are not 3.8 ± 1.5 Å apart"
    assert told["D101"] == ("D101", (noise,), 1, 2)
    assert told["D210"] == told["D211"]._replace(id="D210")
    assert told["D210"][1:] == (("too few recorded steps",), 2, 2)
    assert "D208" not in told


def test_a_run_without_gamma_has_information_on_what_there_is(layer):
    diagnosis = diagnose(layer(range(8), gamma=None, geometry_ratio=None, geometry_effect=None))
    assert diagnosis.information == ()


def test_skipped_is_counted_over_all_steps_and_said_once(layer):
    diagnosis = diagnose(layer(step=0), layer(step=100), layer(step=900))
    early = [s for s in diagnosis.skipped if s.reason.startswith("too early")]
    assert [(s.id, s.maps) for s in early] == [
        ("D101", 16),
        ("D103", 16),
        ("D104", 16),
        ("D201", 16),
        ("D206", 16),
        ("D209", 16),
    ]


def test_maps_that_fired_are_bounded(layer):
    layers = [layer(range(8), items=25, layer=index, **COLLAPSED) for index in range(6)]
    diagnosis = diagnose(*layers)
    assert len(diagnosis.by_map) == MAX_BY_MAP
    assert diagnosis.by_map_left_out == 6 * 8 * 25 - MAX_BY_MAP


@dataclass
class Piece:
    path: str
    where: str
    reason: str


def test_damage_may_be_found_while_verdicts_are_streamed(layer):
    damaged = []

    def verdicts():
        yield judge_layer(layer(), Settings()).verdict()
        damaged.append(Piece("a.h5", "", "truncated"))

    assert conclude(verdicts(), Settings(), damaged).damaged == tuple(damaged) != ()


@pytest.mark.parametrize(
    ("sick", "fails"),
    [
        ((), {"error": False, "warning": False, "note": False, "never": False}),
        ([0], {"error": False, "warning": False, "note": True, "never": False}),
        (range(3), {"error": False, "warning": True, "note": True, "never": False}),
        (range(8), {"error": True, "warning": True, "note": True, "never": False}),
    ],
)
def test_what_counts_as_failure(layer, sick, fails):
    diagnosis = diagnose(layer(sick, **COLLAPSED))
    for word, expected in fails.items():
        assert diagnosis.fails(Settings.of(fail_on=word).fail_on) is expected
