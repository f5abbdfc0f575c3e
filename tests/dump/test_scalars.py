"""Scalars files: one time line out of ranks, phases and attempts, read where it is due."""

from __future__ import annotations

import json
import tracemalloc

import bare
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from igaviz.dump import open_dump
from igaviz.errors import DumpError, NothingReadableError


def line(step, layer=0, *, phase="train", attempt=0, heads=(0, 1), compact=True, **values):
    """One line as the recorder writes it, or with its keys in another order and spaces."""
    fields = {"step": step, "phase": phase, "attempt": attempt, "layer": layer, "maps": 1}
    fields |= {"heads": list(heads), "gamma": [float(step)] * len(heads), **values}
    if compact:
        return json.dumps(fields, separators=(",", ":")) + "\n"
    return json.dumps(dict(reversed(fields.items()))) + "\n"


def write(folder, *lines, rank=0):
    folder.mkdir(exist_ok=True)
    (folder / f"scalars.rank-{rank:05d}.jsonl").write_text("".join(lines))
    return folder


def only_run(folder):
    (run,) = open_dump(folder).runs
    return run


def keys(lines):
    return [(x.step, x.layer, x.rank) for x in lines]


def test_lines_of_all_ranks_come_in_the_order_of_steps_and_layers(tmp_path):
    write(tmp_path / "run", line(10, 1), line(10, 0), line(20, 0))
    write(tmp_path / "run", line(5, 0), line(10, 0), line(30, 0), rank=1)
    run = only_run(tmp_path / "run")
    assert keys(run.scalar_lines("train")) == [
        *((5, 0, 1), (10, 0, 0), (10, 0, 1), (10, 1, 0), (20, 0, 0), (30, 0, 1)),
    ]
    assert keys(run.scalar_lines("train", {10, 30})) == [
        *((10, 0, 0), (10, 0, 1), (10, 1, 0), (30, 0, 1)),
    ]


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_any_order_of_lines_gives_the_time_line_that_all_of_them_give(tmp_path_factory, data):
    one = st.tuples(
        st.integers(0, 12), st.integers(0, 2), st.sampled_from(["train", "val"]), st.integers(0, 2)
    )
    found = data.draw(st.lists(one, max_size=30))
    compact = data.draw(st.lists(st.booleans(), min_size=len(found), max_size=len(found)))
    lines = [
        line(step, layer, phase=phase, attempt=attempt, compact=how)
        for (step, layer, phase, attempt), how in zip(found, compact, strict=True)
    ]
    run = only_run(write(tmp_path_factory.mktemp("x") / "run", *lines))
    for phase in ("train", "val"):
        own = [(step, k, a) for step, k, p, a in found if p == phase]
        first = {a: min(s for s, _, b in own if b == a) for _, _, a in own}
        kept = {
            (s, k) for s, k, a in own if not any(b > a and start <= s for b, start in first.items())
        }
        assert [(x.step, x.layer) for x in run.scalar_lines(phase)] == sorted(kept)


def test_what_is_damaged_is_said_once_and_costs_its_line_only(tmp_path):
    torn = line(20)[:40] + "\n"
    twice = '{"step":30,"phase":"train","attempt":0,"layer":0,"maps":1,"heads":[0],"step":31}\n'
    broken = line(40).replace("40.0", "forty")
    write(tmp_path / "run", line(10), torn, twice, broken, line(50), line(50), line(60)[:30])
    run = only_run(tmp_path / "run")
    later = []
    assert [x.step for x in run.scalar_lines("train", report=later.append)] == [10, 50]
    (piece,) = run.scalar_damage
    assert (piece.where, piece.reason) == ("line 2", "torn: its writer was stopped within it")
    assert [(piece.where, piece.reason) for piece in later] == [
        ("line 3", "says twice what it is about"),
        ("line 4", "not a line of JSON"),
        ("line 6", "the same step and layer as a line before it"),
    ]


def test_what_of_a_line_does_not_fit_is_left_out_and_said(tmp_path):
    lines = [
        line(1, gamma=[None, float("nan")], sink=[True, 0.5]),
        line(2, gamma=[1.0, 2.0, 3.0], sink=["x", 1.0], maps="three"),
        line(3, attempt=-1, numbers={"loss": "low", "rate": 0.5}, gamma_gradient_norm=[1.0]),
        line(4, numbers={"loss": None}, gamma_gradient_norm=None, note="ours", of={"a": 1}),
        line(5, gamma="0.5", sink=0.25, entropy=None, saturation={"0": 1.0}),
    ]
    pieces: list = []
    run = only_run(write(tmp_path / "run", *lines))
    first, second, third, fourth, fifth = run.scalar_lines("train", report=pieces.append)
    assert first.values == {"gamma": (None, None)}
    assert (second.values, second.maps) == ({}, 1)
    assert (third.attempt, third.numbers, third.gamma_gradient_norm) == (0, {"rate": 0.5}, None)
    assert fourth.unread == ""
    assert fifth.values == {}
    rest = "; the rest of the line is read"
    assert [(piece.where, piece.reason) for piece in pieces] == [
        ("line 1", f"`sink` holds what is no number{rest}"),
        (
            "line 2",
            "`gamma` has 3 values for 2 heads; `sink` holds what is no number; "
            f"`maps` is no whole number{rest}",
        ),
        (
            "line 3",
            "`attempt` is no whole number; `gamma_gradient_norm` is no number; "
            f"`numbers` is no object of names and numbers{rest}",
        ),
        (
            "line 5",
            "`gamma` is no list of numbers; `sink` is no list of numbers; "
            f"`saturation` is no list of numbers{rest}",
        ),
    ]


def test_many_damaged_lines_are_counted(tmp_path):
    write(tmp_path / "run", *["nonsense\n"] * 500, line(1))
    damage = only_run(tmp_path / "run").scalar_damage
    assert len(damage) == 11
    assert "490 more" in damage[-1].reason
    repeated: list = []
    run = only_run(write(tmp_path / "again", *[line(1)] * 500))
    assert len(list(run.scalar_lines("train", report=repeated.append))) == 1
    assert len(repeated) == 11
    assert "489 more" in repeated[-1].reason


def test_a_file_that_changes_under_the_reader_is_said(tmp_path):
    path = write(tmp_path / "run", line(10), line(20)) / "scalars.rank-00000.jsonl"
    run = only_run(tmp_path / "run")
    path.write_text(line(10, phase="val") + line(20))
    pieces = []
    assert [x.step for x in run.scalar_lines("train", report=pieces.append)] == []
    assert "changed since" in pieces[0].reason
    path.unlink()
    with pytest.raises(DumpError, match="any more"):
        list(run.scalar_lines("train"))


def test_memory_does_not_grow_with_the_lines(tmp_path):
    """Opening holds a few numbers per step; reading holds some steps' lines."""
    filler = {"note": "x" * 2000}

    def peaks(name, steps):
        lines = (line(step, layer, **filler) for step in range(steps) for layer in range(4))
        folder = write(tmp_path / name, *lines)
        tracemalloc.start()
        run = only_run(folder)
        opened = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        assert sum(1 for _ in run.scalar_lines("train")) == 4 * steps
        read = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return opened, read

    few, many = peaks("few", 500), peaks("many", 4000)
    assert many[0] - few[0] < 3500 * 200
    assert many[1] - few[1] < 3500 * 200


def test_a_folder_of_bad_lines_alone_has_nothing_to_read(tmp_path):
    with pytest.raises(NothingReadableError, match="line 1"):
        open_dump(write(tmp_path / "run", "nonsense\n"))


def test_shards_and_scalars_supersede_each_other(tmp_path):
    folder = write(tmp_path / "run", *(line(step) for step in (100, 200, 300)))
    bare.write(
        folder / "step-000000250.rank-00000.a01.h5",
        steps=(250,),
        change=lambda file: file.attrs.__setitem__("attempt", 1),
    )
    run = only_run(folder)
    assert [x.step for x in run.scalar_lines("train")] == [100, 200]
    (left,) = run.superseded
    assert (left.from_step, left.maps, left.scalar_lines) == (250, 0, 1)


def test_the_steps_own_numbers_and_the_gradient_are_kept_and_nothing_else(tmp_path):
    own = {"loss": 1.5, "learning rate": 1, "lost": None, "text": "1", "on": True, "x\x1b[2J": 2.0}
    hostile = "[1, 2]", '{"a": {"b": 1}}', '"loss"', "null", "1e999"
    lines = [line(0, numbers=own, gamma_gradient_norm=0.25), line(1), line(2, numbers={"a": 1e300})]
    for step, text in enumerate(hostile, start=3):
        torn = line(step, numbers=0, gamma_gradient_norm=0)
        torn = torn.replace('"numbers":0', f'"numbers":{text}')
        lines.append(torn.replace('_norm":0', f'_norm":{text}'))
    found = list(only_run(write(tmp_path / "run", *lines)).scalar_lines("train"))
    assert len(found) == len(lines)
    assert found[0].numbers == {"loss": 1.5, "learning rate": 1.0, "lost": None}
    assert found[0].gamma_gradient_norm == 0.25
    assert found[0].values == {"gamma": (0.0, 0.0)}
    assert (found[1].numbers, found[1].gamma_gradient_norm) == ({}, None)
    assert found[2].numbers == {"a": 1e300}
    assert {(len(one.numbers), one.gamma_gradient_norm) for one in found[3:]} == {(0, None)}
