"""Two runs, or two steps of one: what changed, what got sick, and the maps of it."""

from __future__ import annotations

import json
import shutil

import bare
import h5py
import jsonschema
import numpy as np
import pytest

import igaviz
from igaviz.checks import Severity
from igaviz.cli.main import main
from igaviz.errors import OutputError, SelectionError
from igaviz.report.schema import json_schema
from igaviz.survey.drawing.pictures import Style, draw

SMALL = Style(dpi=30)


@pytest.fixture(scope="module")
def runs(sample_data):
    """A healthy run and one that collapsed, on the same probe."""
    return sample_data / "healthy", sample_data / "diagonal_collapse"


@pytest.fixture(scope="module")
def collapse(runs):
    """What became of layer 3 from one to the other."""
    choice = igaviz.Choice.of(layer="3", head="1,4")
    return igaviz.compare(*(igaviz.open_dump(run) for run in runs), choice)


def compared(capsys, *arguments):
    """The exit code and the JSON of `igaviz compare`."""
    code = main(["compare", "--jobs", "1", "--json", *map(str, arguments)])
    said = json.loads(capsys.readouterr().out)
    jsonschema.validate(said, json_schema("compare"))
    return code, said


def test_numbers_are_those_of_each_side(runs, collapse):
    for side, run in zip("ab", runs, strict=True):
        choice = igaviz.Choice.of(layer="3", head="1,4", step="last", phase="probe")
        rows = list(igaviz.summary_rows(igaviz.open_dump(run), choice))
        assert [getattr(change, side) for change in collapse.heads] == [row.values for row in rows]
    (layer,) = collapse.layers
    mean = np.mean([change.b["self_mass"] for change in collapse.heads])
    assert layer.b["self_mass"] == pytest.approx(mean)
    assert layer.change("self_mass") == layer.b["self_mass"] - layer.a["self_mass"] > 0.9
    assert (collapse.a.run, collapse.b.step, collapse.items_differ) == ("healthy", 1500, False)


def test_what_got_sick_is_judged_from_all_heads_and_fails(collapse):
    (turn,) = [turn for turn in collapse.sick if turn.id == "D202"]
    assert (turn.layer, turn.before, turn.after) == (3, Severity.HEALTHY, Severity.ERROR)
    assert (turn.heads_a, turn.heads_b) == ((), tuple(range(8)))
    assert (turn.metric, turn.b) == ("self_mass", collapse.layers[0].b["self_mass"])
    assert collapse.fails(Severity.ERROR)
    assert not collapse.fails(None)
    assert not collapse.well


def test_the_verb_says_the_same_both_ways_round(runs, collapse, capsys):
    code, there = compared(capsys, *runs, "--layer", "3", "--head", "1,4")
    assert code == 1
    assert [turn["id"] for turn in there["sick"]] == [turn.id for turn in collapse.sick]
    code, back = compared(capsys, *reversed(runs), "--layer", "3", "--head", "1,4")
    assert code == 0
    assert back["well"] != back["sick"] == []
    for one, other in zip(there["heads"], back["heads"], strict=True):
        assert (one["verdict_a"], one["verdict_b"]) == (other["verdict_b"], other["verdict_a"])
        change = one["metrics"]["entropy"]["change"]
        assert change == -other["metrics"]["entropy"]["change"] != 0
    assert main(["compare", *map(str, runs), "--layer", "3", "--fail-on", "never"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("1 of 1 layer got sick: D104, D107, D202 and D204.\n")
    assert "  layer 3  ○○○○○○○○   ✖✖✖✖✖✖✖✖   8 worse\n" in text
    assert "D202 diagonal-collapse, healthy → error: layer 3, heads 0-7; self_mass 0.0" in text


def test_what_was_not_judged_before_got_not_sick(runs, capsys):
    """At step 100 it is too early for D101: a note or an error at 1,500 is no change of health."""
    healthy = runs[0]
    argv = ["--step", "100,1500", "--layer", "5"]
    code, said = compared(capsys, healthy, *argv)
    assert code == 0
    (turn,) = said["sick"]
    assert (turn["id"], turn["before"], turn["after"]) == ("D101", "not judged", "note")
    numbers = {found["head"]: found for found in turn["numbers"]}
    assert list(numbers) == turn["heads_b"] == [0, 2]
    assert all(found["b"] < 0.03 < turn["b"] for found in numbers.values())
    for head, found in numbers.items():
        assert found["b"] == said["heads"][head]["metrics"]["geometry_effect"]["b"]
    assert main(["compare", str(healthy), *argv]) == 0
    text = capsys.readouterr().out
    assert text.startswith(
        "Nothing got sick in 1 layer; notes changed: D101; geometry not judged in A.\n"
    )
    assert "Got sick" not in text
    assert "  layer 5  ––––––––   ◆○◆○○○○○   2 not judged in A\n" in text
    assert "New notes\n  ◆ D101 gamma-too-small, not judged → note: layer 5, heads 0, 2; " in text
    assert main(["compare", str(healthy.parent / "gamma_too_small"), *argv]) == 1
    text = capsys.readouterr().out
    assert text.startswith(
        "1 of 1 layer is sick in B, not judged in A: D101; geometry not judged in A.\n"
    )
    assert "\nSick in B, not judged in A\n  ✖ D101 gamma-too-small, not judged → error: " in text


def test_steps_of_one_run_are_its_first_and_last_or_those_named(tmp_path, capsys, monkeypatch):
    run = bare.write(tmp_path / "a.h5", steps=(100, 200, 700), layers=1, heads=40, n=24)
    code, said = compared(capsys, run)
    assert (code, said["a"]["step"], said["b"]["step"]) == (0, 100, 700)
    _, said = compared(capsys, run, "--step", "700,200")
    assert (said["a"]["step"], said["b"]["step"]) == (200, 700)
    for steps, words in {
        "100": "two steps of a run are compared, and 1 is chosen",
        "all,100": "and 3 are chosen: there are maps of train at 100,200,700",
        "5": "no step 5",
    }.items():
        assert main(["compare", str(run), "--step", steps]) == 2
        assert words in capsys.readouterr().err
    # a terminal that is too narrow for so many heads has them counted
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["compare", str(run), "--by", "head"]) == 0
    assert "layer 0  40–" in capsys.readouterr().out


def test_the_same_is_no_change(tmp_path, capsys):
    run = bare.write(tmp_path / "a.h5", layers=1)
    code, said = compared(capsys, run, run)
    assert code == 0
    assert said["sick"] == said["well"] == []
    changes = {value["change"] for value in said["layers"][0]["metrics"].values()}
    assert 0.0 in changes <= {0.0, None}


def test_what_can_not_be_compared_says_why(tmp_path, capsys):
    one = bare.write(tmp_path / "one.h5", layers=1)
    other = bare.write(tmp_path / "other.h5", layers=2, n=36)
    with h5py.File(other, "r+") as file:
        del file["steps/000000100/batch/0/layers/0"]
    with pytest.raises(SelectionError, match="no layer in common"):
        igaviz.compare(igaviz.open_dump(one), igaviz.open_dump(other))
    with h5py.File(other, "r+") as file:
        file["steps/000000100"].attrs["phase"] = "val"
    with pytest.raises(SelectionError, match="no phase with maps in common: train and val"):
        igaviz.compare(igaviz.open_dump(one), igaviz.open_dump(other))
    with pytest.raises(SelectionError, match="A holds 2 runs"):
        igaviz.compare(igaviz.open_dump(one, other), igaviz.open_dump(one))
    assert main(["compare", str(one), str(one), str(one)]) == 2
    assert "3 dumps: two runs are compared" in capsys.readouterr().err
    assert main(["compare", str(one), str(one), "--force"]) == 2
    assert "--force: only for --out" in capsys.readouterr().err


def test_other_items_are_said_and_have_no_difference_map(tmp_path, capsys):
    one = bare.write(tmp_path / "one.h5", layers=2)
    other = bare.write(tmp_path / "other.h5", layers=1, n=36)
    out = tmp_path / "out"
    assert main(["compare", str(one), str(other), "--out", str(out), "--fail-on", "never"]) == 0
    said = capsys.readouterr().out
    assert "The items differ" in said
    assert "0 difference maps\n4 maps not drawn: recorded on one side only\n" in said
    assert "4 maps not drawn: 30 and 36 residues\n" in said
    assert "Only A has layer 1: not compared." in said
    assert not list(tmp_path.rglob("*.png"))


def test_pictures_share_their_scales_and_are_not_overwritten(tmp_path, monkeypatch):
    """However unlike the heads are: a colour means the same in every picture of a call."""

    def stronger(file):
        for name in ("geo_bias", "attention"):
            file[f"steps/000000200/batch/0/layers/1/{name}"][2] *= 40

    run = bare.write(tmp_path / "a.h5", steps=(100, 200), change=stronger)
    comparison = igaviz.compare(igaviz.open_dump(run), choice=igaviz.Choice.of(head="1,2"))
    scales = []

    def noted(task, style, folder):
        scales.append(task.source.scales)
        return draw(task, style, folder)

    monkeypatch.setattr("igaviz.survey.drawing.drawn.draw", noted)
    drawn = igaviz.draw_differences(comparison, out=tmp_path / "out", style=SMALL)
    assert [path.name for path, _ in drawn.pictures] == [
        f"layer{layer}_difference_b0_h{head}.png" for layer in (0, 1) for head in (1, 2)
    ]
    assert len(set(scales)) == 1 < len(scales)
    assert scales[0].bias > 100
    assert all(path.read_bytes().startswith(b"\x89PNG") for path, _ in drawn.pictures)
    with pytest.raises(OutputError, match="already there"):
        igaviz.draw_differences(comparison, out=tmp_path / "out", style=SMALL)
    again = igaviz.draw_differences(comparison, out=tmp_path / "out", style=SMALL, force=True)
    assert again.pictures == drawn.pictures
    # with one head less, the scales suit what is left
    few = igaviz.compare(igaviz.open_dump(run), choice=igaviz.Choice.of(layer="0"))
    igaviz.draw_differences(few, out=tmp_path / "few", style=SMALL)
    assert scales[-1].bias < 100


def test_a_damaged_map_costs_its_own_picture(tmp_path, capsys):
    def checked(file):
        layer = file["steps/000000200/batch/0/layers/0"]
        attention = layer["attention"][()]
        del layer["attention"]
        layer.create_dataset("attention", data=attention, chunks=(1, 30, 30), fletcher32=True)

    run = bare.write(tmp_path / "a.h5", steps=(100, 200), layers=1, heads=2, change=checked)
    with h5py.File(run) as file:
        stored = file["steps/000000200/batch/0/layers/0/attention"]
        place = stored.id.get_chunk_info(1).byte_offset
    content = bytearray(run.read_bytes())
    content[place + 8] ^= 0xFF
    run.write_bytes(content)
    code, said = compared(capsys, run, "--out", tmp_path / "out")
    assert code == 1
    assert [picture["head"] for picture in said["pictures"]] == [0]
    assert [piece["where"].split()[-1] for piece in said["damaged"]] == ["1)"]
    assert [change["head"] for change in said["heads"]] == [0]


def test_an_item_is_no_layer(sample_data, tmp_path, capsys):
    for shard in (sample_data / "healthy").glob("*.h5"):
        with h5py.File(shutil.copy(shard, tmp_path / shard.name), "r+") as file:
            file.attrs["length_unit"] = "angstrom"
    assert main(["compare", str(sample_data / "healthy"), str(tmp_path)]) == 1
    assert capsys.readouterr().out.startswith("6 of 6 layers and an item got sick: D104, D205 and")
