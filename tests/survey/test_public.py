"""The package's own names: what each verb does is one function that returns data."""

from __future__ import annotations

import json
import re
from pathlib import Path

import bare
import pytest

import igaviz
import igaviz.checks
from igaviz.cli.main import VERBS, main
from igaviz.dump import open_dump
from igaviz.errors import NothingReadableError, SelectionError

FUNCTIONS = {"summary": "summary_rows"}


@pytest.fixture
def dump(tmp_path):
    return bare.write(tmp_path / "x.h5", steps=(100, 200), layers=2, heads=4)


def test_every_name_is_there_and_documented():
    for name in set(igaviz.__all__) - {"Recorder", "tap", "__version__"}:
        assert getattr(igaviz, name).__doc__.strip(), name
    assert set(igaviz.__all__) <= set(dir(igaviz))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        igaviz.nonsense  # noqa: B018


def test_what_a_notebook_shows_of_a_result_is_a_line(dump):
    opened = open_dump(dump)
    assert repr(opened) == "<Dump: <Run x.h5: 16 maps at 2 steps>>"
    assert repr(igaviz.compare(opened)) == (
        "<Comparison: A x.h5, train, step 100; B x.h5, train, step 200; "
        "0 got sick, 0 got well, 0 as before>"
    )
    assert repr(igaviz.diagnose(opened)) == "<Diagnosis: healthy, 0 findings in 16 maps>"


def test_every_verb_has_its_function():
    for verb in VERBS:
        assert callable(getattr(igaviz, FUNCTIONS.get(verb.__name__, verb.__name__)))


def test_functions_and_verbs_say_the_same(dump, capsys):
    def said(*arguments):
        main([*arguments, str(dump), "--json"])
        return json.loads(capsys.readouterr().out)

    opened = igaviz.open_dump(dump)
    choice = igaviz.Choice.of(step="last", layer="1")
    settings = igaviz.Settings.of(select=["D104"], settings=["geometry-dominates.ratio=0.1"])
    found = igaviz.diagnose(opened, choice, settings=settings)
    printed = said(
        *("diagnose", "--step", "last", "--layer", "1"),
        *("--select", "D104", "--set", "geometry-dominates.ratio=0.1"),
    )
    assert [f["message"] for f in printed["findings"]] == [f.message for f in found.findings] != []
    assert said("info")["runs"][0]["maps"] == igaviz.info(opened).runs[0].maps == 16
    assert said("verify")["maps"] == igaviz.verify(opened).maps == 16
    shown = igaviz.page(opened, choice, folder=dump.parent, pictured=0).runs[0].course
    assert (shown.steps.tolist(), shown.layers, shown.heads) == ([200], (1,), (0, 1, 2, 3))
    rows = list(igaviz.summary_rows(opened, choice))
    assert shown.numbers["entropy"].ravel() == pytest.approx([r.values["entropy"] for r in rows])
    assert [(row.step, row.layer, row.head) for row in rows] == [(200, 1, h) for h in range(4)]
    printed = said("summary", "--step", "last", "--layer", "1")["rows"]
    assert [row["entropy"] for row in printed] == [row.values["entropy"] for row in rows]


def test_explain_gives_the_formula_with_its_thresholds():
    found = igaviz.explain("gamma-too-small")
    assert found == igaviz.explain("d101")
    assert found.formula.startswith("geometry_effect < 0.08 and geo_bias_std_near < 0.05; below")
    assert found.told_under == ("D105 geometry-inverted",)
    assert any("0.3" in reason for reason in found.silent)
    with pytest.raises(SelectionError, match="no check"):
        igaviz.explain("zzz")


def test_info_names_the_sizes_of_an_item_the_numbers_of_the_loop_and_the_gradient(tmp_path, capsys):
    bare.write(tmp_path / "a.h5", layers=1, heads=2, n=9)
    bare.write(tmp_path / "b.h5", layers=1, heads=2, n=11, steps=(200,))
    lines = [
        {"step": 10, "numbers": {"loss": 2.0}},
        {"step": 20, "numbers": {"never read": 1.0}},
        {"step": 30, "numbers": {"loss": None, "learning_rate": 1e-3}, "gamma_gradient_norm": 0.1},
    ]
    text = "".join(json.dumps({"layer": 0, "heads": [0, 1], **line}) + "\n" for line in lines)
    (tmp_path / "scalars.rank-00000.jsonl").write_text(text)
    (run,) = igaviz.info(open_dump(tmp_path)).runs
    assert run.numbers == ("loss", "learning_rate", "gamma_gradient_norm")
    assert main(["info", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"numbers +loss, learning_rate, gamma_gradient_norm\n", printed)
    assert "9, 11 residues" in printed  # 9,11 would be one number
    assert not igaviz.info(open_dump(tmp_path / "a.h5")).runs[0].numbers


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("D2", "there are D201, D202, D203, D204, D205, D206, D207, D208, D209, D210, D211;"),
        ("999", "there are D001, D002, .*, D211;"),
        ("D1000", "there are D101, D102, .*, D107;"),
        ("gamma-to-small", r"did you mean gamma-too-small \(D101\)\?"),
        ("sequence_shere", r"did you mean the metric sequence_share\?"),
    ],
)
def test_a_wrong_name_is_answered_with_those_like_it(typed, hint):
    with pytest.raises(SelectionError, match="no check and no metric") as caught:
        igaviz.explain(typed)
    assert re.match(hint, caught.value.hint)


def test_a_metric_is_explained_and_all_are_listed(capsys):
    found = igaviz.explain("Geometry-Effect")
    assert found.formula == "mean_i of ½ Σ_j |A_ij − softmax(S)_ij|"
    assert found.checks == ("D101 gamma-too-small", "D107 geometry-too-short")
    assert main(["explain"]) == 0
    listed = capsys.readouterr().out
    names = [*(name for check in igaviz.checks.CHECKS for name in (check.id, check.name))]
    names += [metric.name for metric in igaviz.metrics.METRICS]
    assert all(re.search(rf"(?m)^  (\S+  )?{re.escape(name)} ", listed) for name in names)


def test_a_recording_that_ended_early_says_so_to_readers(tmp_path):
    """Training goes on silently then: who reads the dump must hear of it."""
    (tmp_path / "run").mkdir()
    attempt = {"attempt": 0, "off": {"step": 7, "reason": "ca has shape (2,)\n", "traceback": ""}}
    (tmp_path / "run" / "run.json").write_text(json.dumps({"attempts": [attempt, 3, {}]}))
    with pytest.raises(NothingReadableError, match=r"its recording ended: ca has shape \(2,\)"):
        open_dump(tmp_path / "run")
    source = next((Path(__file__).parents[2] / "sample_data" / "healthy").glob("*.h5"))
    (tmp_path / "run" / source.name).write_bytes(source.read_bytes())
    (run,) = igaviz.info(open_dump(tmp_path / "run")).runs
    (ended,) = run.ended
    assert (ended.step, ended.attempt, ended.reason) == (7, 0, "ca has shape (2,)")
    for unreadable in ("{", "[]", '{"attempts": 1}', '{"attempts": [{"off": 1}]}'):
        (tmp_path / "run" / "run.json").write_text(unreadable)
        assert open_dump(tmp_path / "run").runs[0].ended == ()
