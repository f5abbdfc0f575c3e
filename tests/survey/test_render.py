"""One selection, pictures of every scope: which are drawn, where they go, what they say."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import bare
import h5py
import numpy as np
import pytest
from folders import files

from igaviz.dump import open_dump
from igaviz.errors import OutputError, SelectionError, UsageError
from igaviz.figures import View
from igaviz.selection import Numbers
from igaviz.survey.drawing.asked import asked, tasks_of
from igaviz.survey.drawing.drawn import check_output
from igaviz.survey.drawing.history import histories
from igaviz.survey.drawing.pictures import Namer, Style, draw
from igaviz.survey.measuring import layers
from igaviz.survey.measuring.layers import measure_some
from igaviz.survey.plan import Choice
from igaviz.survey.render import figure_names, render
from igaviz.survey.summary import summary_rows

ALL = Choice()
SMALL = {"dpi": 20}


def numbers(**chosen):
    return Choice(**{name: Numbers.parse(text) for name, text in chosen.items()})


def names(rendering, out):
    return sorted(str(picture.path.relative_to(out)) for picture in rendering.pictures)


def add_rank(path, *, steps, heads, rank=0, phase=None):
    """A shard with two items, whose layers have other heads at the first step."""
    with h5py.File(path, "w") as file:
        bare.start(file).attrs["rank"] = rank
        for k, step in enumerate(steps):
            for b, n in ((0, 30), (1, 24)):
                item = bare.add_item(file, step, b, bare.helix(n), phase)
                stored = heads if k else heads[:1]
                layer = bare.add_layer(item, 4, **bare.terms(bare.helix(n), len(stored), step))
                layer.attrs["heads"] = np.array(stored)
        bare.finish(file)


@pytest.fixture
def runs(tmp_path):
    """Two runs, one of them with two ranks and phases."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    bare.write(tmp_path / "one" / "a.h5", steps=(100, 200))
    add_rank(tmp_path / "two" / "step-000000100.rank-00000.h5", steps=(100, 300), heads=(2, 6))
    add_rank(
        tmp_path / "two" / "step-000000100.rank-00001.h5", steps=(100, 300), heads=(2, 6), rank=1
    )
    add_rank(
        tmp_path / "two" / "step-000000300.val.rank-00000.h5",
        steps=(300,),
        heads=(2, 6),
        phase="val",
    )
    return open_dump(tmp_path / "one", tmp_path / "two")


def test_figures_are_named_by_the_whole_or_the_last_word():
    assert figure_names("grid,effect") == ("grid", "effect")
    assert figure_names("statistics, attention_overview") == (
        "attention_overview",
        "distance_statistics",
    )
    assert len(figure_names("all")) == 10
    assert len(Style().figures) == 3
    with pytest.raises(UsageError, match="no figure 'gird'"):
        figure_names("grid,gird")


def test_one_picture_for_each_map_layer_step_and_run(tmp_path):
    dump = open_dump(bare.write(tmp_path / "a.h5", steps=(100, 200), heads=3))
    out = tmp_path / "out"
    choice = numbers(layer="0-1", head="0,2", step="100,200", batch="all")
    style = Style(figures=("contacts", "grid", "heads", "trajectory"), **SMALL)
    heard: list[tuple[str, int, int]] = []
    drawn = render(
        dump,
        choice,
        out=out,
        style=style,
        progress=lambda done, total: heard.append(("drawing", done, total)),
        measuring=lambda done, total: heard.append(("measuring", done, total)),
    )
    assert not drawn.failed
    assert heard[:5] == [("measuring", done, 12) for done in (0, 3, 6, 9, 12)]
    assert ("drawing", 0, len(drawn.pictures)) in heard
    assert heard[-1] == ("drawing", len(drawn.pictures), len(drawn.pictures))
    steps = ("step_000000100", "step_000000200")
    assert names(drawn, out) == sorted(
        [
            *(f"{s}/layer{y}_contacts_b0_h{h}.png" for s in steps for y in (0, 1) for h in (0, 2)),
            *(f"{s}/layer{y}_grid_b0.png" for s in steps for y in (0, 1)),
            *(f"{s}/heads_type.png" for s in steps),
            "trajectory.png",
        ]
    )
    assert all((out / name).stat().st_size > 500 for name in names(drawn, out))
    by_figure = {picture.figure: picture.shown for picture in drawn.pictures}
    assert by_figure["contacts"].head == 2
    assert (by_figure["grid"].layer, by_figure["grid"].head) == (1, None)
    assert (by_figure["heads"].step, by_figure["heads"].layer) == (200, None)
    assert by_figure["trajectory"].step is None
    with pytest.raises(OutputError, match="already there"):
        render(dump, choice, out=out, style=style)
    metric = Style(figures=("heads", "trajectory"), metric="entropy", **SMALL)
    assert names(render(dump, choice, out=out, style=metric), out)[-1] == "trajectory_entropy.png"
    with pytest.raises(UsageError, match="no metric 'beauty'"):
        render(dump, choice, out=out, style=Style(metric="beauty"))


def test_runs_ranks_and_phases_show_where_there_are_several(runs, tmp_path):
    out = tmp_path / "out"
    style = Style(figures=("grid", "heads", "trajectory"), **SMALL)
    choice = Choice.of(phase="all", step="last", batch=1, layer="all")
    drawn = render(runs, choice, over_steps=Choice(phase="all"), out=out, style=style)
    # run one has no item 1
    assert names(drawn, out) == [
        "one/trajectory.png",
        "two/step_000000300/heads_type.png",
        "two/step_000000300/heads_type_val.png",
        "two/step_000000300/layer4_grid_b1_r0.png",
        "two/step_000000300/layer4_grid_b1_r0_val.png",
        "two/step_000000300/layer4_grid_b1_r1.png",
        "two/trajectory.png",
        "two/trajectory_val.png",
    ]


def test_histories_take_steps_whose_heads_differ(runs):
    one, two = histories(runs)
    assert (one.run, two.run, two.phase) == ("one", "two", "train")
    (track,) = two.tracks
    assert track.steps.tolist() == [100, 300]
    assert track.from_maps.all()
    assert np.isfinite(track.median["saturation"]).all()
    assert np.isnan(track.median["gamma"]).all()
    assert not two.items_differ  # without names, but of the same structures
    # a head's number is that of all its items and ranks, as a scalars file has it
    by_head: dict[int, list[float]] = {}
    for row in summary_rows(runs, numbers(step="300")):
        if row.run == "two":
            by_head.setdefault(row.head, []).append(row.values["entropy"])
    means = [np.mean(found) for found in by_head.values()]
    (entropy,) = histories(runs, numbers(step="300"), metric="entropy")[-1].tracks
    assert (len(means), {len(found) for found in by_head.values()}) == (2, {4})
    ends = (entropy.low["entropy"][0], entropy.high["entropy"][0])
    assert ends == pytest.approx((min(means), max(means)))
    assert (two.items, histories(runs, numbers(batch="1"))[-1].items) == (
        ("item 0", "item 1"),
        ("item 1",),
    )
    (last,) = histories(runs, Choice(phase="val"))
    assert last.extent == (300, 300)
    with pytest.raises(SelectionError, match="no layer 9"):
        histories(runs, numbers(layer="9"))


def test_maps_and_scalars_are_one_time_line(sample_data):
    (history,) = histories(open_dump(sample_data / "diagonal_collapse"), numbers(layer="1,3"))
    assert (history.phase, history.items_differ) == ("probe", False)
    assert [track.layer for track in history.tracks] == [1, 3]
    track = history.tracks[0]
    assert track.steps[track.from_maps].tolist() == [100, 1500]
    assert len(track.steps) == history.recorded > 50
    assert (np.diff(track.steps) > 0).all()
    assert {span.severity for span in track.spans} == {"error"}
    # on both sides of a step with maps, the scalars say much the same as they
    k = track.steps.tolist().index(100)
    around = track.median["self_mass"][[k - 1, k, k + 1]]
    assert np.ptp(around) < 0.2
    # a layer is judged from all of its heads, whichever are shown
    (single,) = histories(open_dump(sample_data / "diagonal_collapse"), numbers(head="5"))
    assert {span.severity for span in single.tracks[1].spans} == {"error"}
    assert (single.tracks[1].low["saturation"] == single.tracks[1].high["saturation"]).all()
    # what single items or another radius are asked of, the scalars can't tell
    (maps,) = histories(open_dump(sample_data / "diagonal_collapse"), numbers(batch="0"))
    assert maps.tracks[0].steps.tolist() == [100, 1500]
    (one,) = histories(open_dump(sample_data / "healthy"), numbers(step="60,1500", head="2"))
    assert one.tracks[0].steps.tolist() == [60, 1500]
    assert one.tracks[0].low["gamma"].tolist() == one.tracks[0].high["gamma"].tolist()


def test_scalars_alone_have_a_trajectory_and_many_steps_are_thinned(tmp_path):
    lines = [
        {
            "step": step,
            "layer": layer,
            "heads": [0, 4],
            "gamma": [step * 0.1, None],
            "saturation": [0.9, 0.8],
            "geometry_effect": [0.5, 0.6],
        }
        for step in range(0, 10_000, 10)
        for layer in (0, 1)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "scalars.rank-00000.jsonl").write_text(text)
    dump = open_dump(tmp_path)
    (history,) = histories(dump)
    assert (history.recorded, history.drawn) == (1000, 400)
    steps = history.tracks[1].steps
    assert (steps[0], steps[-1]) == (0, 9990)
    assert history.tracks[1].median["gamma"] == pytest.approx(steps * 0.1)
    assert [span.severity for span in history.tracks[0].spans] == ["error"]
    drawn = render(dump, ALL, out=tmp_path / "out", style=Style(figures=("trajectory",), **SMALL))
    assert [p.path.name for p in drawn.pictures] == ["trajectory.png"]
    assert drawn.pictures[0].verdict == "2 of 2 layers sick at the end"


def test_a_trajectory_does_not_call_healthy_what_was_not_judged(tmp_path):
    """The second step has coordinates of noise; it is as sick as the first."""

    def saturate(file):
        for name, step in file["steps"].items():
            item = step["batch/0"]
            item.attrs["flow_time"] = 0.1 if int(name) == 600 else 0.9
            for layer in item["layers"].values():
                layer["logits_before"][:] *= 40
                both = layer["logits_before"][:] + layer["geo_bias"][:]
                layer["attention"][:] = bare.softmax(both)

    def verdict(name, *steps):
        bare.write(tmp_path / f"{name}.h5", steps=steps, change=saturate)
        dump = open_dump(tmp_path / f"{name}.h5")
        (history,) = histories(dump)
        style = Style(figures=("trajectory",), **SMALL)
        (picture,) = render(dump, ALL, out=tmp_path / name, style=style).pictures
        return [track.severities for track in history.tracks], picture.verdict

    assert verdict("both", 500, 600) == (
        [("error", None)] * 2,
        "2 of 2 layers sick when last judged",
    )
    assert verdict("noise", 600) == ([(None,)] * 2, "not judged")


def test_a_damaged_head_costs_its_own_pictures_only(tmp_path):
    path = bare.write_with_broken_head(tmp_path / "a.h5")
    style = Style(figures=("grid", "effect", "heads"), **SMALL)
    drawn = render(open_dump(path), numbers(layer="0"), out=tmp_path / "out", style=style)
    assert Counter(picture.figure for picture in drawn.pictures) == {
        "grid": 1,
        "effect": 2,
        "heads": 1,
    }
    assert drawn.damaged
    assert all("head 1" in piece.where for piece in drawn.damaged)


def test_maps_and_a_trajectory_of_one_command_are_measured_once(tmp_path, monkeypatch):
    """With a picture of each map of layer 0, whose damage is told once as well."""
    measured = []

    def seen(tasks, **options):
        measured.extend(task.entry.id.layer for task in tasks)
        return measure_some(tasks, **options)

    monkeypatch.setattr(layers, "measure_some", seen)
    dump = open_dump(bare.write_with_broken_head(tmp_path / "a.h5"))
    drawn = render(
        dump,
        numbers(layer="0"),
        over_steps=ALL,
        out=tmp_path / "out",
        style=Style(figures=("effect", "trajectory"), metric="gamma", **SMALL),
    )
    assert len(drawn.pictures) == 3
    assert measured == [0, 1]
    assert [piece.where.rsplit("/", 1)[1] for piece in drawn.damaged] == ["attention (head 1)"]
    alone = Style(figures=("trajectory",), metric="gamma", **SMALL)
    render(dump, over_steps=ALL, out=tmp_path / "alone", style=alone)
    name = "trajectory_gamma.png"
    assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


def test_threads_of_a_process_draw_what_one_draws(tmp_path):
    """As the workers of a cluster do: each thread has figures of its own, settings are shared."""
    dump = open_dump(bare.write(tmp_path / "a.h5", layers=2, heads=2))
    styles = [
        Style(figures=("effect", "grid"), view=View(style=style), **SMALL)
        for style in ("light", "dark")
    ]

    def work(folder):
        """The two styles in turns, so that threads beside each other need other settings."""
        found = []
        for style in styles:
            out = tmp_path / folder / style.view.style
            namer, wanted = Namer(dump, out, style), asked(dump, ALL, ALL, style)
            check_output(out, wanted.paths(namer), force=False)
            found.append([(task, style) for task in tasks_of(wanted, namer, style, damaged=[])])
        return [each for pair in zip(*found, strict=True) for each in pair]

    for task, style in work("one"):
        assert not draw(task, style).failed
    together = Barrier(4)
    with ThreadPoolExecutor(4, initializer=together.wait) as threads:
        for done in [threads.submit(draw, *each) for each in work("four")]:
            assert not done.result().failed
    assert files(tmp_path / "four") == files(tmp_path / "one")
    assert len(files(tmp_path / "one")) == 2 * (4 + 2)


def test_a_worker_that_sees_another_file_system_names_what_it_could_not_write(tmp_path):
    dump = open_dump(bare.write(tmp_path / "a.h5", layers=1, heads=1))
    style = Style(figures=("attention_overview",), **SMALL)
    out = Path("out")
    (task,) = tasks_of(asked(dump, ALL, ALL, style), Namer(dump, out, style), style, damaged=[])
    path = out / "step_000000100/layer0_attention_overview_b0_h0.png"
    assert draw(task, style, str(tmp_path)).failed == (
        (path, f"can't write there (there is no folder {(tmp_path / path).parent})"),
    )
    assert not (tmp_path / "out").exists()
