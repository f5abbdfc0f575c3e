"""A layer is judged from all of its heads, whichever are chosen; a run also by how it went."""

from __future__ import annotations

import json

import bare
import pytest

import igaviz
from igaviz.cli.main import main
from igaviz.report.html.content import run_verdict
from igaviz.survey.page import page
from igaviz.survey.summary import summary_rows

RUNS = ("healthy", "gamma_too_small", "diagonal_collapse")


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("heads", ["0", "5", "1,6"])
def test_a_chosen_head_is_as_sick_as_among_all(sample_data, tmp_path, run, heads):
    dump = igaviz.open_dump(sample_data / run)
    some = igaviz.Choice.of(head=heads, step="last")
    chosen = {int(head) for head in heads.split(",")}
    among_all = {
        (row.layer, head): verdict
        for row in igaviz.diagnose(dump).layers
        for head, verdict in row.heads
        if head in chosen
    }
    alone = igaviz.diagnose(dump, some)
    assert {(r.layer, head): v for r in alone.layers for head, v in r.heads} == among_all
    assert alone.verdict == max(verdict.severity for verdict in among_all.values())
    rows = [row for row in summary_rows(dump, some) if row.from_maps]
    assert {(row.layer, row.head): row.said for row in rows} == among_all
    (shown,) = page(dump, some, folder=tmp_path, pictured=0).runs
    assert set(shown.words) - {None} == set(among_all.values())


def test_one_head_of_a_sick_run_is_told_as_what_it_is(sample_data, capsys):
    run = str(sample_data / "gamma_too_small")
    assert main(["diagnose", run, "--head", "0", "--layer", "3"]) == 1
    told = " ".join(capsys.readouterr().out.split())
    assert "step 1,500 (the last of 2): 1 layer × 1 of 8 heads" in told
    assert "ERROR D101" in told
    assert "layer 3, head 0 (1 of 1 map)" in told
    assert "From 8 maps; judged by all 8 heads of the layer, 8 of which show it." in told
    assert "one head alone" not in told


def test_a_check_that_other_heads_show_is_not_told_of_this_one(sample_data):
    dump = igaviz.open_dump(sample_data / "healthy")
    sick = {(f.layer, f.id): f for f in igaviz.diagnose(dump).findings}
    layer, head = next((f.layer, f.head) for f in sick.values() if f.head is not None)
    other = igaviz.Choice.of(layer=layer, head=(head + 1) % 8)
    ids = {check for at, check in sick if at == layer and sick[at, check].heads == (head,)}
    assert ids
    assert not ids & {f.id for f in igaviz.diagnose(dump, other).findings}


def test_parts_of_one_head_know_the_layer(sample_data, tmp_path, capsys):
    run, arguments = str(sample_data / "diagonal_collapse"), ["--head", "3", "--layer", "2"]
    assert main(["diagnose", run, *arguments, "--json"]) == 1
    at_once = capsys.readouterr().out
    parts = [tmp_path / "1.jsonl", tmp_path / "2.jsonl"]
    for number, part in enumerate(parts, 1):
        main(["diagnose", run, *arguments, "--part", f"{number}/2"])
        part.write_text(capsys.readouterr().out)
    assert main(["diagnose", *map(str, parts), "--from", "--json"]) == 1
    assert capsys.readouterr().out == at_once
    assert json.loads(at_once)["verdict"] == "error"


def _frozen(file):
    """The same maps at three steps."""
    for step in (900, 1300):
        file.copy("steps/000000500", f"steps/{step:09d}")
        file[f"steps/{step:09d}"].attrs["step"] = step


def test_a_run_that_does_not_move_is_called_so_everywhere(tmp_path, capsys):
    still = bare.write(tmp_path / "still.h5", steps=(500,), heads=2, change=_frozen)
    dump = igaviz.open_dump(still)
    diagnosis = igaviz.diagnose(dump)
    assert {f.id for f in diagnosis.findings if f.severity == diagnosis.verdict} == {"D211"}
    (run,) = summary_rows(dump, by="run")
    assert (run.verdict, run.worst_id, run.worst_layer) == ("warning", "D211", 0)
    assert (run.worst_head, run.sick, run.judged) == (None, 2, 2)
    layers = {(row.step, row.worst_id) for row in summary_rows(dump, by="layer")}
    assert {step for step, check in layers if check == "D211"} == {1300}
    whole = page(dump, folder=tmp_path, pictured=0)
    assert run_verdict(whole.runs[0], whole).check == "D211"
    assert main(["summary", str(still)]) == 0
    assert "▲ D211\n" in capsys.readouterr().out
