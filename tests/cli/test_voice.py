"""What people see of the command line: signs that their terminal has, colours, hints that help."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import bare
import pytest
import typer.main
from rich.console import Console

from igaviz.cli import console
from igaviz.cli.main import app, main
from igaviz.report.rendering import print_rendering
from igaviz.survey.drawing.drawn import Picture, Rendering
from igaviz.survey.drawing.pictures import Shown

COMMANDS = {
    "info": ["info"],
    "render": ["render", "--layer", "0", "--head", "0", "--figure", "grid", "--dpi", "20"],
    "diagnose": ["diagnose", "--jobs", "1", "--fail-on", "never"],
    "explain": ["explain", "D101"],
    "summary": ["summary", "--jobs", "1"],
    "verify": ["verify", "--jobs", "1"],
    "merge": ["merge", "--out", "one.h5"],
    "export": ["export", "--layer", "0", "--jobs", "1"],
}


@pytest.fixture
def dump(tmp_path):
    return bare.write(tmp_path / "run é.h5", steps=(100, 200), layers=2, heads=2)


@pytest.mark.parametrize("verb", COMMANDS)
def test_ascii_without_colours(verb, dump, tmp_path):
    """A terminal with an old encoding shows words, and no question marks but those of names."""
    paths = [] if verb == "explain" else [dump.name]
    done = subprocess.run(
        [sys.executable, "-m", "igaviz", *COMMANDS[verb], *paths],
        cwd=tmp_path,
        env={
            **os.environ,
            **{"PYTHONIOENCODING": "ascii", "NO_COLOR": "1", "FORCE_COLOR": "1", "COLUMNS": "80"},
        },
        capture_output=True,
        check=False,
    )
    said = done.stdout.decode("ascii")
    assert done.returncode == 0, done.stderr
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", said)  # NO_COLOR is about colours: bold may stay
    assert "?" not in said.replace("run ?", "").replace("? not judged", "")
    assert len(said) > 50


def test_out_has_a_short_form_in_every_verb_that_has_it():
    verbs = typer.main.get_command(app).commands.values()
    outs = [option.opts for verb in verbs for option in verb.params if "--out" in option.opts]
    assert len(outs) == 4
    assert all("-o" in names for names in outs)


def test_a_folder_of_runs_names_the_runs(dump, tmp_path, capsys):
    for name in "abcdef":
        (tmp_path / "runs" / name).mkdir(parents=True)
        if name != "a":
            shutil.copy(dump, tmp_path / "runs" / name)
    assert main(["info", str(tmp_path / "runs")]) == 2
    said = capsys.readouterr().err
    assert "no shard (.h5) in this folder" in said
    hint = said.splitlines()[-1]
    assert re.findall(r"runs/(\w)", hint) == list("bcde")
    assert hint.endswith("and 1 more")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--figure", "gird"], "did you mean grid?"),
        (["--figure", "attention_overveiw"], "did you mean attention_overview?"),
        (["--format", "xml"], "'--format': 'xml' is not one of"),
    ],
)
def test_what_is_mistyped(options, said, dump, capsys):
    assert main(["render", str(dump), "--layer", "0", *options]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Value error" not in told


def test_of_many_pictures_the_first_are_named_and_the_others_counted():
    pictures = [
        Picture(
            Path("out") / f"step_{step}" / f"layer0_grid_b0_h{head}.png",
            "grid",
            Shown("run", "train", step, 0, 0, 0, head),
            verdict,
            "healthy",
        )
        for step, heads, verdict in ((1, 12, "healthy"), (2, 13, "healthy, geometry not judged"))
        for head in range(heads)
    ]
    out = io.StringIO()
    print_rendering(Rendering(tuple(pictures), (), ()), Console(file=out))
    lines = out.getvalue().splitlines()
    assert sum(line.startswith("out/step_1/layer0_grid") for line in lines) == 12
    assert sum(line.startswith("out/step_2/layer0_grid") for line in lines) == 3
    verdicts = "13 healthy, geometry not judged; 12 healthy"
    assert lines[-2:] == ["and 10 more in out/step_2", f"25 pictures of 25 maps ({verdicts})"]


def test_a_bar_appears_though_nothing_is_done_yet_and_goes_with_the_work(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(console, "_SECONDS_BEFORE_PROGRESS", 0.05)
    with console.progress("measuring", "maps") as advance:
        advance(0, 4)
        assert not terminal.getvalue()
        until = time.monotonic() + 20
        while "0/4" not in terminal.getvalue() and time.monotonic() < until:
            time.sleep(0.01)
        assert "measuring" in terminal.getvalue()
        assert "0/4" in terminal.getvalue()
    said = terminal.getvalue()
    with console.progress("measuring", "maps") as advance:
        advance(0, 4)
        advance(4, 4)
        time.sleep(0.2)
    assert terminal.getvalue() == said
