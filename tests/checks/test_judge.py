"""The verdict on one layer: shares of heads, silences, consequences, and each map's verdict."""

import pytest

from igaviz.checks import Severity, judge_layer
from igaviz.checks.finding import GEOMETRY_NOT_JUDGED, HEALTHY, NOT_JUDGED
from igaviz.checks.settings import Settings
from igaviz.dump.data import Mask
from igaviz.metrics.data import Replay

BLIND = {"geometry_effect": 0.025, "geo_bias_std_near": 0.01, "gamma": 0.0001}
INVERTED = {"neighbour_shift": -0.5, "bias_trend": 0.9}
DROWNED = {"geometry_ratio_near": 20.0, "content_effect": 0.03}
SATURATED = {"saturation": 0.8}
UNRECORDED = dict.fromkeys(
    (
        "geometry_effect",
        "geo_bias_std_near",
        "geometry_ratio_near",
        "geo_range",
        "neighbour_shift",
        "bias_trend",
    )
)


def judge(maps, **typed):
    return judge_layer(maps, Settings.of(**typed)).verdict()


def map_verdicts(maps):
    return judge_layer(maps, Settings()).map_verdicts()


def found(verdict):
    return {finding.id: str(finding.severity) for finding in verdict.findings}


def test_a_healthy_layer_has_nothing_to_say(layer):
    verdict = judge(layer(items=3))
    assert verdict.findings == verdict.by_map == ()
    assert set(verdict.heads.values()) == {HEALTHY}
    assert verdict.verdict == HEALTHY
    ((check, reason),) = set(verdict.skipped)
    assert check == "D205"
    assert reason.startswith("σ not recorded")


@pytest.mark.parametrize(
    ("sick", "severity"),
    [([3], "note"), ([0, 3], "note"), (range(3), "warning"), (range(4), "error")],
)
def test_severity_by_share_of_heads(layer, sick, severity):
    verdict = judge(layer(sick, **DROWNED))
    assert found(verdict) == {"D104": severity}
    (finding,) = verdict.findings
    assert finding.heads == tuple(sick)
    assert (finding.maps, finding.of) == (len(sick), 8)
    assert (finding.rank, finding.batch, finding.head) == (
        (0, 0, 3) if len(sick) == 1 else (None, None, None)
    )
    assert {h for h, v in verdict.heads.items() if v.check == "D104"} == set(sick)
    assert str(verdict.verdict.severity) == severity


ERRORS_TOGETHER = {
    "the collapse, not the cause that is none": (
        {"geometry_ratio_near": 900.0, "self_mass": 0.9, "geo_range": 3.5},
        "D202",
    ),
    "the cause, not its consequence": ({"geometry_ratio_near": 900.0, "saturation": 0.9}, "D104"),
    "the consequence beside what is no cause": ({"geo_range": 3.5, "saturation": 0.9}, "D203"),
    "a mistake in the code": (
        {"neighbour_shift": -1.0, "bias_trend": 0.9, "self_mass": 0.9},
        "D105",
    ),
    "what can't be trusted": ({"nonfinite": 3, "self_mass": 0.9}, "D001"),
}


@pytest.mark.parametrize("what", ERRORS_TOGETHER)
def test_of_equally_severe_checks_the_most_telling_one_is_the_verdict(layer, what):
    values, expected = ERRORS_TOGETHER[what]
    maps = layer(range(8), **values)
    verdict = judge(maps)
    assert verdict.verdict[:2] == (Severity.ERROR, expected)
    assert {v.check for v in verdict.heads.values()} == {expected}
    assert {v.check for v in map_verdicts(maps).values()} == {expected}


def test_a_layer_is_called_by_the_most_telling_of_its_heads(layer, measure):
    collapsed = {"geometry_ratio_near": 900.0, "self_mass": 0.9}
    maps = [
        measure(head, **{**collapsed, **({"self_mass": 0.1} if head < 4 else {})})
        for head in range(8)
    ]
    verdict = judge(maps)
    assert verdict.heads[0].check == "D104"
    assert verdict.verdict.check == "D202"


def test_a_worse_consequence_is_the_verdict_beside_a_milder_cause(layer, measure):
    maps = [
        measure(
            head, saturation=0.9 if head < 6 else 0.0, geometry_ratio_near=9.0 if head < 2 else 1.0
        )
        for head in range(8)
    ]
    assert judge(maps).heads[0][:2] == (Severity.ERROR, "D203")


def test_a_cap_is_never_exceeded(layer):
    assert found(judge(layer(range(8), sink=0.5))) == {"D208": "warning"}
    assert found(judge(layer(range(8), local_enrichment=1.05))) == {"D206": "warning"}


def test_no_locality_speaks_only_from_more_than_half_of_the_heads_on(layer):
    maps = layer(range(4), local_enrichment=1.05)
    assert found(judge(maps)) == {}
    assert set(map_verdicts(maps).values()) == {HEALTHY}
    assert found(judge(layer(range(5), local_enrichment=1.05))) == {"D206": "warning"}
    assert found(judge(maps, settings=["no-locality.heads=0.3"])) == {"D206": "warning"}


def test_a_head_shows_it_from_half_of_its_items_on(measure):
    def items(collapsed):
        return [
            measure(head, batch=batch, self_mass=0.9 if batch < collapsed else 0.01)
            for batch in range(4)
            for head in range(8)
        ]

    verdict = judge(items(2))
    assert found(verdict) == {"D202": "error"}
    assert (verdict.findings[0].maps, verdict.findings[0].of) == (16, 32)
    assert judge(items(1)).findings == ()


def test_too_few_items_for_a_head_are_a_note_on_the_map(measure):
    maps = [measure(0, batch=b, self_mass=0.9 if b == 0 else 0.01) for b in range(4)]
    verdicts = map_verdicts(maps)
    assert verdicts[maps[0].id][:2] == (Severity.NOTE, "D202")
    assert verdicts[maps[1].id] == HEALTHY


@pytest.mark.parametrize(
    "broken",
    [{"nonfinite": 7}, {"row_sum_error": 0.1}, {"replay": Replay(0.4, 60, 84, 5e-3, None)}],
)
def test_one_map_that_breaks_an_invariant_is_an_error(measure, broken):
    maps = [
        measure(head, batch=batch, **(broken if (head, batch) == (5, 1) else {}))
        for batch in range(4)
        for head in range(8)
    ]
    (finding,) = judge(maps).findings
    assert finding.severity == Severity.ERROR
    assert (finding.batch, finding.head, finding.maps, finding.of) == (1, 5, 1, 32)


def test_the_worst_map_is_named_with_its_numbers(measure):
    maps = [
        measure(head, batch=batch, geometry_ratio_near=6.0 + head + 10 * batch)
        for batch in range(2)
        for head in range(4)
    ]
    (finding,) = judge(maps).findings
    assert (finding.value, finding.threshold) == (19.0, 5.0)
    assert "6–19 times" in finding.message
    assert "Worst on head 3 of item 1, item1; from 8 maps." in finding.message


def test_many_maps_need_no_caveat(layer):
    (finding,) = judge(layer(range(8), items=2, self_mass=0.9)).findings
    assert finding.message.endswith("Worst on head 0 of item 0, item0.")


def test_a_single_recorded_head_is_a_note_that_says_why(measure):
    (finding,) = judge([measure(2, self_mass=0.9)]).findings
    assert finding.severity == Severity.NOTE
    assert "one head alone" in finding.message


def test_further_conditions_are_those_of_the_worst_map(layer):
    (finding,) = judge(layer(range(8), **BLIND)).findings
    assert (finding.value, finding.threshold) == (0.025, 0.08)
    assert finding.also == (("geo_bias_std_near", 0.01, 0.05),)


class TestConsequences:
    def test_told_under_their_cause(self, layer):
        verdict = judge(layer(range(8), **BLIND, **INVERTED))
        assert found(verdict) == {"D105": "error"}
        assert "With it comes D101 gamma-too-small" in verdict.findings[0].message
        assert verdict.shown == {"D101", "D105"}
        assert {v.check for v in verdict.heads.values()} == {"D105"}

    @pytest.mark.parametrize("cause", [DROWNED, {"self_mass": 0.9}])
    def test_saturation_under_either_cause(self, layer, cause):
        verdict = judge(layer(range(8), **cause, **SATURATED))
        assert len(verdict.findings) == 1
        assert "softmax-saturated" in verdict.findings[0].message

    def test_stands_where_the_cause_is_milder(self, measure):
        maps = [
            measure(h, **(DROWNED if h < 2 else {}), **(SATURATED if h < 5 else {}))
            for h in range(8)
        ]
        verdict = judge(maps)
        assert found(verdict) == {"D104": "note", "D203": "error"}
        assert verdict.heads[0].check == "D203"
        assert map_verdicts(maps)[maps[0].id].check == "D203"

    def test_stands_where_the_cause_is_on_other_heads(self, measure):
        maps = [
            measure(h, **(DROWNED if h == 0 else {}), **(SATURATED if h == 5 else {}))
            for h in range(8)
        ]
        assert found(judge(maps)) == {"D104": "note", "D203": "note"}

    def test_stands_where_the_cause_is_not_selected(self, layer):
        maps = layer(range(8), **DROWNED, **SATURATED)
        assert found(judge(maps, select=["D203"])) == {"D203": "error"}
        assert found(judge(maps, ignore=["D104"])) == {"D203": "error"}

    def test_flat_bias_stays_silent_where_gamma_speaks_even_unselected(self, layer):
        maps = layer(range(8), **BLIND)
        assert found(judge(maps, ignore=["D101"])) == {}
        assert found(judge(layer(range(8), geo_bias_std_near=0.01))) == {"D103": "warning"}


SICK = {
    **DROWNED,
    **SATURATED,
    **INVERTED,
    "geo_bias_std_near": 20.0,
    "geo_range": 3.7,
    "self_mass": 0.9,
    "sink": 0.9,
    "sigma_floor_share": 0.9,
    "local_enrichment": 1.0,
    "uniform_kl": 0.001,
}
GEOMETRY = {"D101", "D103", "D104", "D105", "D107", "D202", "D203", "D204", "D205", "D206"}
ALL_SICKNESSES = GEOMETRY | {"D201", "D208", "D209"}


class TestSilence:
    @pytest.mark.parametrize(
        ("place", "silent", "reason"),
        [
            ({"n_residues": 19}, ALL_SICKNESSES, "too small to judge: fewer than 20 residues"),
            ({"flow_time": 0.29}, GEOMETRY, "flow time below 0.3"),
            ({"ca_step": 5.4}, GEOMETRY, "not 3.8 ± 1.5 Å apart"),
            ({"ca_step": 2.2}, GEOMETRY, "not 3.8 ± 1.5 Å apart"),
            (
                {"step": 199},
                {"D101", "D103", "D104", "D201", "D206", "D209"},
                "too early to tell: below 200 optimiser steps",
            ),
            ({"attention_recorded": False}, {"D002", "D003"}, "derived"),
        ],
    )
    def test_silent_where_numbers_mean_nothing(self, measure, place, silent, reason):
        maps = [measure(head, **SICK, row_sum_error=1.0, **place) for head in range(8)]
        verdict = judge(maps)
        skipped = {i for (i, why), n in verdict.skipped.items() if why.endswith(reason) and n == 8}
        assert skipped == silent
        assert not silent & (verdict.shown | {v.check for v in map_verdicts(maps).values()})

    @pytest.mark.parametrize(
        "place", [{"n_residues": 20}, {"flow_time": 0.3}, {"ca_step": 5.2}, {"step": 200}]
    )
    def test_speaks_on_the_other_side(self, measure, place):
        assert not any(
            "noise" in why or "too" in why for _, why in judge([measure(**SICK, **place)]).skipped
        )

    def test_a_mistaken_unit_is_no_noise(self, layer):
        verdict = judge(layer(range(8), ca_step=0.38, **DROWNED))
        assert found(verdict) == {"D004": "warning", "D104": "error"}

    def test_noise_of_the_size_of_a_mistaken_unit_is_no_unit(self, layer):
        verdict = judge(layer(range(8), ca_step=38.0, step_spread=0.6, **DROWNED))
        assert found(verdict) == {}

    def test_noise_that_looks_like_a_mistaken_unit_is_noise(self, measure):
        noised = measure(ca_step=38.0, flow_time=0.1)
        assert "D004" in {check for check, _ in judge([noised]).skipped}
        assert found(judge([noised])) == {}
        clean = measure(ca_step=90.0, reference_step=38.0, flow_time=0.1)
        assert found(judge([clean])) == {"D004": "warning"}

    def test_items_that_are_silent_do_not_count(self, measure):
        maps = [
            measure(head, batch=batch, n_residues=10 if batch else 84, self_mass=0.9)
            for batch in range(4)
            for head in range(8)
        ]
        (finding,) = judge(maps).findings
        assert (finding.id, finding.maps, finding.of) == ("D202", 8, 8)

    def test_health_says_what_could_not_be_judged(self, measure):
        small, blind, whole = (
            measure(batch=0, n_residues=3),
            measure(batch=1, **UNRECORDED),
            measure(batch=2),
        )
        verdicts = map_verdicts([small, blind, whole])
        assert list(verdicts.values()) == [NOT_JUDGED, GEOMETRY_NOT_JUDGED, HEALTHY]
        assert judge([small]).heads[0] == NOT_JUDGED
        assert judge([small, blind]).heads[0] == GEOMETRY_NOT_JUDGED
        assert judge([small, blind, whole]).heads[0] == HEALTHY


def test_unit_suspect_is_said_of_the_item_and_leaves_heads_alone(layer):
    maps = layer(range(8), items=2, ca_step=0.38, length_unit="angstrom")
    verdict = judge(maps)
    assert [(f.layer, f.rank, f.batch, f.maps, f.of) for f in verdict.findings] == [
        (None, 0, 0, 8, 8),
        (None, 0, 1, 8, 8),
    ]
    assert "as if nm were recorded as Å" in verdict.findings[0].message
    assert set(verdict.heads.values()) == {HEALTHY}
    assert {v.check for v in map_verdicts(maps).values()} == {"D004"}


def test_a_mask_in_the_logits_is_said_of_the_item_and_makes_no_map_worse(layer):
    maps = layer(range(8), items=2, mask=Mask(-1e4, pairs=1764, keys=0))
    verdict = judge(maps)
    assert [(f.id, f.layer, f.batch, f.maps) for f in verdict.findings] == [
        ("D005", None, 0, 8),
        ("D005", None, 1, 8),
    ]
    assert "On 25 % of pairs the logits are -10,000 or less" in verdict.findings[0].message
    assert "padding" not in verdict.findings[0].message
    assert {*verdict.heads.values(), *map_verdicts(maps).values()} == {HEALTHY}


def test_map_verdicts_have_the_severity_of_their_layer(layer):
    ill, fine = layer(range(5), layer=0, self_mass=0.9), layer([2], layer=1, self_mass=0.9)
    verdicts = map_verdicts(ill)
    assert list(verdicts) == [m.id for m in ill]
    assert [v.severity for v in verdicts.values()] == [Severity.ERROR] * 5 + [Severity.HEALTHY] * 3
    verdict = map_verdicts(fine)[fine[2].id]
    assert verdict == (Severity.NOTE, "D202", "attention collapsed onto the diagonal")


def test_by_map_lists_each_map_that_fired(layer):
    verdict = judge(layer(range(4), items=2, self_mass=0.9))
    assert len(verdict.by_map) == 8
    finding = verdict.by_map[0]
    assert (finding.rank, finding.batch, finding.head, finding.heads) == (0, 0, 0, (0,))
    assert (finding.maps, finding.of, finding.severity) == (1, 1, Severity.ERROR)
