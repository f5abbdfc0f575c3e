"""Whether two steps are of the same items: every verb goes by the same notion of it."""

from __future__ import annotations

import json
from itertools import permutations

import bare
import pytest

import igaviz
from igaviz.cli.main import main
from igaviz.metrics.inputs import UNNAMED
from igaviz.survey.rows.trends import Trends

STEPS = (0, 300, 600)
SAME, OTHER = bare.helix(30).astype("float32"), bare.helix(30, seed=1).astype("float32")


def written(path, *, phase=None, **last):
    """A dump of one item without a name; at the last step it has what `last` says instead."""

    def change(file):
        for step in STEPS:
            item = file[f"steps/{step:09d}/batch/0"]
            del item.attrs["name"]
            if phase is not None:
                file[f"steps/{step:09d}"].attrs["phase"] = phase
            if "ca_reference" in last:
                item["ca_reference"] = SAME
            if step == STEPS[-1] and "ca" in last:
                item["ca"][...] = last["ca"]
            if step == STEPS[-1] and "ca_reference" in last:
                item["ca_reference"][...] = last["ca_reference"]
            if "names" in last:
                item.attrs["name"] = last["names"][STEPS.index(step) // 2]

    return bare.write(path, steps=STEPS, layers=1, heads=2, change=change)


@pytest.mark.parametrize(
    ("last", "differ", "why"),
    [
        ({}, False, ""),
        ({"ca": OTHER}, None, UNNAMED),
        ({"ca": OTHER, "phase": "probe"}, False, ""),
        ({"ca": OTHER, "names": ("a", "a")}, False, ""),
        ({"names": ("a", "b")}, True, "items of two names, a and b"),
        ({"ca": OTHER, "ca_reference": SAME}, False, ""),
        ({"ca_reference": OTHER, "phase": "probe"}, True, "items of two structures"),
        # turned about an axis, a structure is the same but for rounding
        ({"ca_reference": SAME[:, [1, 2, 0]] * (1 + 2**-20)}, None, UNNAMED),
    ],
)
def test_every_verb_says_the_same(tmp_path, last, differ, why):
    dump = igaviz.open_dump(written(tmp_path / "a.h5", **last))
    comparison = igaviz.compare(dump)
    (history,) = igaviz.histories(dump)
    skipped = {s.reason for s in igaviz.diagnose(dump).skipped if s.id == "D211"}
    assert (comparison.items_differ, history.items_differ) == (differ, differ)
    trends = Trends()
    assert list(igaviz.summary_rows(dump, by="layer", each_layer=trends.add))
    assert trends.items_differ(*trends.time_lines()[0]) is differ
    assert set(comparison.unlike.values()) == ({why} if why else set())
    assert skipped == ({"items differ between steps" if differ else why} if why else set())


@pytest.mark.parametrize("order", [*permutations(["", "a", "b"])], ids=",".join)
def test_a_step_without_a_name_does_not_make_two_names_one(tmp_path, order):
    """Steps are compared in the order they come, which is any."""

    def change(file):
        for step, name in zip(STEPS, order, strict=True):
            file[f"steps/{step:09d}"].attrs["phase"] = "probe"
            file[f"steps/{step:09d}/batch/0"].attrs["name"] = name

    dump = igaviz.open_dump(bare.write(tmp_path / "a.h5", steps=STEPS, layers=1, change=change))
    (history,) = igaviz.histories(dump)
    skipped = {s.reason for s in igaviz.diagnose(dump).skipped if s.id == "D211"}
    assert (history.items_differ, skipped) == (True, {"items differ between steps"})


def test_where_items_differ_the_probe_is_named(tmp_path, capsys):
    steps = tuple(range(0, 701, 100))

    def change(file):
        for k, step in enumerate(steps):
            group = file[f"steps/{step:09d}"]
            group.attrs["phase"] = "train"
            file.copy(group, f"steps/{step:09d}.probe")
            file[f"steps/{step:09d}.probe"].attrs["phase"] = "probe"
            group["batch/0"].attrs["name"] = f"of step {k}"

    path = bare.write(tmp_path / "a.h5", steps=steps, layers=1, heads=2, n=20, change=change)
    main(["info", str(path)])
    (named,) = (line for line in capsys.readouterr().out.splitlines() if "item 0" in line)
    assert "1abc_A, of step 0, of step 1, of step 2 and 5 others at different steps, of 20" in named
    main(["diagnose", str(path), "--jobs", "1"])
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "2 could not: items differ between steps" in said or "items differ between steps," in said
    )
    assert "items differ between steps: the probe has the same at each step, see --phase" in said
    for phase, warned in (("train", True), ("probe", False)):
        main(["summary", str(path), "--phase", phase, "--by", "layer", "--jobs", "1"])
        said = " ".join(capsys.readouterr().out.split())
        assert "slope per 1,000 steps" in said
        assert ("The items differ from step to step: slopes may be theirs" in said) is warned


def test_what_can_not_be_told_is_said_with_what_to_do(tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    dump = str(written(run / "a.h5", ca=OTHER))
    out = tmp_path / "out"
    assert main(["compare", dump, "--fail-on", "never", "--out", str(out)]) == 0
    assert not out.exists()
    said = " ".join(capsys.readouterr().out.split())
    assert f"The {UNNAMED}. If they differ, means may change for that alone." in said
    assert "the same in both" not in said
    assert f"0 difference maps 2 maps not drawn: {UNNAMED}" in said
    main(["compare", dump, "--json", "--fail-on", "never"])
    assert json.loads(capsys.readouterr().out)["items_differ"] is None
    main(["diagnose", dump])
    assert f"{UNNAMED} (2 of 6 maps): D210, D211" in " ".join(capsys.readouterr().out.split())


def test_numbers_without_maps_do_not_say_what_they_are_of(tmp_path):
    for phase, differ in (("train", None), ("probe", False)):
        run = tmp_path / phase
        run.mkdir()
        written(run / "a.h5", phase=phase)
        line = {"step": 100, "phase": phase, "attempt": 0, "layer": 0, "maps": 1, "heads": [0, 1]}
        text = json.dumps({**line, "saturation": [0.0, 0.0]})
        (run / "scalars.rank-00000.jsonl").write_text(f"{text}\n", encoding="utf-8")
        (history,) = igaviz.histories(igaviz.open_dump(run))
        assert (history.drawn, history.items_differ) == (4, differ)
