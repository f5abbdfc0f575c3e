"""`igaviz diagnose` in pipelines: exit codes, baselines, annotations, test results, a watcher."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import bare
import pytest

from igaviz.cli.main import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def igaviz(capsys, tmp_path, monkeypatch):
    """Runs `igaviz diagnose` in this process: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = main(["diagnose", *map(str, arguments), "--jobs", "1"])
        return code, *capsys.readouterr()

    return run


def blind(layers=(), heads=range(4), factor=1e-4):
    """A change for `bare.write` that makes geometry void on some heads of some layers."""

    def change(file):
        for layer in layers:
            group = file[f"steps/000000900/batch/0/layers/{layer}"]
            for head in heads:
                group["geo_bias"][head] *= factor
                logits = group["logits_before"][head] + group["geo_bias"][head]
                group["attention"][head] = bare.softmax(logits)

    return change


@pytest.fixture
def write(tmp_path):
    def make(name, **options):
        (tmp_path / "run").mkdir(exist_ok=True)
        path = tmp_path / "run" / "run.h5"
        bare.write(path, steps=(900,), layers=3, change=blind(**options))
        return path

    return make


@pytest.mark.parametrize(
    ("fail_on", "code"), [(None, 1), ("error", 1), ("warning", 1), ("note", 1), ("never", 0)]
)
def test_an_error_fails_unless_told_otherwise(fail_on, code, write, igaviz):
    path = write("sick", layers=[0])
    assert igaviz(path, *(["--fail-on", fail_on] if fail_on else []))[0] == code


def test_notes_fail_where_asked(write, igaviz):
    path = write("note", layers=[0], heads=[2])
    assert igaviz(path)[0] == 0
    assert igaviz(path, "--fail-on", "note")[0] == 1


def test_what_a_baseline_knows_does_not_fail_and_what_is_new_does(write, igaviz, tmp_path):
    known = tmp_path / "known.json"
    known.write_text(igaviz(write("a", layers=[0]), "--json")[1], "utf-8")

    code, text, _ = igaviz(write("a", layers=[0]), "--baseline", known)
    assert code == 0
    assert "Nothing new in 12 maps by the 19 checks that could judge" in text
    assert "Accepted, as the baseline knows them\n  ✖ D101 gamma-too-small: layer 0, all 4" in text
    assert "✖ ✖ ✖ ✖" in text  # still sick in the table

    code, printed, _ = igaviz(write("b", layers=[0, 2]), "--baseline", known, "--json")
    assert code == 1
    found = json.loads(printed)
    assert found["verdict"] == "error"
    accepted = {f["layer"]: f["accepted"] for f in found["findings"] if f["id"] == "D101"}
    assert accepted == {0: True, 2: False}
    code, text, _ = igaviz(write("b", layers=[0, 2]), "--baseline", known)
    assert code == 1
    assert re.search(r"\A[^.]* of the 19 checks[^.]*\.\s+The\s+baseline\s+accepts 1 error", text)
    assert "1. D101 gamma-too-small in layer 2: " in text


def test_more_heads_are_new_and_fewer_are_not(write, igaviz, tmp_path):
    known = tmp_path / "known.json"
    known.write_text(igaviz(write("a", layers=[0], heads=[1, 2]), "--json")[1], "utf-8")
    assert (
        igaviz(write("a", layers=[0], heads=[2]), "--baseline", known, "--fail-on", "note")[0] == 0
    )
    assert igaviz(write("a", layers=[0], heads=[2, 3]), "--baseline", known)[0] == 1
    assert igaviz(write("a", layers=[0], heads=[1, 2, 3]), "--baseline", known)[0] == 1


def test_a_baseline_by_map_knows_the_same(write, igaviz, tmp_path):
    known = tmp_path / "known.json"
    path = write("a", layers=[0, 1])
    known.write_text(igaviz(path, "--json", "--by", "map")[1], "utf-8")
    code, text, _ = igaviz(path, "--baseline", known)
    assert code == 0
    assert "Nothing new" in text
    code, text, _ = igaviz(path, "--baseline", known, "--by", "map")
    assert code == 0
    assert "item 0, head" not in text


def test_another_run_is_not_known(write, igaviz, tmp_path):
    known = tmp_path / "known.json"
    path = write("a", layers=[0])
    known.write_text(igaviz(path, "--json")[1].replace("run.h5", "another.h5"), "utf-8")
    assert igaviz(path, "--baseline", known)[0] == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such file"),
        ("no json", "no JSON"),
        ("[1]", "schema is not igaviz.diagnose/1"),
        ('{"schema": "igaviz.info/1"}', "schema is not igaviz.diagnose/1"),
        ('{"schema": "igaviz.diagnose/1", "findings": [{}]}', "is damaged"),
        ('{"schema": "igaviz.diagnose/1", "findings": 3}', "is damaged"),
        (
            '{"schema": "igaviz.diagnose/1", "findings": [{"id": [], "run": 1, "phase": 2, '
            '"layer": 3, "severity": "error", "heads": [1]}]}',
            "is damaged",
        ),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_a_bad_baseline_is_a_plain_error(content, said, write, igaviz, tmp_path):
    known = tmp_path / "known.json"
    if content is not None:
        known.write_text(content)
    code, out, err = igaviz(write("a"), "--baseline", known)
    assert (code, out) == (2, "")
    assert said in err
    assert "known.json" in err
    assert len(err.splitlines()) <= 2


def test_annotations_are_one_per_check_and_escaped(write, igaviz):
    code, text, _ = igaviz(write("a", layers=[0, 2]), "--format", "github", "--select", "D101")
    assert code == 1
    line, last = text.splitlines()
    assert line.startswith("::error title=D101 gamma-too-small%3A run.h5%2C train%2C step 900::")
    assert "layers 0, 2, all 4 heads" in line
    assert "%0ATo do: " in line
    assert re.search(r" %25 of attention", line)
    assert last == "1 error in 2 of 3 layers (12 maps): D101, of 1 check."
    assert igaviz(write("a"), "--format", "github")[1].startswith("Nothing wrong in 12 maps")


def test_an_annotation_names_the_file_alone_where_all_of_it_is_damaged(write, igaviz):
    (write("a").parent / "bad.h5").write_text("no dump")
    text = igaviz("run", "--format", "github")[1]
    assert "::warning title=damaged::run/bad.h5: no dump: not an HDF5 file" in text.splitlines()


def test_annotations_spell_out_what_the_encoding_lacks(write):
    """Of a pipe on Windows that is cp1252."""
    done = subprocess.run(
        [sys.executable, "-m", "igaviz", "diagnose", write("a", layers=[0]), "--format", "github"],
        check=False,
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "cp1252"},
    )
    said = done.stdout.decode("cp1252")
    assert done.returncode == 1
    assert "(gamma 1, spread of the bias before gamma" in said
    assert "?" not in said


def test_test_results_have_a_test_per_layer(write, igaviz, tmp_path):
    path = write("a", layers=[0, 2])
    known = tmp_path / "known.json"
    known.write_text(igaviz(write("a", layers=[2]), "--json")[1], "utf-8")
    path = write("a", layers=[0, 2])
    (path.parent / "bad.h5").write_text("no dump")
    code, text, _ = igaviz(
        path.parent, "--format", "junit", "--baseline", known, "--ignore", "D206"
    )
    assert code == 1
    root = ElementTree.fromstring(text)
    run, damaged = root
    assert (run.get("name"), run.get("tests"), run.get("failures")) == (
        "run train step 900",
        "3",
        "2",  # another run's baseline: the folder is not the shard
    )
    assert [case.get("name") for case in run] == ["layer 0", "layer 1", "layer 2"]
    assert run[0].find("failure").get("message") == "D101 gamma-too-small: geometry has no say"
    assert len(run[1]) == 0
    assert (root.get("errors"), damaged[0].find("error").get("message")) == (
        "1",
        "no dump: not an HDF5 file",
    )
    _, text, _ = igaviz(path, "--format", "junit", "--baseline", known, "--ignore", "D206")
    (run,) = ElementTree.fromstring(text)
    assert run.get("failures") == "1"
    assert run[2].find("system-out").text.startswith("error (accepted) D101")
    _, text, _ = igaviz(path, "--format", "junit", "--fail-on", "never")
    assert ElementTree.fromstring(text).get("failures") == "0"


def test_what_is_too_small_to_judge_is_a_skipped_test(tmp_path, igaviz):
    bare.write(tmp_path / "x.h5", layers=1, n=3)
    _, text, _ = igaviz("x.h5", "--format", "junit")
    root = ElementTree.fromstring(text)
    assert (root.get("tests"), root.get("skipped")) == ("1", "1")


@pytest.mark.parametrize(
    ("check", "why"),
    [("D106", "a line of information"), ("D205", "σ not recorded"), ("D210", "too few recorded")],
)
def test_a_selection_that_judged_nothing_is_not_done_and_no_head_is_well(check, why, write, igaviz):
    path = write("a")
    code, text, _ = igaviz(path, "--select", check, "--fail-on", "never")
    said = " ".join(text.split())
    assert code == 2
    assert said.startswith("Nothing was judged in 12 maps: ")
    assert why in said.split(".")[0]
    assert "layer 1 ? ? ? ?" in said
    _, xml, _ = igaviz(path, "--select", check, "--format", "junit")
    assert ElementTree.fromstring(xml).get("skipped") == "3"
    assert igaviz(path, "--select", f"{check},D101")[0] == 0


def test_settings_of_a_file_and_of_the_command_line(write, igaviz, tmp_path):
    path = write("a", layers=[0])
    file = tmp_path / "checks.toml"
    file.write_text('select = ["D101"]\nfail-on = "never"\n[gamma-too-small]\neffect = 0.0\n')
    assert igaviz(path, "--checks", file)[1].startswith("Nothing wrong in 12 maps, by 1 check.")
    code, text, _ = igaviz(path, "--checks", file, "--set", "gamma-too-small.effect=0.1")
    assert code == 0
    assert text.startswith("1 error in 1 of 3 layers (12 maps): D101")
    assert igaviz(path, "--checks", file, "--set", "D101.effect=0.1", "--fail-on", "error")[0] == 1


def test_the_recipe_stops_a_training_that_fell_ill(tmp_path):
    """The page's own code, on a real process that writes shards and would go on for ever."""
    page = (ROOT / "docs" / "pipelines.md").read_text("utf-8")
    (recipe,) = re.findall(r"```python\n(import subprocess.*?)```", page, flags=re.S)
    assert len([line for line in recipe.splitlines() if line.strip()]) <= 13
    (tmp_path / "watch.py").write_text(recipe.replace("time.sleep(60)", "time.sleep(0.2)"))
    (tmp_path / "train.py").write_text(
        "import sys, time, pathlib\n"
        f"sys.path.insert(0, {str(ROOT / 'tests')!r})\n"
        "import bare\n"
        "folder = pathlib.Path('dumps/run1')\n"
        "folder.mkdir(parents=True)\n"
        "def write(step, gamma):\n"
        "    bare.write(folder / '.part.tmp', steps=(step,), gamma=gamma)\n"
        "    (folder / '.part.tmp').rename(folder / f'step-{step:09d}.h5')\n"
        "time.sleep(0.5)\n"
        "write(1000, 1.0)\n"
        "time.sleep(1.5)\n"
        "pathlib.Path('healthy').touch()\n"
        "write(2000, 1e-5)\n"
        "time.sleep(300)\n"
    )
    done = subprocess.run(
        [sys.executable, "watch.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert (tmp_path / "healthy").exists(), done.stderr  # the healthy step stopped nothing
    assert done.returncode != 0
    assert "gamma-too-small" in done.stderr
