"""`igaviz diagnose` as text and as JSON. After a wanted change, write the golden files anew with
`make golden`, and read the difference."""

import io
import itertools
import json
import math
import os
import re
import runpy
from dataclasses import dataclass
from pathlib import Path

import bare
import numpy as np
import pytest
from rich.console import Console

from igaviz.checks import conclude, judge_layer
from igaviz.checks.explain import explain
from igaviz.checks.settings import Settings
from igaviz.dump import open_dump
from igaviz.metrics.data import Replay
from igaviz.report.diagnosis import diagnosis_json, print_diagnosis
from igaviz.report.explain import print_explanation
from igaviz.survey import diagnose as survey

HERE = Path(__file__).parent
builders = runpy.run_path(str(HERE.parent / "checks" / "conftest.py"))
layer, measure = builders["layer"], builders["measure"]

BLIND = {"geometry_effect": 0.008, "geo_bias_std_near": 0.012, "gamma": 0.0001}
FINDING_KEYS = [
    *("id", "name", "severity", "run", "phase", "step", "rank", "batch", "layer", "head"),
    *("heads", "worst_head", "maps", "of", "metric", "value", "threshold", "also", "message"),
    *("remedy", "accepted"),
]


@dataclass
class Piece:
    path: str
    where: str
    reason: str


def diagnose(*layers, damaged=()):
    return conclude(
        (judge_layer(maps, Settings()).verdict() for maps in layers), Settings(), damaged
    )


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


def hold_to_golden(text, name):
    golden = HERE / "golden" / name
    if os.environ.get("GOLDEN") == "write":
        golden.write_text(text, "utf-8")
    assert text == golden.read_text("utf-8")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("name", DIAGNOSES)
def test_text_is_the_golden_text(name, encoding):
    text = printed(DIAGNOSES[name](), encoding=encoding)
    hold_to_golden(text, f"diagnosis_{name}.{encoding}.txt")


@pytest.mark.parametrize("run", ["healthy", "gamma_too_small", "diagonal_collapse"])
def test_text_of_a_real_run_is_the_golden_text(run, sample_data):
    found = survey.diagnose(open_dump(sample_data / run))
    hold_to_golden(printed(found), f"run_{run}.txt")


def _deep(file):
    """48 layers of 32 heads: some one-hot, the last ones blind to geometry."""
    del file["steps"]
    item = bare.add_item(file, 5000, 0, bare.helix(24))
    for layer in range(48):
        data = bare.terms(bare.helix(24), 32, seed=layer)
        if layer % 7 == 3:
            data["logits_before"][: (4 + layer) % 33] *= 60
        if layer >= 40:
            data["geo_bias"] *= 1e-4
        data["attention"] = bare.softmax(data["logits_before"] + data["geo_bias"])
        bare.add_layer(item, layer, gamma=np.ones(32, np.float32), **data)


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    path = bare.write(tmp_path_factory.mktemp("deep") / "deep.h5", layers=1, change=_deep)
    return survey.diagnose(open_dump(path))


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_text_of_many_layers_and_heads_is_the_golden_text(width, deep):
    hold_to_golden(printed(deep, width=width), f"deep_{width}.txt")


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_nothing_is_wider_than_the_terminal(width, deep):
    for diagnosis, by in itertools.product((sick(), deep), ("layer", "map")):
        text = printed(diagnosis, by=by, width=width)
        assert max(map(len, text.splitlines())) <= width


def test_what_could_not_be_judged_is_in_the_first_line_and_has_a_sign():
    """Coordinates that are no chain, too early: none of it may look healthy."""
    noise = diagnose(*(layer(range(4), 4, layer=i, step=100, ca_step=60.0) for i in range(2)))
    text = printed(noise)
    first = " ".join(text.split("\n\n")[0].split())
    assert first == (
        "Nothing wrong in 8 maps by the 8 checks that could judge; "
        "14 could not: coordinates are noise, too early to tell."
    )
    listed = re.findall(r"D\d{3}", text.split("Not judged\n")[1])
    assert len(set(listed)) == len(listed) == 14 == len(noise.checks) - 8
    assert "  layer 1  – – – –\n" in text
    assert "– healthy, geometry not judged" in text
    assert "fine" not in text
    assert "  layer 1  - - - -\n" in printed(noise, encoding="ascii")
    torn = printed(diagnose(layer(), damaged=[Piece("a.h5", "", "torn")]))
    assert "1 damaged piece left out." in " ".join(torn.split("\n\n")[0].split())
    half = printed(diagnose(layer(range(8), ca_step=60.0), layer(range(8), layer=1)))
    assert "; 9 could in some of the 2 layers only: coordinates are noise" in " ".join(half.split())


def test_layers_that_show_the_same_are_one_line(deep):
    text = " ".join(printed(deep).split())
    assert "✖ layers 40-47, all 32 heads (256 of 256 maps): geometry_effect" in text
    assert "✖ layer 17, heads 0-20; layer 24, heads 0-27; layer 45, heads 0-15 (65 of 96" in text
    assert "▲ layer 10, heads 0-13 (14 of 32 maps)" in text
    assert "D203 attention is one-hot, D101" in text  # half of layer 45, and the other half


def test_the_worst_layer_is_told_whichever_comes_first():
    worse = {**BLIND, "geometry_effect": 0.001}
    text = printed(diagnose(layer(range(8), **BLIND), layer(range(8), layer=4, **worse)))
    assert "  Worst in layer 4: Geometry moves only 0.1 % of attention" in text


def test_many_heads_fold_to_the_width():
    text = printed(diagnose(layer([63], n_heads=64, self_mass=0.9)), width=40)
    table = [line for line in text.splitlines() if line.startswith("  layer 0  ")]
    assert "".join(line.split("  ")[2] for line in table).replace(" ", "")[:64] == "○" * 63 + "◆"
    assert max(map(len, table)) <= 40


def test_heads_keep_their_numbers_and_gaps():
    maps = [measure(head) for head in (3, 11)] + [measure(11, layer=1)]
    lines = printed(diagnose(maps[:2], maps[2:])).splitlines()
    assert [line for line in lines if "head " in line or "  layer" in line] == [
        "     head  3",
        "  layer 0  ○ ○",
        "  layer 1    ○",
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
    assert "ERROR D101 gamma-too-small: geometry has no say (a, train, step 2,000)" in text
    assert "a: γ 0.0001" in text
    assert "1. D101 gamma-too-small in layer 0 of a: If γ" in text


def test_broken_invariants_come_first_and_say_why():
    broken = layer([0], replay=Replay(0.4, 80, 84, 5e-3, "without geometry"))
    text = printed(diagnose(broken, layer(range(8), layer=1, **BLIND)))
    said = " ".join(text.split())
    assert "What to do 1. D003 terms-disagree in layer 0: Compare" in said
    assert "While it stands, the other numbers there can't be trusted. 2. D101" in said


def test_what_a_number_is_held_against_has_a_name():
    text = " ".join(
        printed(diagnose(layer(range(8), ca_step=0.381, length_unit="angstrom"))).split()
    )
    assert "ca_step 0.381 (a mix-up of units gives 0.38)" in text


def test_notes_ask_for_nothing():
    assert "Nothing to do" in printed(diagnose(layer([1], self_mass=0.9)))


def test_nothing_looked_at_is_not_called_healthy():
    assert "No map could be looked at." in printed(diagnose(damaged=[Piece("a.h5", "", "torn")]))
    small = printed(diagnose([measure(head, n_residues=3) for head in range(4)]))
    assert "No single head could be judged in 4 maps; nothing wrong by" in small
    assert "layer 0  ? ? ? ?" in small


def test_by_map_lists_maps():
    text = printed(diagnose(layer([1, 2], items=2, self_mass=0.9)), by="map")
    listed = [line for line in text.splitlines() if "threshold" in line]
    assert listed == [
        f"  ◆ layer 0, item {batch}, head {head}: self_mass 0.9 (threshold 0.5)"
        for batch in (0, 1)
        for head in (1, 2)
    ]


def test_json_has_the_documented_keys_and_only_finite_numbers():
    data = diagnosis_json(sick())
    assert list(data) == [
        "schema",
        "verdict",
        "maps",
        "looked_at",
        "checks",
        "silent",
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
    assert finding["also"] == [{"metric": "log_det_min", "value": None, "threshold": -17.0}]
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
