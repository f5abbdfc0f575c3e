"""Shards and scalars files as one time line: which rows a selection of `summary` gives."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from dataclasses import replace

import bare
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from igaviz.checks.silence import MIN_STEP
from igaviz.cli.main import main
from igaviz.dump import open_dump
from igaviz.errors import SelectionError
from igaviz.report.summary_table import Layout, print_table
from igaviz.selection import Numbers
from igaviz.survey.diagnose import diagnose
from igaviz.survey.plan import Choice, plan
from igaviz.survey.rows.row import Row, badness_of
from igaviz.survey.rows.trends import MAX_POINTS, Trends
from igaviz.survey.rows.worst_first import worst_first
from igaviz.survey.summary import summary_rows


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


def test_a_layer_names_the_head_that_its_finding_calls_the_worst(sample_data):
    dump, last = open_dump(sample_data / "healthy"), Choice.of(step="last")
    findings = diagnose(dump, last).findings
    worst = {(f.layer, f.id): (f.worst_head, min(f.heads)) for f in findings}
    rows = [row for row in summary_rows(dump, last, by="layer") if row.worst_id]
    assert all(row.worst_head == worst[row.layer, row.worst_id][0] for row in rows)
    assert any(row.worst_head != worst[row.layer, row.worst_id][1] for row in rows)


def test_progress_is_told_within_a_layer(tmp_path):
    ca = bare.helix(12)

    def more_items(file):
        for batch in (1, 2):
            bare.add_layer(bare.add_item(file, 100, batch, ca), 0, **bare.terms(ca, 2))

    dump = open_dump(bare.write(tmp_path / "a.h5", layers=1, heads=2, n=12, change=more_items))
    heard = []
    rows = summary_rows(
        dump, Choice(batch=Numbers.parse("all")), by="run", progress=lambda *at: heard.append(at)
    )
    assert len(list(rows)) == 1
    assert heard == [(0, 6), (2, 6), (4, 6), (6, 6)]


@pytest.mark.parametrize(
    ("unit", "layer", "single"),
    [
        ("angstrom", ("healthy", None, None, 0, 4), ("note", "D203")),
        ("nanometer", ("warning", "D004", None, 4, 4), ("warning", "D004")),
    ],
)
def test_a_layer_has_the_verdict_that_diagnose_gives_it(tmp_path, unit, layer, single):
    """A check on one item of three is no head's, so no layer's; what is said of items is."""
    ca = bare.helix(30)

    def more_items(file):
        file.attrs["length_unit"] = unit
        for batch in (1, 2):
            terms = bare.terms(ca, 4, seed=batch)
            if batch == 1:
                terms["logits_before"][2] *= 40
                terms["attention"] = bare.softmax(terms["logits_before"] + terms["geo_bias"])
            bare.add_layer(bare.add_item(file, 300, batch, ca), 0, **terms)

    dump = open_dump(bare.write(tmp_path / "a.h5", steps=(300,), layers=1, change=more_items))
    found = diagnose(dump)
    (row,) = summary_rows(dump, by="layer")
    assert (row.verdict, row.worst_id, row.worst_head, row.sick, row.judged) == layer
    assert (row.verdict, row.shown) == (str(found.verdict), layer[1:2] * bool(layer[1]))
    (one,) = (m for m in summary_rows(dump) if (m.batch, m.head) == (1, 2))
    assert (one.verdict, one.worst_id) == single


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
    with pytest.raises(
        SelectionError, match=r"no step 30: there are maps at steps 100, 200; numbers every 25"
    ):
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
    assert gamma.slope == pytest.approx(1000)
    assert gamma.count == 1000


def test_few_points_have_no_slope_and_are_no_table_of_trends(run):
    row = next(row for row in summary_rows(run, by="layer") if not row.from_maps)

    def of(steps):
        trends = Trends()
        for step in steps:
            trends.add(replace(row, step=step, values={"gamma": float(step)}))
        return trends

    for steps in (range(0, 700, 100), range(8)):
        (gamma,) = of(steps).found()
        assert (gamma.slope, gamma.values[-1]) == (None, max(steps))
        assert "slope" not in printed([row], of(steps))
    assert of(range(0, 800, 100)).found()[0].slope == pytest.approx(1000)
    assert "slope" in printed([row], of(range(0, 800, 100)))
    assert "slope" not in printed([row], of(range(0, 800, 100)), by="step")


def test_of_many_layers_the_steepest_trends_are_told_and_how_to_see_the_others(run):
    row = next(row for row in summary_rows(run, by="layer") if not row.from_maps)

    def told(n_layers):
        trends = Trends()
        for step in range(0, 800, 100):
            for layer in range(n_layers):
                values = {"gamma": -step * (1.0 + layer), "saturation": step / (1.0 + layer)}
                trends.add(replace(row, step=step, layer=layer, values=values))
        lines = printed([row], trends).splitlines()
        start = next(k for k, line in enumerate(lines) if "slope per" in line)
        return lines[start + 2 :], " ".join(lines)

    few, text = told(16)
    assert "--layer" not in text
    assert sum("▁" in line for line in few) == 32
    many, text = told(20)
    layers = [line.split()[-5] for line in many if "▁" in line]
    assert layers == [*(str(k) for k in range(14, 20)), *(str(k) for k in range(6))]
    assert "Of 20 layers those 6 whose slopes are the steepest" in text
    assert "chosen with --layer" in text


def test_what_rounding_makes_of_one_number_is_no_course(run):
    """A scalars file has six digits, maps have float32 and attention in float16."""
    row = next(row for row in summary_rows(run, by="layer") if not row.from_maps)
    trends = Trends()
    for step in range(0, 900, 100):
        maps = step % 500 == 0
        values = {
            "gamma": float(np.float32(5e-4)) if maps else 5e-4,
            "geometry_effect": 4.2e-4 if maps else 4.1e-4,
        }
        for layer in (0, 1):
            trends.add(replace(row, step=step, layer=layer, values=values))
    lines = [line.split() for line in printed([row], trends).splitlines()]
    told = {line[0]: line[1:] for line in lines if line and line[0] in values}
    assert told == {
        "gamma": ["0-1", "5e−4", "5e−4", "0", "▁" * 9],
        "geometry_effect": ["0-1", "4.2e−4", "4.1e−4", "0", "▁" * 9],
    }


def printed(rows, trends, *, by="layer"):
    out = io.StringIO()
    print_table(rows, Console(file=out, width=100), Layout(by), trends)
    return out.getvalue()


def test_where_geometry_was_not_judged_no_row_is_simply_healthy(sample_data, capsys):
    """At step 100 of a healthy run: too early for the checks of geometry."""
    dump = open_dump(sample_data / "healthy")
    words = "healthy, geometry not judged"
    for by in ("head", "layer", "step", "run"):
        choice = Choice.of(step="100", layer="0,1")
        rows = list(summary_rows(dump, choice, by=by))
        assert {(row.verdict, row.words) for row in rows} == {("healthy", words)}
        text = printed(rows, Trends(), by=by)
        assert "– geometry not judged" in text
        assert f"– {words}" in text  # in the legend, as "○ healthy"
        assert text.count("○ healthy") == 1
    argv = ["summary", str(sample_data / "healthy"), "--step", "100", "--jobs", "1"]
    assert main([*argv, "--format", "markdown"]) == 0
    assert f"| {words} |" in capsys.readouterr().out
    argv[argv.index("--step") : argv.index("--step") + 2] = ["--layer", "5"]
    assert main([*argv, "--format", "markdown"]) == 0
    blocks = capsys.readouterr().out.split("\n\n")
    assert [block[0] == "|" for block in blocks[2:5]] == [True, False, True]  # what is between ends


@pytest.mark.parametrize(
    "options",
    [
        ("--format", "table", "--json"),
        ("--lines", "--format", "csv"),
        ("--lines", "--json"),
        ("--lines", "--by", "head"),
    ],
)
def test_options_that_conflict_are_refused(options, sample_data, capsys):
    assert main(["summary", str(sample_data / "healthy"), *options]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert "hint: leave" in err


def test_a_step_with_numbers_alone_is_named_where_maps_are_needed(sample_data, capsys):
    for step, hinted in (("30", True), ("31", False)):
        assert main(["diagnose", str(sample_data / "healthy"), "--step", step]) == 2
        err = capsys.readouterr().err
        assert f"no step {step}: there are steps 100,1500" in err
        assert ("hint: step 30 has numbers but no maps: see igaviz summary" in err) == hinted


def test_slopes_and_firings_are_those_of_all_rows(sample_data):
    """Steps with maps and steps with numbers alone count alike."""
    dump = open_dump(sample_data / "diagonal_collapse")
    trends = Trends()
    rows = []
    one = Choice(layer=Numbers.parse("1"))
    (run,) = summary_rows(dump, one, by="run", each_layer=rows.append)
    for row in rows:
        trends.add(row)
    steps, values = zip(*((row.step, row.values["self_mass"]) for row in rows), strict=True)
    (trend,) = (t for t in trends.found() if (t.metric, t.layer) == ("self_mass", 1))
    assert trend.slope == pytest.approx(1000 * np.polyfit(steps, values, 1)[0])
    assert (trend.values[0], trend.values[-1], trend.count) == (values[0], values[-1], len(steps))
    fired = {(f.layer, f.id): f for f in trends.fired()}
    collapse = fired[1, "D202"]
    assert (collapse.first_step, collapse.last_step) == (steps[0], steps[-1])
    assert collapse.steps == collapse.judged == len(steps) == run.steps
    judged = next(step for step in steps if step >= MIN_STEP)
    assert (run.worst_id, run.verdict, run.since) == ("D104", "error", judged)


@pytest.mark.parametrize("by", ["run", "step", "layer", "head"])
def test_coarse_rows_sum_up_the_fine_ones(sample_data, by):
    paths = [sample_data / name for name in ("gamma_too_small", "healthy")]
    layers: list[Row] = []
    choice = Choice(batch=Numbers.parse("0"), layer=Numbers.parse("1,4"))
    rows = list(summary_rows(open_dump(*paths), choice, by=by, each_layer=layers.append))
    assert len(rows) == {"run": 2, "step": 4, "layer": 8, "head": 64}[by]
    sick, well = (
        [row for row in layers if row.run == name and row.step == 1500]
        for name in ("gamma_too_small", "healthy")
    )
    for row in rows:
        if by in ("run", "step") and row.step == 1500:
            below = sick if row.run == "gamma_too_small" else well
            mean = np.mean([layer.values["entropy"] for layer in below])
            assert row.values["entropy"] == pytest.approx(mean)
            worst = max(below, key=badness_of)
            assert (row.verdict, row.worst_id) == (worst.verdict, worst.worst_id)
            assert row.worst_layer == (worst.layer if worst.worst_id else None)
            assert (row.sick, row.judged) == ((2, 2) if row.run == "gamma_too_small" else (0, 2))
    if by == "run":
        assert [row.verdict for row in rows] == ["error", "healthy"]
        assert [row.since for row in rows] == [1500, None]
    if by == "head":
        said = {(row.step, row.worst_id) for row in rows if row.run == "gamma_too_small"}
        assert said == {(100, None), (1500, "D101")}  # too early to tell at step 100


SEVERITIES = st.sampled_from([None, "healthy", "note", "warning", "error"])


@given(st.lists(st.tuples(SEVERITIES, st.integers(0, 3)), max_size=30), st.integers(1, 7))
def test_worst_first_is_a_stable_sort_whatever_is_held(found, at_once):
    rows = [
        Row("r", "train", k, None, None, 0, None, {}, verdict, sick=sick, judged=3)
        for k, (verdict, sick) in enumerate(found)
    ]
    ordered = list(worst_first(iter(rows), at_once))
    assert ordered == sorted(rows, key=badness_of, reverse=True)
    assert sorted(row.step for row in ordered) == [row.step for row in rows]


def test_rows_stream(tmp_path):
    """What is held does not grow with the shards: the tenth part of them takes as much."""

    def peak(shards):
        folder = tmp_path / str(shards)
        folder.mkdir()
        for step in range(shards):
            bare.write(folder / f"{step}.h5", steps=(step,), layers=1, heads=2)
        dump = open_dump(folder)
        rows = summary_rows(dump, by="layer")
        first = next(rows)
        tracemalloc.start()
        for row in worst_first(rows, at_once=3):
            assert row.run == first.run
        (_, high), _ = tracemalloc.get_traced_memory(), tracemalloc.stop()
        return high

    peak(2)
    assert peak(24) < peak(4) + 50_000


def test_the_order_and_the_formats_of_the_verb(sample_data, capsys):
    paths = [str(sample_data / name) for name in ("healthy", "gamma_too_small")]

    def said(*options):
        assert main(["summary", *paths, "--jobs", "1", "--layer", "0,5", *options]) == 0
        return capsys.readouterr().out

    for by, size in (("run", 2), ("step", 4), ("layer", 8)):
        options = ("--by", by, "--sort", "worst", "--batch", "0")
        rows = list(csv.DictReader(io.StringIO(said(*options, "--format", "csv"))))
        assert len(rows) == size
        words = [row["verdict"] for row in rows]
        assert words == sorted(words, key=["error", "warning", "note", "healthy"].index)
        assert rows[0]["run"] == "gamma_too_small"
        table = said(*options, "--format", "markdown").split("\n\n")[1].splitlines()
        assert len(table) == size + 2
        assert len({line.replace("\\|", "").count("|") for line in table}) == 1
    found = json.loads(said("--by", "run", "--json"))
    assert [row["worst_id"] for row in found["rows"]] == ["D203", "D101"]
    fired = {(f["run"], f["layer"], f["id"]): f["first_step"] for f in found["fired"]}
    assert fired["gamma_too_small", 5, "D101"] == 210  # too early to tell below 200
    assert len(found["trends"]) == 2 * 2 * 5


@pytest.mark.parametrize("by", ["run", "step", "layer", "head"])
def test_tables_keep_within_the_terminal(sample_data, by):
    dump = open_dump(*(sample_data / name for name in ("healthy", "diagonal_collapse")))
    choice = Choice(batch=Numbers.parse("0"), layer=Numbers.parse("0,3"))
    trends: list[Row] = []
    rows = list(summary_rows(dump, choice, by=by, each_layer=trends.append))
    for width, encoding in ((80, "utf-8"), (200, "utf-8"), (80, "ascii")):
        out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        kept = Trends()
        for row in trends:
            kept.add(row)
        print_table(rows, Console(file=out, width=width), Layout(by, together=by == "run"), kept)
        out.seek(0)
        lines = out.read().splitlines()
        assert max(map(len, lines)) <= width
        assert ("Not shown at this width" in "".join(lines)) == (width == 80)
        assert any(f"{'X' if encoding == 'ascii' else '✖'} D" in line for line in lines)
        assert "?" not in "".join(lines)
