"""Shards and scalars files as one time line: which rows a selection of `summary` gives."""

from __future__ import annotations

import json
from dataclasses import replace

import bare
import pytest

from igaviz.dump import open_dump
from igaviz.errors import SelectionError
from igaviz.selection import Numbers
from igaviz.survey.plan import Choice, plan
from igaviz.survey.summary import summary_rows
from igaviz.survey.trends import MAX_POINTS, Trends


@pytest.fixture
def run(tmp_path):
    """Maps at 100 and 200, layers 0 and 1; numbers at every 25th step to 250, layers 0 to 2."""
    folder = tmp_path / "run"
    folder.mkdir()
    bare.write(folder / "a.h5", steps=(100, 200), layers=2, heads=2)
    lines = (
        {"step": step, "layer": layer, "heads": [0, 1], "gamma": [step / 100, step / 50]}
        for step in range(25, 251, 25)
        for layer in range(3)
    )
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "scalars.rank-00000.jsonl").write_text(text)
    return open_dump(folder)


def chosen(run, **texts):
    choice = Choice(**{name: Numbers.parse(text) for name, text in texts.items()})
    rows = list(summary_rows(run, choice, by="layer"))
    assert [(row.step, row.layer) for row in rows] == sorted({(r.step, r.layer) for r in rows})
    return {row.step: [r.layer for r in rows if r.step == row.step] for row in rows}, rows


def test_steps_that_only_scalars_have(run):
    steps, (row,) = chosen(run, step="50", layer="1")
    assert steps == {50: [1]}
    assert not row.from_maps
    assert row.values["gamma"] == pytest.approx(0.75)


def test_first_last_and_ranges_are_of_the_whole_time_line(run):
    assert list(chosen(run, step="first")[0]) == [25]
    assert list(chosen(run, step="last")[0]) == [250]
    assert list(chosen(run, step="75:225:50")[0]) == [75, 125, 175, 225]
    assert list(chosen(run, step="100-150")[0]) == [100, 125, 150]


def test_last_is_the_last_step_with_maps_where_maps_are_asked_for(run):
    last = Choice(step=Numbers.parse("last"))
    assert {task.entry.id.step for task in plan(run, last)} == {200}
    assert list(chosen(run, step="last", batch="0")[0]) == [200]
    rows = summary_rows(run, last, by="layer", radius=10.0)
    assert {row.step for row in rows} == {200}


def test_a_layer_that_maps_lack_comes_from_the_scalars(run):
    steps, rows = chosen(run, step="100")
    assert steps == {100: [0, 1, 2]}
    assert [row.from_maps for row in rows] == [True, True, False]
    assert set(chosen(run, layer="2")[0]) == set(range(25, 251, 25))


def test_a_step_that_neither_has(run):
    with pytest.raises(SelectionError, match=r"no step 30: there are steps 25,50,75,100"):
        list(chosen(run, step="30"))
    with pytest.raises(SelectionError, match="no layer 3: there are layers 0-2"):
        list(chosen(run, layer="3"))


def test_trends_are_of_every_step_and_stay_small(run):
    trends = Trends()
    for row in summary_rows(run, by="layer"):
        trends.add(row)
    (gamma,) = (t for t in trends.found() if (t.metric, t.layer) == ("gamma", 2))
    assert gamma.steps == tuple(range(25, 251, 25))
    assert gamma.values[-1] == pytest.approx(3.75)


def test_a_long_course_is_thinned_evenly_from_its_first_to_its_last_point(run):
    trends = Trends()
    row = next(row for row in summary_rows(run, by="layer") if not row.from_maps)
    for step in range(1000):
        trends.add(replace(row, step=step, values={"gamma": float(step)}))
    (gamma,) = trends.found()
    assert 24 <= len(gamma.steps) <= MAX_POINTS + 1
    assert (gamma.steps[0], gamma.steps[-1]) == (0, 999)
    assert len({b - a for a, b in zip(gamma.steps[:-2], gamma.steps[1:-1], strict=True)}) == 1
    assert gamma.values == tuple(map(float, gamma.steps))
