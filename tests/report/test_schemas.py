"""What `--json` prints is what the package's schemas say, on good, sick and damaged input."""

from __future__ import annotations

import json
import shutil

import bare
import h5py
import jsonschema
import pytest

from igaviz.checks import CHECKS
from igaviz.cli.main import main
from igaviz.errors import UsageError
from igaviz.metrics import METRICS
from igaviz.report.schema import VERBS, json_schema

SCHEMAS = {verb: json_schema(verb) for verb in VERBS}


def _torn(path):
    """One map that can't be read; the index can't see it."""

    def change(file):
        group = file["steps/000000100/batch/0/layers/0"]
        stored = group["attention"][()]
        del group["attention"]
        group.create_dataset("attention", data=stored, chunks=(4, 30, 30), fletcher32=True)

    bare.write(path, change=change)
    with h5py.File(path, "r") as file:
        stored = file["steps/000000100/batch/0/layers/0/attention"][()].tobytes()
    raw = path.read_bytes()
    at = raw.index(stored)
    path.write_bytes(raw[:at] + b"\xff" + raw[at + 1 :])
    return path


@pytest.fixture
def dumps(tmp_path, sample_data):
    """By name: what to read."""
    (tmp_path / "cut").mkdir()
    good = bare.write(tmp_path / "cut" / "good.h5", steps=(100, 900))
    (tmp_path / "cut" / "bad.h5").write_bytes(good.read_bytes()[:5000])
    shutil.copy(next((sample_data / "healthy").glob("scalars*")), tmp_path / "cut")
    return {
        "healthy": good,
        "sick": sample_data / "gamma_too_small",
        "collapsed": sample_data / "diagonal_collapse",
        "damaged": tmp_path / "cut",
        "torn": _torn(tmp_path / "torn.h5"),
        "tiny": bare.write(tmp_path / "tiny.h5", n=2),
        "masked": bare.write(tmp_path / "masked.h5", change=_non_finite),
    }


def _non_finite(file):
    file["steps/000000100/batch/0/layers/0/geo_bias"][0, 3, 4] = float("inf")


COMMANDS = {
    "diagnose": [
        ["diagnose", "--jobs", "1"],
        ["diagnose", "--jobs", "1", "--by", "map"],
        ["diagnose", "--jobs", "1", "--select", "D206"],
    ],
    "summary": [["summary", "--jobs", "1", "--by", by] for by in ("head", "layer", "step", "run")],
    "info": [["info"]],
    "verify": [["verify", "--jobs", "1"]],
    "merge": [["merge", "--force"]],
    "export": [["export", "--layer", "0,1", "--force", "--jobs", "1", "--format", "all"]],
    "render": [["render", "--layer", "0", "--head", "0", "--figure", "statistics", "--dpi", "30"]],
}


# comparisons take two: test_compare.py
@pytest.mark.parametrize("verb", sorted({*VERBS} - {"compare", "explain"}))
@pytest.mark.parametrize(
    "name", ["healthy", "sick", "collapsed", "damaged", "torn", "tiny", "masked"]
)
def test_what_is_printed_is_valid(verb, name, dumps, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for command in COMMANDS[verb]:
        code = main([*command, str(dumps[name]), "--json"])
        printed = capsys.readouterr().out
        too_early = "--select" in command and name in ("torn", "tiny", "masked")
        assert code in ((2,) if too_early else (0, 1))
        jsonschema.validate(json.loads(printed), SCHEMAS[verb])


def test_an_empty_selection_prints_no_half_of_a_document(dumps, capsys):
    """Nothing on stdout, the reason on stderr: whoever parses it sees the exit code first."""
    assert main(["diagnose", str(dumps["healthy"]), "--layer", "9", "--json"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "no layer 9" in said.err


@pytest.mark.parametrize("verb", VERBS)
def test_schemas_are_sound_and_leave_nothing_open(verb):
    """A key that isn't in the schema, or that is gone, would fail the test above."""
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[verb])
    objects = [SCHEMAS[verb], *SCHEMAS[verb]["$defs"].values()]
    assert all(o["additionalProperties"] is False and o["description"] for o in objects)
    assert SCHEMAS[verb]["properties"]["schema"] == {"const": SCHEMAS[verb]["$id"]}


def test_a_row_has_every_metric():
    row = SCHEMAS["summary"]["$defs"]["row"]
    assert {metric.name for metric in METRICS} <= set(row["required"])


def test_lines_of_json_are_rows(dumps, capsys):
    main(["summary", str(dumps["healthy"]), "--format", "jsonl", "--jobs", "1"])
    row = {
        **SCHEMAS["summary"]["$defs"]["row"],
        "$defs": SCHEMAS["summary"]["$defs"],
    }
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 16
    for line in lines:
        jsonschema.validate(json.loads(line), row)


@pytest.mark.parametrize(("names", "counts"), [([], None), (["D101"], (1, 0)), (["sink"], (0, 1))])
def test_what_is_explained_is_valid(names, counts, capsys):
    assert main(["explain", *names, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    jsonschema.validate(found, SCHEMAS["explain"])
    sizes = counts or (len(CHECKS), len(METRICS))
    assert (len(found["checks"]), len(found["metrics"])) == sizes


def test_a_verb_that_there_is_not_has_no_schema():
    with pytest.raises(UsageError, match="no JSON of 'explode'"):
        json_schema("explode")
