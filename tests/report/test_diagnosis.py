"""`igaviz diagnose` as text and as JSON. After a wanted change, write the golden files anew with
`GOLDEN=write pytest tests/report/test_diagnosis.py`, and read the difference."""

import io
import json
import math
import os
import runpy
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from igaviz.checks import conclude, judge_layer
from igaviz.checks.explain import explain
from igaviz.checks.settings import Settings
from igaviz.metrics.data import Replay
from igaviz.report.diagnosis import diagnosis_json, print_diagnosis
from igaviz.report.explain import print_explanation

HERE = Path(__file__).parent
builders = runpy.run_path(str(HERE.parent / "checks" / "conftest.py"))
layer, measure = builders["layer"], builders["measure"]

BLIND = {"geometry_effect": 0.008, "geo_bias_std_near": 0.012, "gamma": 0.0001}
FINDING_KEYS = [
    *("id", "name", "severity", "run", "phase", "step", "rank", "batch", "layer", "head"),
    *("heads", "maps", "of", "value", "threshold", "also", "message", "remedy"),
]


@dataclass
class Piece:
    path: str
    where: str
    reason: str


def diagnose(*layers, damaged=()):
    return conclude((judge_layer(maps, Settings()) for maps in layers), Settings(), damaged)


def sick():
    return diagnose(
        layer(range(8), layer=0, step=0, saturation=0.8, content_saturation=0.7),
        layer(range(8), layer=0, **BLIND),
        layer(range(8), layer=1, **{**BLIND, "geometry_effect": 0.02}),
        layer([2, 3], layer=2, self_mass=0.7),
        layer(range(5), layer=3, geometry_ratio_near=20.0, content_effect=0.03, saturation=0.8),
        layer(range(3), layer=4, self_mass=0.8),
        layer(range(8), layer=5, ca_step=0.38, length_unit="angstrom"),
        damaged=[
            Piece("run/step-000000100.h5", "", "incomplete"),
            Piece("a.h5", "steps/1", "torn"),
        ],
    )


def console(width=80, encoding="utf-8"):
    return Console(file=io.TextIOWrapper(io.BytesIO(), encoding), width=width, color_system=None)


def printed(diagnosis, by="layer", **options):
    to = console(**options)
    print_diagnosis(diagnosis, to, by)
    return _text(to)


def _text(to):
    to.file.flush()
    return to.file.buffer.getvalue().decode(to.encoding)


DIAGNOSES = {
    "sick": sick,
    "healthy": lambda: diagnose(*(layer(layer=i, step=s) for i in range(2) for s in (0, 900))),
}


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("name", DIAGNOSES)
def test_text_is_the_golden_text(name, encoding):
    text = printed(DIAGNOSES[name](), encoding=encoding)
    golden = HERE / "golden" / f"diagnosis_{name}.{encoding}.txt"
    if os.environ.get("GOLDEN") == "write":
        golden.write_text(text, "utf-8")
    assert text == golden.read_text("utf-8")


def test_prose_keeps_to_the_width():
    """Only the lines that name a place and its number may be longer than the terminal."""
    for width in (40, 60, 200):
        for line in printed(sick(), width=width).splitlines():
            assert len(line) <= max(width, 100) or "threshold" in line


def test_many_heads_fold_to_the_width():
    text = printed(diagnose(layer([63], n_heads=64, self_mass=0.9)), width=40)
    table = [line for line in text.splitlines() if line.startswith("  layer 0  ")]
    assert "".join(line.split("  ")[2] for line in table).replace(" ", "")[:64] == "·" * 63 + "○"
    assert max(map(len, table)) <= 40


def test_heads_keep_their_numbers_and_gaps():
    maps = [measure(head) for head in (3, 11)] + [measure(11, layer=1)]
    lines = printed(diagnose(maps[:2], maps[2:])).splitlines()
    assert [line for line in lines if "head " in line or "  layer" in line] == [
        "     head  3",
        "  layer 0  · ·",
        "  layer 1    ·",
    ]


def test_colour_only_where_there_is_any():
    to = Console(file=io.StringIO(), force_terminal=True, width=80, color_system="standard")
    print_diagnosis(sick(), to)
    assert "\x1b[1;31m" in to.file.getvalue()
    assert "\x1b" not in printed(sick())


def test_strangers_names_are_harmless():
    evil = "\x1b[2Jrun\n[bold]\udce9"
    maps = layer(range(8), run=evil, items=2, self_mass=0.9, item="\x07\x1b]0;x")
    text = printed(diagnose(maps, damaged=[Piece(evil, "", "\x1b[2J")]))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "?[2Jrun [bold]?" in text


def test_several_runs_are_told_apart():
    text = printed(diagnose(layer(range(8), run="a", **BLIND), layer(run="b")))
    assert "ERROR D101 gamma-too-small: geometry has no say  (a, train, step 2,000)" in text
    assert "a: γ 0.0001" in text
    assert "Begin with D101 gamma-too-small in layer 0 of a." in text


def test_broken_invariants_come_first_and_say_why():
    broken = layer([0], replay=Replay(0.4, 80, 84, 5e-3, "without geometry"))
    text = printed(diagnose(broken, layer(range(8), layer=1, **BLIND)))
    assert "Begin with D003 terms-disagree in layer 0, then D101: while it stands" in " ".join(
        text.split()
    )


def test_notes_ask_for_nothing():
    assert "Nothing to do" in printed(diagnose(layer([1], self_mass=0.9)))


def test_nothing_looked_at_is_not_called_healthy():
    assert "No map could be looked at." in printed(diagnose(damaged=[Piece("a.h5", "", "torn")]))
    small = printed(diagnose([measure(head, n_residues=3) for head in range(4)]))
    assert "Nothing could be judged in 4 maps." in small
    assert "layer 0  ? ? ? ?" in small


def test_by_map_lists_maps():
    text = printed(diagnose(layer([1, 2], items=2, self_mass=0.9)), by="map")
    listed = [line for line in text.splitlines() if "threshold" in line]
    assert listed == [
        f"  ○ layer 0, item {batch}, head {head}: self_mass 0.9, threshold 0.5"
        for batch in (0, 1)
        for head in (1, 2)
    ]


def test_json_has_the_documented_keys_and_only_finite_numbers():
    data = diagnosis_json(sick())
    assert list(data) == [
        "schema",
        "verdict",
        "maps",
        "findings",
        "history",
        "skipped",
        "damaged",
        "information",
    ]
    assert (data["schema"], data["verdict"], data["maps"]) == ("igaviz.diagnose/1", "error", 56)
    for finding in data["findings"] + data["history"]:
        assert list(finding) == FINDING_KEYS
    worst = data["findings"][0]
    assert (worst["id"], worst["severity"], worst["layer"]) == ("D101", "error", 0)
    assert (worst["rank"], worst["batch"], worst["head"]) == (None, None, None)
    assert (worst["heads"], worst["maps"], worst["of"]) == (list(range(8)), 8, 8)
    assert (worst["value"], worst["threshold"]) == (0.008, 0.08)
    assert worst["also"] == [{"metric": "geo_bias_std_near", "value": 0.012, "threshold": 0.05}]
    assert all(finding["severity"] == "note" for finding in data["history"])
    assert {"id": "D201", "reason": "too early to tell: below 200 optimiser steps", "maps": 8} in (
        data["skipped"]
    )
    assert data["damaged"][1] == {"path": "a.h5", "where": "steps/1", "reason": "torn"}
    assert json.loads(json.dumps(data, allow_nan=False)) == data


def test_json_has_null_for_a_number_that_is_not_finite():
    data = diagnosis_json(diagnose(layer(range(8), log_det_min=-math.inf)))
    (finding,) = data["findings"]
    assert (finding["id"], finding["value"]) == ("D205", None)
    assert finding["also"] == [{"metric": "log_det_min", "value": None, "threshold": -16.0}]
    assert "not finite" in finding["message"]


def test_json_by_map_has_one_finding_per_map():
    data = diagnosis_json(diagnose(layer([1, 2], items=2, self_mass=0.9)), by="map")
    assert [(f["batch"], f["head"], f["maps"], f["of"]) for f in data["findings"]] == [
        (0, 1, 1, 1),
        (0, 2, 1, 1),
        (1, 1, 1, 1),
        (1, 2, 1, 1),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_an_explanation_answers_every_question(encoding):
    to = console(encoding=encoding)
    print_explanation(explain("gamma-too-small"), to)
    text = " ".join(_text(to).split())
    for part in (
        "D101 gamma-too-small: geometry has no say",
        "fires when geometry_effect < 0.08 and geo_bias_std_near < 0.05",
        "--set gamma-too-small.effect=",
        "origin Measured",
        "told under D105 geometry-inverted",
        "example",
        "to do",
    ):
        assert part in text
