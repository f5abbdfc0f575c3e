"""The three recorded runs, from the file to the verdict."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from igaviz.dump import open_dump, read_maps
from igaviz.metrics import Pairs, measure
from igaviz.survey.summary import summary_rows

RUNS = ("healthy", "gamma_too_small", "diagonal_collapse")


def igaviz(*arguments, folder=None):
    return subprocess.run(
        [sys.executable, "-m", "igaviz", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def findings(path):
    done = igaviz("diagnose", path, "--json", "--jobs", "1")
    found = json.loads(done.stdout)
    assert found["schema"] == "igaviz.diagnose/1"
    return done.returncode, {(f["id"], f["severity"]) for f in found["findings"]}


def test_healthy_has_notes_at_most(sample_data):
    code, found = findings(sample_data / "healthy")
    assert code == 0
    assert {severity for _, severity in found} <= {"note"}


@pytest.mark.parametrize(
    ("run", "check"), [("gamma_too_small", "D101"), ("diagonal_collapse", "D202")]
)
def test_a_sick_run_is_named_by_its_sickness(sample_data, run, check):
    code, found = findings(sample_data / run)
    assert code == 1
    assert (check, "error") in found


def test_a_collapsed_run_is_called_collapsed(sample_data):
    """In the table of verdicts and what to do first, though geometry dominates every layer too."""
    done = igaviz("diagnose", sample_data / "diagonal_collapse", "--jobs", "1")
    rows = [line for line in done.stdout.splitlines() if line.startswith("  layer ")]
    result = json.loads(igaviz("diagnose", sample_data / "diagonal_collapse", "--json").stdout)
    collapsed = {
        finding["layer"]
        for finding in result["findings"]
        if (finding["id"], finding["severity"]) == ("D202", "error")
    }
    dominated = {f["layer"] for f in result["findings"] if f["id"] == "D104"}
    assert len(collapsed & dominated) >= 4
    for layer, row in enumerate(rows):
        named = "✖  D202 attention collapsed onto the diagonal" in row
        assert named == (layer in collapsed), row
    assert "What to do\n  1. D202 diagonal-collapse in layers " in done.stdout


@pytest.mark.parametrize("run", RUNS)
def test_the_recorded_terms_replay_the_recorded_attention(sample_data, run):
    """Attention is stored as float16, which rounds a weight by up to 2⁻¹² of itself."""
    dump = open_dump(sample_data / run)
    assert not dump.damaged
    assert len(dump.steps) == 2
    for entry in dump.entries:
        for found in read_maps(entry):
            error = measure(found, Pairs.of(found.structure)).values["replay_error"]
            assert error < 2.0**-11


@pytest.mark.parametrize("run", RUNS)
def test_shards_and_scalars_are_one_time_line(sample_data, run):
    rows = list(summary_rows(open_dump(sample_data / run), by="layer"))
    steps = sorted({row.step for row in rows})
    assert len(steps) >= 50
    assert {row.layer for row in rows if row.step == steps[0]} == set(range(6))
    keys = [(row.step, row.layer) for row in rows]
    assert keys == sorted(set(keys))
    assert {row.step for row in rows if row.from_maps} == set(open_dump(sample_data / run).steps)


def test_verify_and_info_agree_that_all_is_whole(sample_data):
    paths = [sample_data / run for run in RUNS]
    assert igaviz("verify", *paths, "--jobs", "1").returncode == 0
    done = igaviz("info", *paths, "--json")
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert [run["name"] for run in found["runs"]] == list(RUNS)
    assert all(run["maps"] == 96 for run in found["runs"])


def test_render_draws_the_three_figures_of_each_head(sample_data, tmp_path):
    done = igaviz(
        "render", sample_data / "healthy", "--layer", "3", "--head", "0,2", folder=tmp_path
    )
    assert done.returncode == 0, done.stderr
    pictures = sorted(path.name for path in tmp_path.glob("attention_vis/step_*/*.png"))
    assert pictures == [
        f"layer3_{figure}_b0_h{head}.png"
        for figure in ("attention_overview", "attention_profiles", "distance_statistics")
        for head in (0, 2)
    ]


def test_summary_prints_the_classic_line(sample_data):
    done = igaviz("summary", sample_data / "healthy", "--lines", "--step", "last", "--jobs", "1")
    assert done.returncode == 0
    line = done.stdout.splitlines()[0]
    assert line.startswith("[IGA Vis Layer 0] Step 1500: γ=0.0")
    assert ", geo_bias=" in line


def test_the_sample_data_is_small_and_names_no_machine(sample_data):
    files = [path for path in sample_data.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 21_000_000
    for path in sample_data.glob("*/run.json"):
        for attempt in json.loads(path.read_text())["attempts"]:
            assert not any(word.startswith("/") for word in attempt["command"])
