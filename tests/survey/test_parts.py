"""Parts measured apart and joined say what one run says, byte for byte, or say what is missing."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from functools import cache

import bare
import h5py
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import igaviz
from igaviz.cli.main import main
from igaviz.dump import open_dump
from igaviz.errors import NothingReadableError, SelectionError, UsageError
from igaviz.survey.parts.part import Part
from igaviz.survey.plan import Choice, plan_time_lines
from igaviz.survey.work.workers import Workers

NUMBERS = st.sampled_from(["all", "first", "last", "0", "1", "0-1", "7", "first,1", "0:2:2"])
STEPS = st.sampled_from(["all", "first", "last", "100", "0:900:200", "first,300", "5"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two runs with scalars files, shards of which one has a damaged head and one is no shard."""
    folder = tmp_path_factory.mktemp("dumps")
    for run in ("one", "two"):
        (folder / run).mkdir()
        for step in range(100, 400, 100):
            bare.write(folder / run / f"{step}.h5", steps=(step,), layers=2, heads=3, n=12)
        lines = (
            {"step": step, "layer": layer, "heads": [0, 1, 2], "gamma": [0.1, 1.0, 2.0]}
            for step in range(50, 500, 50)
            for layer in range(3)
        )
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / run / "scalars.rank-00000.jsonl").write_text(text + "{torn\n")
    bare.write_with_broken_head(folder / "two" / "100.h5")
    (folder / "one" / "900.h5").write_text("no shard")
    bare.write(folder / "two" / "probe.h5", steps=(100, 700), layers=1, change=as_probe)
    return folder


def as_probe(file: h5py.File) -> None:
    for step in file["steps"].values():
        step.attrs["phase"] = "probe"


@pytest.fixture
def there(folder, monkeypatch):
    monkeypatch.chdir(folder)


def said(capsys, *words: str):
    code = main([*words])
    return code, *capsys.readouterr()


def measured(capsys, folder, count, *options, runs=("one", "two"), verb="summary"):
    """The files of all parts."""
    files = []
    for number in range(1, count + 1):
        code, out, _ = said(
            capsys,
            verb,
            *runs,
            "--no-cache",
            "--jobs",
            "1",
            "--part",
            f"{number}/{count}",
            *options,
        )
        assert code in (0, 1)
        files.append(folder / f"{number}.jsonl")
        files[-1].write_text(out)
    return [str(file) for file in files]


@pytest.mark.parametrize(
    ("count", "options"),
    [
        (1, ()),
        (3, ("--step", "last")),
        (12, ("--head", "0,last", "--phase", "all", "--step", "first,300")),
    ],
)
def test_joined_parts_say_what_one_run_says(there, tmp_path, capsys, count, options):
    files = measured(capsys, tmp_path, count, *options)
    for verb in (
        ("summary", "--format", "json"),
        ("summary", "--by", "run", "--sort", "worst"),
        ("diagnose", "--json", "--select", "D101,D202", "--fail-on", "note"),
        ("diagnose",),
    ):
        alone = said(capsys, *verb, "one", "two", "--no-cache", "--jobs", "1", *options)
        assert said(capsys, *verb, "--from", *files) == alone
        # a piece is damaged; where the last steps are too early for what is selected, that is more
        assert alone[0] == (2 if "--select" in verb and count < 12 else 1)


def test_no_shard_is_read_when_parts_are_joined(folder, tmp_path, monkeypatch, capsys):
    shutil.copytree(folder, tmp_path / "dumps")
    monkeypatch.chdir(tmp_path / "dumps")
    files = measured(capsys, tmp_path, 2)
    alone = said(capsys, "diagnose", "one", "two", "--json", "--jobs", "1")
    for shard in (tmp_path / "dumps").glob("*/*.h5"):
        shard.unlink()
    assert said(capsys, "diagnose", "--from", *files, "--json") == alone
    monkeypatch.chdir(tmp_path)
    code, out, _ = said(capsys, "summary", "--from", *files, "--json")
    assert code == 1
    steps = {row["step"] for row in json.loads(out)["rows"]}
    assert steps == set(range(50, 500, 50)), "the scalars are found from another folder"


@cache
def _dump_at(folder):
    return open_dump(folder / "one", folder / "two")


@given(
    step=STEPS,
    batch=NUMBERS,
    layer=NUMBERS,
    head=NUMBERS,
    phase=st.sampled_from([None, "all", "train", "probe"]),
)
@settings(max_examples=60, deadline=None)
def test_a_part_measures_all_that_may_be_chosen(folder, step, batch, layer, head, phase):
    choice = Choice.of(step=step, batch=batch, layer=layer, head=head, phase=phase)
    try:
        lines = plan_time_lines(_dump_at(folder), choice)
    except SelectionError:
        return
    for task in (task for line in lines for task in line.tasks):
        assert set(task.heads) <= set(choice.possible(task.entry))


@given(of=st.integers(1, 40), pieces=st.integers(0, 100))
def test_parts_are_a_partition_of_equal_shares(of, pieces):
    shares = [
        [piece for piece in range(pieces) if Part(number, of).has(piece)]
        for number in range(1, of + 1)
    ]
    assert sorted(piece for share in shares for piece in share) == list(range(pieces))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "1/0", "-1/3", "1/3/3", ""])
def test_what_is_no_part(text):
    with pytest.raises(UsageError, match="is not a part"):
        Part.parse(text)


def number_lost(lines):
    """Whether a spoiled part no longer says which one it is."""
    return not lines or not lines[0].startswith('{"schema"')


def test_parts_that_lack_something_say_so(there, tmp_path, capsys):
    files = measured(capsys, tmp_path, 4, runs=("one",))
    whole = said(capsys, "summary", "--from", *files, "--format", "csv")
    lines = (tmp_path / "2.jsonl").read_text().splitlines(keepends=True)
    for spoiled in (
        lines[:-1],
        lines[:2],
        [*lines[:-2], lines[-1]],
        ["{}\n"],
        [],
        ["no part\n"] * 3,
    ):
        (tmp_path / "2.jsonl").write_text("".join(spoiled))
        code, out, errors = said(capsys, "summary", "--from", *files, "--format", "csv")
        assert code == 1
        assert out.splitlines()[0] == whole[1].splitlines()[0]
        assert out != whole[1]
        assert "2.jsonl" in errors
        told = "part 2 of 4: not given, or not whole", "measure part 2/4 once more"
        assert [said in errors for said in told] == [number_lost(spoiled), not number_lost(spoiled)]
        assert "Traceback" not in errors
    code, _, errors = said(capsys, "summary", "--from", files[0], files[2])
    assert code == 1
    assert "part 2,4 of 4" in errors
    with pytest.raises(NothingReadableError):
        igaviz.join_parts(files[1])
    assert said(capsys, "diagnose", "--from", str(tmp_path / "none.jsonl"))[0] == 2


def test_parts_that_do_not_belong_together(there, tmp_path, capsys):
    files = measured(capsys, tmp_path, 2)
    (tmp_path / "other").mkdir()
    others = {
        "different selections": ("--layer", "0"),
        "different radii": ("--radius", "6"),
    }
    for what, options in others.items():
        other = measured(capsys, tmp_path / "other", 2, *options)
        code, _, errors = said(capsys, "summary", "--from", files[0], other[1])
        assert (code, what in errors) == (2, True)
    for runs, count, what in (
        (("one",), 2, "different dumps"),
        (("one", "two"), 3, "numbers of parts"),
    ):
        other = measured(capsys, tmp_path / "other", count, runs=runs)
        code, _, errors = said(capsys, "summary", "--from", files[0], other[1])
        assert (code, what in errors) == (2, True)
    code, _, errors = said(capsys, "summary", "--from", files[0], files[0])
    assert (code, "both part 1/2" in errors) == (2, True)
    text = (tmp_path / "1.jsonl").read_text()
    old = json.loads(text.splitlines()[0]) | {"igaviz": "0.0.1"}
    from igaviz.survey.parts.file import sealed

    (tmp_path / "old.jsonl").write_text("".join(f"{line}\n" for line in sealed([json.dumps(old)])))
    with pytest.raises(UsageError, match=r"measured by igaviz 0\.0\.1"):
        igaviz.join_parts(tmp_path / "old.jsonl")


def test_options_that_belong_to_joining_or_to_measuring(there, tmp_path, capsys):
    measured(capsys, tmp_path, 1)
    for words in (
        ("summary", "one", "--part", "1/2", "--by", "run"),
        ("summary", "one", "--part", "1/2", "--html", "x.html"),
        ("diagnose", "one", "--part", "1/2", "--select", "D101"),
        ("diagnose", "one", "--part", "1/2", "--json"),
        ("summary", "one", "--part", "3/2"),
        ("summary", "--from", "x.jsonl", "--step", "last"),
        ("summary", str(tmp_path / "1.jsonl")),
    ):
        code, out, errors = said(capsys, *words)
        assert (code, out) == (2, "")
        assert "hint:" in errors
    assert "1.jsonl: a part that --part printed, no dump\nhint: join parts with --from" in errors


def test_shards_that_come_while_parts_are_measured(folder, tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    for step in (100, 200, 300):
        bare.write(run / f"{step}.h5", steps=(step,))
    first = said(capsys, "summary", str(run), "--part", "1/2")[1]
    bare.write(run / "400.h5", steps=(400,))
    second = said(capsys, "summary", str(run), "--part", "2/2")[1]
    bare.write(run / "500.h5", steps=(500,))
    again = said(capsys, "summary", str(run), "--part", "1/2")[1]
    for texts, steps, missing in (
        ((first, second), {100, 200, 300, 400}, False),
        ((again, second), {100, 200, 300, 400, 500}, False),
    ):
        files = [tmp_path / f"{number}.jsonl" for number in range(2)]
        for file, text in zip(files, texts, strict=True):
            file.write_text(text)
        joined = igaviz.join_parts(*files)
        assert set(joined.dump.steps) == steps
        assert bool(joined.dump.damaged) == missing
    for step in (600, 700):
        bare.write(run / f"{step}.h5", steps=(step,))
    files[0].write_text(said(capsys, "summary", str(run), "--part", "1/2")[1])
    (piece,) = igaviz.join_parts(*files).dump.damaged
    assert piece.reason == "1 of its 7 shards are in no part: they came later"


def test_a_killed_part_is_measured_anew(folder, tmp_path):
    """A real process, killed in the middle of its lines."""
    words = [sys.executable, "-m", "igaviz", "summary", "one", "two", "--no-cache", "--jobs", "1"]
    victim = subprocess.Popen([*words, "--part", "1/1"], cwd=folder, stdout=subprocess.PIPE)
    first = victim.stdout.read(2000)
    victim.send_signal(signal.SIGKILL)
    (tmp_path / "1.jsonl").write_bytes(first + victim.stdout.read())
    assert victim.wait() == -signal.SIGKILL
    with pytest.raises(NothingReadableError, match="not whole"):
        igaviz.join_parts(tmp_path / "1.jsonl")


def test_parts_from_python(folder, tmp_path):
    paths = (folder / "one", folder / "two")
    files = []
    heard = []
    for number in (1, 2):
        lines = igaviz.part_lines(
            *paths, part=Part(number, 2), radius=6.0, report=heard.append, progress=lambda *_: None
        )
        files.append(tmp_path / f"{number}.jsonl")
        files[-1].write_text("".join(f"{line}\n" for line in lines))
    joined = igaviz.join_parts(*files, jobs=Workers(2))
    assert len(heard) == 2, "a head, and a shard that is none"
    rows = igaviz.summary_rows(joined.dump, joined.choice, radius=joined.radius, jobs=joined.jobs)
    assert list(rows) == list(igaviz.summary_rows(open_dump(*paths), radius=6.0))
    with pytest.raises(NothingReadableError):
        igaviz.part_lines(tmp_path, part=Part(1, 2))


def test_the_page_of_parts_draws_from_the_shards(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    files = measured(capsys, tmp_path, 2, runs=("two",))
    page = tmp_path / "page.html"
    code, _, errors = said(
        capsys, "summary", "--from", *files, "--html", str(page), "--figures", "1"
    )
    assert code == 1, "the damaged head"
    assert len(errors.splitlines()) == 2, "the head and the torn line, and nothing of pictures"
    assert page.read_text().count("data:image/png") >= 3
