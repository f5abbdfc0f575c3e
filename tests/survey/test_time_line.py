"""Maps and lines of scalars files as one time line: all that is made of it tells the same."""

from __future__ import annotations

import json

import bare
import numpy as np
import pytest

from igaviz import Choice, diagnose, histories, open_dump, summary_rows
from igaviz.cli.main import main
from igaviz.survey.page import page


def write_lines(run, *, steps, heads, ranks=(0,)):
    """γ of each head in the lines of layers 0 and 1: step + 10 · layer + head + 2 · rank."""
    for rank in ranks:
        with (run / f"scalars.rank-{rank:05d}.jsonl").open("w") as file:
            for step in steps:
                there = heads(step)
                for layer in (0, 1):
                    gamma = [step + 10.0 * layer + head + 2 * rank for head in there]
                    line = {"step": step, "layer": layer, "heads": there, "gamma": gamma}
                    print(json.dumps(line), file=file)


def in_rows(dump, choice, by="layer"):
    return {
        (row.step, row.layer): (row.from_maps, row.values["gamma"])
        for row in summary_rows(dump, choice, by=by)
    }


def in_trajectories(dump, choice):
    (history,) = histories(dump, choice, metric="gamma")
    return {
        (step, track.layer): (from_maps, gamma)
        for track in history.tracks
        for step, from_maps, gamma in zip(
            track.steps.tolist(), track.from_maps, track.median["gamma"], strict=True
        )
    }


def test_rows_trajectories_and_the_page_have_the_same_numbers_of_a_head(tmp_path, capsys):
    """Head 1: its map of layer 0 can't be read, and at step 150 there are lines without it."""
    run = tmp_path / "run"
    run.mkdir()
    bare.write_with_broken_head(run / "maps.h5")  # at step 100
    write_lines(
        run,
        steps=(50, 100, 150, 200),
        heads=lambda step: [2, 0] if step == 150 else [2, 0, 1],
        ranks=(0, 1),
    )
    dump, one = open_dump(run), Choice.of(head=1)

    rows = in_rows(dump, one)
    measured = rows.pop((100, 1))
    assert measured[0]
    of_lines = {
        (step, layer): (False, step + 10 * layer + 2)
        for step, layer in ((50, 0), (50, 1), (100, 0), (200, 0), (200, 1))
    }
    assert rows == of_lines
    assert in_trajectories(dump, one) == {(100, 1): measured, **of_lines}

    shown = page(dump, one, folder=tmp_path, pictured=0)
    course = shown.runs[0].course
    assert (course.steps.tolist(), course.heads) == ([50, 100, 200], (1,))
    assert course.from_maps.tolist() == [False, True, False]
    gamma = {(100, 1): measured, **of_lines}
    told = [[gamma[step, layer][1] for layer in (0, 1)] for step in (50, 100, 200)]
    assert np.squeeze(course.numbers["gamma"], -1) == pytest.approx(np.array(told))

    # what the lines stand in for is damaged all the same, and no verdict is of them
    (piece,) = shown.diagnosis.damaged
    assert "layers/0" in piece.where
    argv = ["summary", str(run), "--head", "1", "--step", "100", "--jobs", "1", "--no-cache"]
    assert main([*argv, "--by", "layer", "--json"]) == 1
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert [(r["layer"], r["from_maps"], r["verdict"] is None) for r in told["rows"]] == [
        (0, False, True),
        (1, True, False),
    ]
    assert len(told["damaged"]) == 1
    assert "layers/0" in err


def test_lines_stand_in_for_heads_of_which_no_map_was_recorded(tmp_path):
    """Maps of heads 0 and 1 at step 100, and lines of heads 0, 1 and 7."""
    run = tmp_path / "run"
    run.mkdir()
    bare.write(run / "maps.h5", heads=2)
    alone = open_dump(run)
    write_lines(run, steps=(90, 100), heads=lambda step: [0, 1, 7])
    dump = open_dump(run)

    seven = Choice.of(head=7)
    of_lines = {(s, layer): (False, s + 10 * layer + 7) for s in (90, 100) for layer in (0, 1)}
    assert in_rows(dump, seven) == in_rows(dump, seven, by="head") == of_lines
    assert in_trajectories(dump, seven) == of_lines

    at_100 = Choice.of(step=100, layer=1)
    heads = {
        row.head: (row.batch, row.from_maps, row.values["gamma"], row.words)
        for row in summary_rows(dump, at_100)
    }
    of_maps = {
        row.head: (0, True, row.values["gamma"], row.words) for row in summary_rows(alone, at_100)
    }
    assert heads == {**of_maps, 7: (None, False, 117, None)}
    (row,) = summary_rows(dump, at_100, by="layer")
    (before,) = summary_rows(alone, at_100, by="layer")
    assert row.values["gamma"] == np.mean([gamma for _, _, gamma, _ in heads.values()])
    assert (row.from_maps, row.said, row.judged) == (True, before.said, 2)
    assert in_trajectories(dump, at_100) == {(100, 1): (True, 1.0)}  # the median over heads

    assert diagnose(dump).layers == diagnose(alone).layers
    (shown,) = page(dump, at_100, folder=tmp_path, pictured=0).runs
    assert (shown.course.from_maps.tolist(), shown.course.heads) == ([True], (0, 1, 7))
    assert shown.course.numbers["gamma"].ravel().tolist() == [1, 1, 117]
    assert shown.verdicts.all()
