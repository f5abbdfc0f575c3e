"""Maps and lines of scalars files as one time line: all that is made of it tells the same."""

from __future__ import annotations

import json

import bare
import numpy as np
import pytest

from igaviz import Choice, histories, open_dump, summary_rows
from igaviz.survey.page import page


def test_rows_trajectories_and_the_page_have_the_same_numbers_of_a_head(tmp_path):
    """Head 1: its map of layer 0 can't be read, and at step 150 there are lines without it."""
    run = tmp_path / "run"
    run.mkdir()
    bare.write_with_broken_head(run / "maps.h5")  # at step 100
    for rank in (0, 1):
        with (run / f"scalars.rank-{rank:05d}.jsonl").open("w") as file:
            for step in (50, 100, 150, 200):
                for layer in (0, 1):
                    heads = [2, 0] if step == 150 else [2, 0, 1]
                    gamma = [step + 10.0 * layer + head + 2 * rank for head in heads]
                    line = {"step": step, "layer": layer, "heads": heads, "gamma": gamma}
                    print(json.dumps(line), file=file)
    dump, one = open_dump(run), Choice.of(head=1)

    rows = {
        (row.step, row.layer): (row.from_maps, row.values["gamma"])
        for row in summary_rows(dump, one, by="layer")
    }
    measured = rows.pop((100, 1))
    assert measured[0]
    of_lines = {
        (step, layer): (False, step + 10 * layer + 2) for step in (50, 200) for layer in (0, 1)
    }
    assert rows == of_lines

    (history,) = histories(dump, one, metric="gamma")
    assert {
        (step, track.layer): (from_maps, gamma)
        for track in history.tracks
        for step, from_maps, gamma in zip(
            track.steps.tolist(), track.from_maps, track.median["gamma"], strict=True
        )
    } == {(100, 1): measured, **of_lines}

    (shown,) = page(dump, one, folder=tmp_path, pictured=0).runs
    course = shown.course
    assert (course.steps.tolist(), course.heads) == ([50, 100, 200], (1,))
    assert course.from_maps.tolist() == [False, True, False]
    # a page knows by the time it reads lines which maps can't be read, and fills the hole
    gamma = {(100, 1): measured, (100, 0): (False, 102), **of_lines}
    told = [[gamma[step, layer][1] for layer in (0, 1)] for step in (50, 100, 200)]
    assert np.squeeze(course.numbers["gamma"], -1) == pytest.approx(np.array(told))
