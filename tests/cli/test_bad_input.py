"""Bad input, verb by verb: one or two plain lines and an exit code, never a traceback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import bare
import h5py
import pytest

VERBS = {
    "info": ["info"],
    "render": ["render", "--layer", "0", "--figure", "distance_statistics", "--jobs", "1"],
    "diagnose": ["diagnose", "--fail-on", "never", "--jobs", "1"],
    "summary": ["summary", "--jobs", "1"],
    "verify": ["verify", "--jobs", "1"],
}


def run(arguments, folder: Path) -> subprocess.CompletedProcess[str]:
    """`igaviz` in this process's interpreter, as a process of its own would run it."""
    return subprocess.run(
        [sys.executable, "-m", "igaviz", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    return bare.write(tmp_path_factory.mktemp("good") / "good.h5", steps=(100,), layers=1, heads=2)


def _empty(path, good):
    path.touch()


def _text(path, good):
    path.write_text("not a dump\n")


def _truncated(path, good):
    raw = good.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])


def _other_hdf5(path, good):
    with h5py.File(path, "w") as file:
        file["x"] = [1, 2, 3]


def _changed(change):
    def make(path, good):
        bare.write(path, steps=(200,), layers=1, heads=2, change=change)

    return make


def _link(file):
    del file["steps/000000200/batch/0/layers/0"]
    file["steps/000000200/batch/0/layers/0"] = h5py.ExternalLink("/etc/passwd", "/")


def _wrong_shape(file):
    layer = file["steps/000000200/batch/0/layers/0"]
    del layer["geo_bias"]
    layer["geo_bias"] = [[1.0, 2.0]]


def _wrong_type(file):
    layer = file["steps/000000200/batch/0/layers/0"]
    del layer["attention"]
    layer.create_dataset("attention", (2, 30, 30), h5py.string_dtype())


FILES = {
    "empty": _empty,
    "text": _text,
    "truncated": _truncated,
    "other HDF5": _other_hdf5,
    "newer version": _changed(lambda file: file.attrs.__setitem__("format_version", "2.0")),
    "incomplete": _changed(lambda file: file.attrs.__delitem__("complete")),
    "shapes": _changed(_wrong_shape),
    "link": _changed(_link),
    "type": _changed(_wrong_type),
}


def assert_plain(done, lines):
    errors = done.stderr.strip().splitlines()
    assert 1 <= len(errors) <= lines, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("verb", VERBS)
def test_a_bad_file_alone(verb, kind, good, tmp_path):
    FILES[kind](tmp_path / "bad.h5", good)
    done = run([*VERBS[verb], "bad.h5"], tmp_path)
    assert done.returncode == 2
    assert_plain(done, 2)
    assert "bad.h5" in done.stderr


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("verb", VERBS)
def test_a_bad_file_beside_a_good_one(verb, kind, good, tmp_path):
    (tmp_path / "run").mkdir()
    shutil.copy(good, tmp_path / "run" / "good.h5")
    FILES[kind](tmp_path / "run" / "bad.h5", good)
    done = run([*VERBS[verb], "run"], tmp_path)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "bad.h5" in done.stderr + done.stdout
    if verb == "render":
        assert len(list(tmp_path.rglob("*.png"))) == 2
    else:
        assert done.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_missing(verb, good, tmp_path):
    done = run([*VERBS[verb], "nowhere"], tmp_path)
    assert done.returncode == 2
    assert_plain(done, 2)
    assert "no such file" in done.stderr


WHAT_IS_NOT_THERE = {
    "layer": (["--layer", "9"], "no layer 9: there is only layer 0"),
    "head": (["--head", "7"], "no head 7: there are heads 0,1"),
    "step": (["--step", "999"], "no step 999: there is only step 100"),
    "item": (["--batch", "5"], "no batch item 5: there is only batch item 0"),
    "phase": (["--phase", "val"], "no phase val: there is train"),
    "rank": (["--rank", "3"], "no rank 3: there is only rank 0"),
    "grammar": (["--head", "x"], "'x' is no selection of heads"),
}


@pytest.mark.parametrize("what", WHAT_IS_NOT_THERE)
@pytest.mark.parametrize("verb", ["render", "diagnose", "summary"])
def test_a_selection_that_is_not_there_says_what_is(verb, what, good, tmp_path):
    options, message = WHAT_IS_NOT_THERE[what]
    done = run([*VERBS[verb], good, *options], tmp_path)
    assert done.returncode == 2
    assert_plain(done, 2)
    assert message in done.stderr


def test_existing_pictures_need_force(good, tmp_path):
    arguments = [*VERBS["render"], good, "--out", "out"]
    assert run(arguments, tmp_path).returncode == 0
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")}
    done = run(arguments, tmp_path)
    assert done.returncode == 2
    assert_plain(done, 2)
    assert "--force" in done.stderr
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")}
    assert run([*arguments, "--force"], tmp_path).returncode == 0


def test_output_that_can_not_be_written(good, tmp_path):
    (tmp_path / "out").write_text("a file where a folder belongs")
    done = run([*VERBS["render"], good, "--out", "out"], tmp_path)
    assert done.returncode == 2
    assert_plain(done, 2)
    assert "can't write" in done.stderr


def test_several_layers_and_none_named(tmp_path):
    bare.write(tmp_path / "x.h5", layers=3)
    done = run(["render", "x.h5"], tmp_path)
    assert done.returncode == 2
    assert_plain(done, 2)
    assert "--layer" in done.stderr


@pytest.mark.parametrize("arguments", [["render"], ["no-such-verb"], ["info", "--nonsense", "x"]])
def test_wrong_usage(arguments, tmp_path):
    done = run(arguments, tmp_path)
    assert done.returncode == 2
    assert_plain(done, 2)


def test_a_closed_stdout_ends_quietly(good, tmp_path):
    command = f"{sys.executable} -m igaviz summary --format jsonl --jobs 1 {good} | head -c 1"
    done = subprocess.run(
        ["bash", "-c", f"{command}; echo ${{PIPESTATUS[0]}} >&2"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.strip() == "0"
