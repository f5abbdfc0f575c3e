"""Parts of a rendering: each picture is drawn by one of them, as the whole run draws it."""

from __future__ import annotations

import json

import bare
import pytest
from folders import files
from hypothesis import given, settings
from hypothesis import strategies as st

from igaviz.cli.main import main
from igaviz.dump import open_dump
from igaviz.figures import FIGURES
from igaviz.survey.drawing.asked import asked
from igaviz.survey.drawing.pictures import Namer, Style
from igaviz.survey.parts.part import Part
from igaviz.survey.plan import Choice
from igaviz.survey.render import render


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs with other steps and layers."""
    folder = tmp_path_factory.mktemp("runs")
    for name, steps, layers in (("one", (100, 200, 300), 2), ("two", (100,), 3)):
        (folder / name).mkdir()
        bare.write(folder / name / "a.h5", steps=steps, layers=layers, heads=2)
    return folder / "one", folder / "two"


@pytest.fixture(scope="module")
def dump(runs):
    return open_dump(*runs)


@settings(max_examples=40, deadline=None)
@given(
    of=st.integers(1, 40),
    figures=st.sets(st.sampled_from(sorted(FIGURES)), min_size=1),
    step=st.sampled_from(["all", "last", "100"]),
)
def test_parts_are_a_partition_of_the_pictures(dump, tmp_path_factory, of, figures, step):
    style = Style(figures=tuple(figures))
    namer = Namer(dump, tmp_path_factory.getbasetemp(), style)
    whole = asked(dump, Choice.of(step=step), Choice(), style)
    parts = [asked(dump, Choice.of(step=step), Choice(), style, Part(k + 1, of)) for k in range(of)]
    drawn = [path for part in parts for path in part.paths(namer)]
    assert sorted(drawn) == sorted(whole.paths(namer))
    pieces = [len(part.pieces) for part in parts]
    assert max(pieces) - min(pieces) <= 1
    # what is measured is what is drawn: a layer with its calls, a step with all its layers
    for part in parts:
        needed = {task.group for task in part.tasks}
        assert {piece for piece in part.pieces if len(piece) == 4} <= needed
        steps = {piece for piece in part.pieces if len(piece) == 3}
        extra = needed - part.pieces
        assert extra <= {task.group for task in whole.tasks if task.group[:3] in steps}


def test_parts_draw_what_one_run_draws_and_measure_it_once(runs, tmp_path, capsys):
    figures = ("--figure", "effect,heads,trajectory", "--dpi", "20")
    command = ["render", *map(str, runs), "--layer", "all", *figures, "--jobs", "1", "--json"]

    def said(out, *more):
        code = main([*command, "--out", str(out), *more])
        printed, told = capsys.readouterr()
        return code, printed, told

    code, printed, _ = said(tmp_path / "whole")
    assert code == 0
    whole = json.loads(printed)["pictures"]
    named = []
    for number in (1, 2, 3):
        code, printed, told = said(tmp_path / "parts", "--part", f"{number}/3")
        assert (code, told) == (0, "")
        named += json.loads(printed)["pictures"]
    assert files(tmp_path / "parts") == files(tmp_path / "whole")
    assert len(named) == len(whole) == len(files(tmp_path / "whole")) == 10 + 2 + 2
    code, _, told = said(tmp_path / "parts", "--part", "2/3")
    assert code == 2
    assert "already there" in told

    code, printed, told = said(tmp_path / "none", "--part", "10/10")
    assert (code, json.loads(printed)["pictures"]) == (0, [])
    assert told == "igaviz: no picture falls to part 10/10\n"
    code, _, told = said(tmp_path / "none", "--part", "11/10")
    assert code == 2
    assert "'11/10' is not a part" in told


def test_parts_share_out_the_measuring(dump, tmp_path):
    measured: list[int] = []

    def last(done, total):
        if done == total:
            measured.append(total)

    style = Style(figures=("effect",), dpi=20)
    for number in (1, 2, 3):
        render(
            dump,
            Choice.of(step="last", layer="all", head="1"),
            part=Part(number, 3),
            out=tmp_path,
            style=style,
            measuring=last,
        )
    # layers 0 and 1 of one run, 0, 1 and 2 of the other, with both heads of each
    assert measured == [4, 4, 2]
    assert len(files(tmp_path)) == 5
