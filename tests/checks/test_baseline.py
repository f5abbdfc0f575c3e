"""Which findings a baseline knows."""

import json
from dataclasses import replace

import pytest

from igaviz.checks import Baseline, Severity, conclude, judge_layer
from igaviz.checks.settings import Settings
from igaviz.report.diagnosis import diagnosis_json


@pytest.fixture
def diagnose(layer):
    def run(*layers):
        return conclude((judge_layer(maps, Settings()).verdict() for maps in layers), Settings())

    return run


@pytest.fixture
def baseline(tmp_path):
    """A baseline of a diagnosis, through its file."""

    def of(diagnosis, by="layer"):
        path = tmp_path / "known.json"
        path.write_text(json.dumps(diagnosis_json(diagnosis, by=by)), "utf-8")
        return Baseline.read(path)

    return of


@pytest.mark.parametrize("by", ["layer", "map"])
def test_what_is_the_same_or_less_is_known(by, diagnose, layer, baseline):
    found = diagnose(layer(range(6), items=2, self_mass=0.9))
    known = baseline(found, by)
    later = diagnose(layer(range(3), items=2, step=9000, self_mass=0.99))
    for diagnosis in (found, later):
        accepted = known.accept(diagnosis)
        assert [finding.accepted for finding in accepted.findings] == [True]
        assert all(finding.accepted for finding in accepted.by_map)
        assert not accepted.fails(Severity.NOTE)
        assert accepted.verdict == diagnosis.verdict


@pytest.mark.parametrize(
    "changed", [{"run": "x"}, {"phase": "val"}, {"layer": 1}, {"id": "D203"}, {"heads": (1, 7)}]
)
def test_what_differs_in_place_or_heads_is_new(changed, diagnose, layer, baseline):
    known = baseline(diagnose(layer(range(6), self_mass=0.9)))
    (finding,) = diagnose(layer(range(6), self_mass=0.9)).findings
    assert known.knows(finding)
    assert not known.knows(replace(finding, **changed))


def test_the_same_heads_of_a_smaller_layer_are_worse_and_new(diagnose, layer, baseline):
    known = baseline(diagnose(layer(range(2), n_heads=8, self_mass=0.9)))
    (finding,) = diagnose(layer(range(2), n_heads=2, self_mass=0.9)).findings
    assert finding.severity == Severity.ERROR
    assert not known.knows(finding)


def test_items_are_known_one_by_one(diagnose, layer, measure, baseline):
    suspect = {"ca_step": 0.38, "length_unit": "angstrom"}
    known = baseline(diagnose([measure(h, batch=1, **suspect) for h in range(8)]))
    both = diagnose([measure(h, batch=b, **suspect) for h in range(8) for b in (1, 2)])
    accepted = {f.batch: f.accepted for f in known.accept(both).findings}
    assert accepted == {1: True, 2: False}
