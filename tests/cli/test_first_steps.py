"""What people type at first: each answer is short, true, and says what to do."""

from __future__ import annotations

import json
import shutil

import bare
import pytest

from igaviz.cli.main import main


@pytest.fixture
def said(capsys, monkeypatch, tmp_path):
    """Runs `igaviz` in the test's folder: exit code, stdout, the lines of stderr."""

    def run(*arguments):
        monkeypatch.chdir(tmp_path)
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err.splitlines()

    return run


@pytest.fixture
def run(tmp_path, sample_data):
    shutil.copytree(sample_data / "healthy", tmp_path / "runs" / "healthy")
    return tmp_path / "runs" / "healthy"


def test_a_mistyped_path_is_guessed_and_an_empty_one_refused(said, run):
    code, _, errors = said("info", "runs/helthy")
    assert (code, len(errors)) == (2, 1)
    assert errors[0].endswith("runs/helthy: no such file; did you mean runs/healthy?")
    for arguments in (("info", ""), ("compare", "runs/healthy", "")):
        code, _, errors = said(*arguments)
        assert (code, errors[0]) == (2, "igaviz: an empty path")


def test_a_folder_without_shards_says_what_it_lacks(said, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, errors = said("info", "empty")
    assert code == 2
    assert errors[-1].startswith("hint: name the folder that training wrote into")
    attempts = [{"attempt": 0, "recorded_steps": 0, "empty_steps": 1200}]
    (tmp_path / "empty" / "run.json").write_text(json.dumps({"attempts": attempts}))
    _, _, errors = said("info", "empty")
    assert "1,200 steps were due and nothing was tapped" in errors[0]
    attempts = [{"attempt": 0, "off": {"step": 0, "reason": "ca has shape (2,)"}}]
    (tmp_path / "empty" / "run.json").write_text(json.dumps({"attempts": attempts}))
    code, _, errors = said("info", "empty")
    assert (code, len(errors)) == (2, 1)
    assert errors[0].endswith("; its recording ended: ca has shape (2,)")


def test_what_is_no_dump_costs_a_line_each(said, run, tmp_path):
    (tmp_path / "README.md").write_text("# Mine\n")
    scalars = run / "scalars.rank-00000.jsonl"
    code, out, errors = said("info", run, "README.md", scalars)
    assert code == 1
    assert errors == [
        f"igaviz: skipped {scalars}: no dump: scalars are read with their folder",
        "igaviz: skipped README.md: no dump: not an HDF5 file",
    ]
    assert "2 pieces left out, named on stderr" in out


def test_a_copy_beside_its_run_costs_a_line_for_each_file(said, run, tmp_path):
    shutil.copytree(run, tmp_path / "copy")
    code, out, errors = said("summary", run, "copy", "--format", "jsonl", "--jobs", "1")
    assert code == 1
    assert {json.loads(line)["run"] for line in out.splitlines()} == {"healthy"}
    assert len(errors) == len(list(run.iterdir())) - len(list(run.glob("run*.json")))
    assert all("copy/" in line and ": all its " in line for line in errors)
    assert said("merge", run, "-o", "one.h5")[0] == 0
    assert said("info", "one.h5", run)[1].splitlines()[0] == "one.h5"


def test_a_comparison_names_its_runs_apart(said, tmp_path):
    for name in "ab":
        (tmp_path / name / "run").mkdir(parents=True)
        bare.write(tmp_path / name / "run" / "x.h5", layers=1, heads=1)
    _, out, _ = said("compare", "a/run", "b/run", "--jobs", "1", "--json")
    found = json.loads(out)
    assert (found["a"]["run"], found["b"]["run"]) == ("a/run", "b/run")


def test_what_there_is_is_written_as_the_help_writes_it(said, run, tmp_path):
    _, out, _ = said("info", run)
    assert "maps at steps 100, 1500; numbers every 30 from 30 to 1500" in out
    for shard in run.glob("*.h5"):
        shard.rename(tmp_path / shard.name)
    _, out, _ = said("info", run)
    assert "no shard: scalars files alone" in out
    assert "unknown" not in out
    for shard in tmp_path.glob("*.h5"):
        shard.rename(run / shard.name)
    _, _, errors = said("summary", run, "--step", "400")
    assert errors[0].endswith("maps at steps 100, 1500; numbers every 30 from 30 to 1500")
    (tmp_path / "attention_vis/step_000001500").mkdir(parents=True)
    (tmp_path / "attention_vis/step_000001500/layer0_attention_overview_b0_h0.png").touch()
    _, _, errors = said("render", run, "--layer", "0", "--residues", "300-400")
    assert errors[0].endswith("no residue 300-400: there are residues 2-85")


@pytest.mark.parametrize(
    "arguments",
    [
        ("merge", "--out", "{}/one.h5"),
        ("summary", "--jobs", "1", "--html", "{}/page.html"),
        ("render", "--jobs", "1", "--layer", "0", "--head", "0", "--out", "{}"),
        ("compare", "--jobs", "1", "--layer", "0", "--head", "0", "--out", "{}"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_where_nothing_can_be_written_every_verb_says_so_alike(arguments, said, tmp_path):
    """Below a file there is no folder, whoever asks."""
    bare.write(tmp_path / "x.h5", steps=(100, 200), layers=1, heads=1)
    (tmp_path / "file").touch()
    words = [word.format("file/below") for word in arguments]
    code, _, errors = said(*words[:1], "x.h5", *words[1:])
    assert code == 2
    assert errors == [
        f"igaviz: {words[-1]}: can't write there (not a directory)",
        "hint: look at the folder, its free space and its permissions",
    ]


@pytest.mark.parametrize("words", [("merge", "--out"), ("summary", "--jobs", "1", "--html")])
def test_a_folder_that_is_not_there_is_said_to_be_missing(words, said, tmp_path):
    bare.write(tmp_path / "x.h5", layers=1, heads=1)
    code, _, errors = said(words[0], "x.h5", *words[1:], "no/x.h5")
    assert code == 2
    assert errors == [
        "igaviz: no/x.h5: can't write there (there is no folder no)",
        "hint: make the folder first, or name another",
    ]


def test_a_metric_that_no_chosen_figure_shows_is_refused(said, tmp_path):
    bare.write(tmp_path / "x.h5", layers=1, heads=1)
    code, _, errors = said("render", "x.h5", "--metric", "entropy")
    assert code == 2
    assert "heads and trajectory show a metric" in errors[0]
    assert not (tmp_path / "attention_vis").exists()


def test_a_page_is_no_folder(said, tmp_path):
    bare.write(tmp_path / "x.h5", layers=1, heads=1)
    _, _, errors = said("summary", "x.h5", "--html", tmp_path)
    assert errors[0] == f"igaviz: {tmp_path}: is a folder"
    code, _, errors = said("summary", "x.h5", "--html", "-")
    assert (code, errors[0]) == (2, "igaviz: a page must be a file, not -")
