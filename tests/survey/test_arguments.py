"""What people pass from Python at first: taken where it is clear, answered where it is not."""

from __future__ import annotations

import bare
import numpy as np
import pytest
from folders import files

import igaviz
from igaviz.cli.main import main
from igaviz.errors import OutputError, SelectionError, UsageError
from igaviz.survey.page import page


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return bare.write(tmp_path_factory.mktemp("a") / "x.h5", steps=(100, 200), layers=2, heads=2)


@pytest.mark.parametrize(
    "verb", ["info", "render", "diagnose", "summary_rows", "verify", "merge", "histories", "export"]
)
def test_a_path_where_a_dump_belongs_says_how_to_open_it(verb, path):
    with pytest.raises(UsageError, match=rf"dump of {verb}\(\) is a str") as caught:
        getattr(igaviz, verb)(str(path))
    assert "igaviz.open_dump(path)" in caught.value.hint


def test_every_dump_of_a_comparison_is_looked_at(path):
    dump = igaviz.open_dump(path)
    with pytest.raises(UsageError, match="b of compare"):
        igaviz.compare(dump, path)
    with pytest.raises(UsageError, match="a of compare"):
        igaviz.compare(a=[dump])
    with pytest.raises(UsageError, match="dump of page"):
        page(path, folder=".")
    assert igaviz.compare(dump, None).layers
    with pytest.raises(TypeError, match="missing"):
        igaviz.diagnose()


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ((["a", "b"],), "write open_dump(*paths)"),
        ((3,), "name a shard"),
        ((), "name a shard"),
        (("",), "write . for the current folder"),
    ],
)
def test_what_is_no_path(given, hint):
    with pytest.raises(UsageError, match="path") as caught:
        igaviz.open_dump(*given)
    assert caught.value.hint.startswith(hint)


def test_rows_of_what_there_is_not_name_those_there_are(path):
    with pytest.raises(UsageError, match="no rows by 'layers'") as caught:
        igaviz.summary_rows(igaviz.open_dump(path), by="layers")
    assert caught.value.hint == "by is one of head, layer, step, run"


def test_numbers_are_selections(path):
    of = igaviz.Choice.of
    assert of(layer=3, head=[0, 2], step=np.int64(100)) == of(layer="3", head="0,2", step="100")
    rows = list(igaviz.summary_rows(igaviz.open_dump(path), of(layer=1, step=range(100, 101))))
    assert [(row.step, row.layer) for row in rows] == [(100, 1)] * 2
    for wrong in (1.5, ["x"], -1, []):
        with pytest.raises(UsageError, match="is not a selection of layers"):
            of(layer=wrong)


def _twice(file):
    for step in file["steps"].values():
        file.copy(step["batch/0"], step["batch"], "1")


def test_what_a_choice_leaves_open_is_what_the_command_line_does(tmp_path, monkeypatch):
    """The last step, item 0, and no guess at a layer: from Python as from the command line."""
    monkeypatch.chdir(tmp_path)
    path = bare.write(tmp_path / "a.h5", steps=(100, 200), heads=2, change=_twice)
    dump = igaviz.open_dump(path)
    style = igaviz.Style(figures=("contacts",), dpi=20)
    for head in (0, "all"):
        choice = igaviz.Choice.of(layer=0, head=head)
        options = ["a.h5", "--layer", "0", "--head", f"{head}", "--force"]
        drawn = igaviz.render(dump, choice, out="python", style=style, force=True)
        assert main(["render", *options, "--figure", "contacts", "--dpi", "20", "--out", "c"]) == 0
        assert files(tmp_path / "python") == files(tmp_path / "c")
        assert {picture.shown.step for picture in drawn.pictures} == {200}
        made = igaviz.export(dump, choice, out="e", force=True)
        assert main(["export", *options, "--out", "x"]) == 0
        assert files(tmp_path / "e") == files(tmp_path / "x")
        assert {found.id.step for found in made.maps} == {200}
    everything = igaviz.Choice.of(layer=0, step="all", batch="all")
    assert len(igaviz.export(dump, everything, out="all").maps) == 2 * 2 * len(made.maps) == 8
    for verb in (igaviz.render, igaviz.export):
        with pytest.raises(SelectionError, match="which layer"):
            verb(dump, igaviz.Choice.of(head=0), out="none")
    with pytest.raises(OutputError, match="already there") as caught:
        igaviz.export(dump, choice, out="e")
    assert caught.value.hint == "overwrite with --force (from Python force=True)"


def test_paths_are_texts_too(path, tmp_path):
    dump = igaviz.open_dump(str(path))
    style = igaviz.Style(figures=("distance_statistics",), dpi=30)
    drawn = igaviz.render(
        dump, igaviz.Choice.of(layer=0, head=0, step="last"), out=str(tmp_path / "o"), style=style
    )
    assert drawn.pictures[0].path.is_file()
    merged = igaviz.merge(dump, out=str(tmp_path / "one.h5"))
    assert merged.path == tmp_path / "one.h5"
    compared = igaviz.compare(dump, choice=igaviz.Choice.of(layer=0, head=0))
    assert igaviz.draw_differences(compared, out=str(tmp_path / "d")).pictures
    (tmp_path / "checks.toml").write_text('ignore = ["D101"]')
    assert igaviz.Settings.of(file=str(tmp_path / "checks.toml")).ignore == {"D101"}
    with pytest.raises(OutputError, match=r"can't write there \(there is no folder"):
        igaviz.merge(dump, out=tmp_path / "none" / "x.h5")


def test_a_map_is_measured_without_more_ado(path):
    dump = igaviz.open_dump(path)
    found = next(igaviz.read_maps(dump.entries[0]))
    pairs = igaviz.metrics.Pairs.of(found.structure)
    assert igaviz.measure(found).values == igaviz.measure(found, pairs).values
