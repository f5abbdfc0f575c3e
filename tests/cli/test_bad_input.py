"""Bad input, verb by verb: one or two plain lines and an exit code, never a traceback."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import bare
import h5py
import pytest
from refused import REFUSED, N, instead_of_attention

from igaviz.cli.main import main

VERBS = {
    "info": ["info"],
    "render": [
        *("render", "--layer", "0", "--head", "0,1", "--figure", "distance_statistics"),
        *("--jobs", "1", "--dpi", "40"),
    ],
    "diagnose": ["diagnose", "--fail-on", "never", "--jobs", "1"],
    "summary": ["summary", "--jobs", "1", "--by", "layer"],
    "verify": ["verify", "--jobs", "1"],
    "merge": ["merge", "--force"],
    "export": ["export", "--layer", "0", "--jobs", "1", "--force"],
}
PROCESSED = {
    "info": r"1 shard, .*, 4 maps",
    "render": r"distance_statistics_b0_h1\.png",
    "diagnose": r"Nothing wrong in 4 maps",
    "summary": r"(?m)^ 100 +0 .* geometry not judged$",
    "verify": r"[12] shards?, 4 maps",
    "merge": r": 4 maps, 1 step \(100\)",
    "export": r"12 files of 4 maps",
}
"""What each verb says of the good shard."""


class Done(NamedTuple):
    """How a command ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def igaviz(capsys, monkeypatch, tmp_path):
    """Runs `igaviz` in this process, in the test's folder."""

    def run(*arguments: object) -> Done:
        monkeypatch.chdir(tmp_path)
        return Done(main([str(argument) for argument in arguments]), *capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    return bare.write(tmp_path_factory.mktemp("good") / "good.h5", layers=1)


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


def _folder(path, good):
    path.mkdir()


def _missing(path, good):
    pass


def _pipe(path, good):
    os.mkfifo(path)


def _changed(change, n=30):
    def make(path, good):
        bare.write(path, layers=1, n=n, change=change)

    return make


def _layer_link(file):
    del file["steps/000000100/batch/0/layers/0"]
    file["steps/000000100/batch/0/layers/0"] = h5py.ExternalLink("/etc/passwd", "/")


def _huge(file):
    item = file["steps/000000100/batch/0"]
    del item["ca"]
    item["ca"] = [[0.0, 0.0, 0.0]] * 17_000


FILES = {
    "missing": _missing,
    "empty": _empty,
    "text": _text,
    "truncated": _truncated,
    "other HDF5": _other_hdf5,
    "folder of nothing": _folder,
    **({"pipe": _pipe} if hasattr(os, "mkfifo") else {}),
    "newer version": _changed(lambda file: file.attrs.__setitem__("format_version", "2.0")),
    "no version": _changed(lambda file: file.attrs.__delitem__("format_version")),
    "unknown unit": _changed(lambda file: file.attrs.__setitem__("length_unit", "furlong")),
    "incomplete": _changed(lambda file: file.attrs.__delitem__("complete")),
    "linked layer": _changed(_layer_link),
    "too many residues": _changed(_huge),
    **{kind: _changed(instead_of_attention(kind), N) for kind in REFUSED},
}


def assert_plain(done, lines=2):
    errors = done.stderr.strip().splitlines()
    assert 1 <= len(errors) <= lines, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("verb", VERBS)
def test_a_bad_file_alone_and_beside_a_good_one(verb, kind, good, tmp_path, igaviz):
    """Alone nothing can be done; beside a good one that is done, and the bad one named once."""
    FILES[kind](tmp_path / "bad.h5", good)
    done = igaviz(*VERBS[verb], "bad.h5")
    assert (done.returncode, done.stdout) == (2, "")
    assert_plain(done)
    assert "bad.h5" in done.stderr

    shutil.copy(good, tmp_path / "good.h5")
    done = igaviz(*VERBS[verb], "good.h5", "bad.h5")
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr
    said = done.stdout + done.stderr
    assert len(re.findall(r"\bbad\.h5:", said)) == 1, said
    assert re.search(PROCESSED[verb], done.stdout), done.stdout
    assert len(done.stderr.splitlines()) == (0 if verb == "verify" else 1)
    if verb == "render":
        assert len(list(tmp_path.rglob("*.png"))) == 2


@pytest.mark.parametrize("kind", FILES)
def test_a_comparison_needs_both_sides(kind, good, tmp_path, igaviz):
    """One that can't be read leaves nothing to compare; a piece of one is named once."""
    FILES[kind](tmp_path / "bad.h5", good)
    shutil.copy(good, tmp_path / "good.h5")
    for sides in (["bad.h5"], ["good.h5", "bad.h5"], ["bad.h5", "good.h5"]):
        done = igaviz("compare", "--jobs", "1", *sides)
        assert (done.returncode, done.stdout) == (2, "")
        assert_plain(done)
        assert "bad.h5" in done.stderr
    (tmp_path / "run").mkdir()
    shutil.copy(good, tmp_path / "run" / "good.h5")
    if (tmp_path / "bad.h5").is_file():
        (tmp_path / "bad.h5").rename(tmp_path / "run" / "bad.h5")
        done = igaviz("compare", "--jobs", "1", "run", "good.h5")
        assert done.returncode == 1, done
        assert done.stderr.count("bad.h5") == len(done.stderr.splitlines()) == 1
        assert "No verdict changed in 1 layer" in done.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_a_bad_shard_in_a_folder_of_good_ones(verb, good, tmp_path, igaviz):
    (tmp_path / "run").mkdir()
    shutil.copy(good, tmp_path / "run" / "good.h5")
    _truncated(tmp_path / "run" / "bad.h5", good)
    (tmp_path / "run" / ".half.h5.tmp").write_bytes(b"half a shard")
    done = igaviz(*VERBS[verb], "run")
    assert done.returncode == 1
    assert (done.stdout + done.stderr).count("bad.h5") == 1
    assert re.search(PROCESSED[verb], done.stdout)


@pytest.mark.parametrize("verb", sorted({*VERBS} - {"info", "merge"}))
def test_maps_that_turn_out_unreadable(verb, good, tmp_path, igaviz):
    """The index can't see it: only who reads the maps finds out."""
    with h5py.File(good, "r") as file:
        stored = file["steps/000000100/batch/0/layers/0/attention"][()]
    path = tmp_path / "bad.h5"

    def checked(file):
        layer = file["steps/000000100/batch/0/layers/0"]
        for name in list(layer):
            del layer[name]
        layer.create_dataset("attention", data=stored, chunks=(4, 30, 30), fletcher32=True)

    bare.write(path, layers=1, change=checked)
    raw = path.read_bytes()
    position = raw.index(stored.tobytes())
    path.write_bytes(raw[:position] + b"\xff" + raw[position + 1 :])
    done = igaviz(*VERBS[verb], "bad.h5")
    assert done.returncode == 2, done
    assert (done.stdout + done.stderr).count("bad.h5:steps/000000100/batch/0/layers/0") == 4
    assert "Traceback" not in done.stderr
    shutil.copy(good, tmp_path / "good.h5")
    done = igaviz(*VERBS[verb], "good.h5", "bad.h5", *(["--force"] if verb == "render" else []))
    assert done.returncode == 1
    assert re.search(PROCESSED[verb], done.stdout)


def test_a_process_says_the_same_as_the_function(good, tmp_path):
    (tmp_path / "bad.h5").write_text("not a dump\n")
    done = subprocess.run(
        [sys.executable, "-m", "igaviz", "info", "bad.h5"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "igaviz: bad.h5: no dump: not an HDF5 file\n"


WHAT_IS_NOT_THERE = {
    "layer": (["--layer", "9"], "no layer 9: there is only layer 0"),
    "head": (["--head", "7"], "no head 7: there are heads 0-3"),
    "step": (["--step", "999"], "no step 999: there is only step 100"),
    "item": (["--batch", "5"], "no batch item 5: there is only batch item 0"),
    "phase": (["--phase", "val"], "no phase val: there is train"),
    "rank": (["--rank", "3"], "no rank 3: there is only rank 0"),
    "grammar": (["--head", "x"], "'x' is not a selection of heads"),
}


@pytest.mark.parametrize("what", WHAT_IS_NOT_THERE)
@pytest.mark.parametrize("verb", ["render", "diagnose", "summary", "merge", "export"])
def test_a_selection_that_is_not_there_says_what_is(verb, what, good, igaviz):
    options, message = WHAT_IS_NOT_THERE[what]
    done = igaviz(*VERBS[verb], good, *options)
    assert done.returncode == 2
    assert_plain(done)
    assert message in done.stderr


def test_existing_pictures_need_force(good, tmp_path, igaviz):
    arguments = [*VERBS["render"], good, "--out", "out"]
    assert igaviz(*arguments).returncode == 0
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")}
    done = igaviz(*arguments)
    assert done.returncode == 2
    assert_plain(done)
    assert "--force" in done.stderr
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")}
    assert igaviz(*arguments, "--force").returncode == 0


def test_output_that_can_not_be_written(good, tmp_path, igaviz):
    (tmp_path / "out").write_text("a file where a folder belongs")
    done = igaviz(*VERBS["render"], good, "--out", "out")
    assert done.returncode == 2
    assert_plain(done)
    assert "can't write" in done.stderr


def test_several_layers_and_none_named(tmp_path, igaviz):
    bare.write(tmp_path / "x.h5", layers=3)
    done = igaviz("render", "x.h5")
    assert done.returncode == 2
    assert_plain(done)
    assert "--layer" in done.stderr


@pytest.mark.parametrize("arguments", [["render"], ["no-such-verb"], ["info", "--nonsense", "x"]])
def test_wrong_usage(arguments, igaviz):
    done = igaviz(*arguments)
    assert done.returncode == 2
    assert_plain(done)


def test_a_closed_stdout_ends_quietly(good, tmp_path):
    command = f"{sys.executable} -m igaviz summary --format jsonl --jobs 1 {good} | head -c 1"
    done = subprocess.run(
        ["bash", "-c", f"{command}; echo ${{PIPESTATUS[0]}} >&2"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.strip() == "0"


@pytest.mark.parametrize("verb", ["diagnose", "render", "merge", "export", "compare"])
def test_damage_is_named_where_numbers_alone_are_left(verb, good, sample_data, tmp_path, igaviz):
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(sample_data / "healthy" / "scalars.rank-00000.jsonl", folder)
    with h5py.File(shutil.copy(good, folder / "x.h5"), "r+") as file:
        file.attrs["format_version"] = "2.0"
    words = ("compare", folder, good) if verb == "compare" else (*VERBS.get(verb), folder)
    done = igaviz(*words, *(["--out", tmp_path / "out.h5"] if verb in ("merge", "export") else []))
    assert done.returncode == 2
    assert "x.h5: format version 2.0 is newer" in done.stderr


@pytest.mark.parametrize("radius", ["0", "-3", "nan", "inf"])
@pytest.mark.parametrize(
    "verb", [("diagnose",), ("summary",), ("summary", "--part", "1/2"), ("compare",)]
)
def test_a_radius_is_a_positive_length(verb, radius, good, igaviz):
    done = igaviz(*verb, good, "--radius", radius)
    assert done.returncode == 2
    assert "the radius must be a positive length in Å" in done.stderr
    assert not done.stdout


def test_a_stream_that_is_closed_changes_nothing_else(good):
    """As jobs that nobody listens to are started; the next file opened would be stderr."""
    command = [sys.executable, "-m", "igaviz", "summary", str(good), "--no-cache"]
    heard = subprocess.run(command, capture_output=True, text=True, check=True)
    for redirected, said in (("2>&-", heard.stdout), (">&-", heard.stderr), ("<&- >&- 2>&-", "")):
        deaf = ["bash", "-c", f'"$@" {redirected}', "bash", *command]
        done = subprocess.run(deaf, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout + done.stderr) == (0, said), redirected


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no device that is always full")
@pytest.mark.parametrize("verb", ["info", "diagnose", "summary"])
def test_no_room_for_the_output_is_no_bug(verb, good):
    command = [sys.executable, "-m", "igaviz", *VERBS[verb], str(good)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert "can't write: no space left on device" in done.stderr
