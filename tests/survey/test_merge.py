"""One file out of many shards: the same maps, the same numbers, and what is damaged left out."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace

import bare
import h5py
import numpy as np
import pytest
import xarray

from igaviz.cli.main import main
from igaviz.dump import open_dump
from igaviz.dump.write import ItemRecord, LayerRecord, StepRecord, publish, shard_image
from igaviz.errors import NothingReadableError, OutputError, SelectionError
from igaviz.format import MAP_TERMS, ShardName
from igaviz.survey.diagnose import diagnose
from igaviz.survey.info import info
from igaviz.survey.merge import merge
from igaviz.survey.plan import Choice
from igaviz.survey.summary import summary_rows

RNG = np.random.default_rng(3)


def layer(number, n, heads):
    terms = bare.terms(bare.helix(n), len(heads), seed=number)
    return LayerRecord(
        number,
        heads=np.array(heads),
        gamma=RNG.random(len(heads)).astype(np.float32),
        log_det_min=np.full(len(heads), -9.0, np.float32),
        logits_before=terms["logits_before"],
        geo_bias=terms["geo_bias"],
        attention=terms["attention"].astype(np.float16),
        ca=bare.helix(n, seed=number) if number else None,
        sigma=RNG.random((n, 3)),
        module=f"net.{number}",
        training=True,
        gamma_gradient_norm=0.5,
    )


def shard(folder, step, *, rank=0, phase="train", attempt=0, **numbers):
    """A shard with two items of unlike sizes, as the recorder writes them."""
    items = [
        ItemRecord(
            batch,
            bare.helix(n),
            [layer(0, n, (0, 3)), layer(4, n, (1, 2, 5))],
            name=f"item{batch}",
            flow_time=0.5,
            residue_index=np.arange(n) + 10,
            sequence="A" * n,
        )
        for batch, n in ((0, 24), (2, 30))
    ]
    record = StepRecord(step, items, phase, epoch=1, wall_time=float(step + rank), numbers=numbers)
    image = shard_image(
        [record], length_unit="angstrom", run_id="x", rank=rank, world_size=2, attempt=attempt
    )
    return publish(folder, str(ShardName(step, rank, phase, attempt)), image)


@pytest.fixture
def run(tmp_path):
    """Two ranks, two phases at the same steps, and a restart."""
    folder = tmp_path / "source" / "run"
    folder.mkdir(parents=True)
    for rank in (0, 1):
        shard(folder, 300, rank=rank, loss=1.0 + rank, rate=0.1)
        shard(folder, 500, rank=rank, attempt=1, loss=float("nan"))
    shard(folder, 300, phase="probe", loss=9.0)
    return folder


def merged_run(tmp_path, run, *arguments):
    """A folder of the run's name that holds nothing but the merged file."""
    (tmp_path / "out" / run.name).mkdir(parents=True)
    out = tmp_path / "out" / run.name / "m.h5"
    code = main(["merge", str(run), "-o", str(out), *arguments])
    return out, code


def known(folder):
    """What a dump holds, without the places where it is held; NaN is alike as text."""
    bare_of = [replace(entry, path="", group="") for entry in open_dump(folder).entries]
    return [repr(replace(e, id=e.id._replace(run=""), terms=sorted(e.terms))) for e in bare_of]


def arrays(entry):
    """Each data set of a layer and of its item: values to the bit, type, chunks, filters."""
    found = {}
    with h5py.File(entry.path) as file:
        group = file[entry.group]
        for owner in (group, group.parent.parent):
            for name, data in owner.items():
                if isinstance(data, h5py.Dataset):
                    form = data.dtype, data.chunks, data.compression, data.shuffle, data.fletcher32
                    found[owner is group, name] = np.asarray(data[()]).tobytes(), form
        found["attributes"] = sorted((k, str(v)) for k, v in group.attrs.items())
    return found


def test_nothing_is_lost(run, tmp_path, capsys):
    """Identities, attributes, bits and forms of ranks, phases, steps and attempts."""
    out, code = merged_run(tmp_path, run)
    said = capsys.readouterr()
    assert (code, said.err) == (0, "")
    assert "50 maps, 2 steps (300,500), phases probe, train, 2 layers, 2 ranks" in said.out
    assert known(run) == known(out.parent)
    for before, after in zip(open_dump(run).entries, open_dump(out).entries, strict=True):
        assert arrays(before) == arrays(after)
    with h5py.File(out) as file:
        assert sorted(file["steps"]) == ["000000300", "000000300.probe", "000000500"]
        assert dict(file["steps/000000300"].attrs)["rate"] == 0.1
        items = [dict(item.attrs) for item in file["steps/000000300/batch"].values()]
        assert [(i["rank"], i["source_item"], i["step.loss"]) for i in items] == [
            *((0, 0, 1.0), (0, 2, 1.0), (1, 0, 2.0), (1, 2, 2.0))
        ]
        assert file.attrs["world_size"] == 2
    with xarray.open_datatree(out, engine="h5netcdf", phony_dims="access") as tree:
        data = tree["steps/000000300/batch/3/layers/4/attention"]
        assert data.dims == ("head", "query", "key")
        assert data["head"].values.tolist() == [1, 2, 5]
    # merged once more, it is the same again
    again = tmp_path / "again.h5"
    merge(open_dump(out), out=again)
    assert known(again) == known(run)


def test_every_verb_says_the_same_of_it(run, tmp_path, capsys):
    out, _ = merged_run(tmp_path, run)
    assert main(["verify", "--jobs", "1", str(out)]) == 0
    capsys.readouterr()
    for command in (
        ["summary", "--phase", "all", "--format", "csv"],
        ["diagnose", "--phase", "all", "--json", "--fail-on", "never"],
    ):
        said = []
        for dump in (run, out.parent):
            assert main([*command, "--jobs", "1", str(dump)]) == 0
            said.append(capsys.readouterr().out)
        assert said[0] == said[1]
        assert len(said[0]) > 3000
    pictures = []
    for number, dump in enumerate((run, out.parent)):
        folder = tmp_path / f"pictures{number}"
        arguments = ["--layer", "4", "--head", "2", "--batch", "2", "--step", "300", "--phase"]
        arguments += ["all", "--figure", "statistics", "--dpi", "40", "--out", str(folder)]
        assert main(["render", str(dump), *arguments]) == 0
        pictures.append({p.name: p.read_bytes() for p in folder.rglob("*.png")})
    assert len(pictures[0]) == 3
    assert pictures[0] == pictures[1]


def test_a_selection_is_what_the_other_verbs_select(run, tmp_path, capsys):
    chosen = ["--layer", "4", "--head", "2,5", "--batch", "2", "--rank", "1", "--phase", "train"]
    out, code = merged_run(tmp_path, run, *chosen)
    assert code == 0
    capsys.readouterr()
    main(["summary", str(run), *chosen, "--format", "csv", "--jobs", "1"])
    rows = capsys.readouterr().out
    main(["summary", str(out.parent), "--format", "csv", "--jobs", "1"])
    assert capsys.readouterr().out == rows
    assert rows.count("\n") == 5
    with h5py.File(out) as file:
        assert file["steps/000000300/batch/0/layers/4/head"][()].tolist() == [2, 5]
        assert file["steps/000000300/batch/0/layers/4/attention"].chunks == (1, 30, 30)
    assert main(["merge", str(run), "--layer", "9", "-o", str(tmp_path / "x.h5")]) == 2
    assert "no layer 9: there are layers 0,4" in capsys.readouterr().err
    assert not (tmp_path / "x.h5").exists()


def test_what_is_damaged_is_named_and_left_out(run, tmp_path, capsys):
    """A map, an item, a shard: each costs itself, and what is made is whole."""
    first = run / "step-000000300.rank-00000.h5"
    second = run / "step-000000300.rank-00001.h5"
    third = run / "step-000000500.rank-00000.a01.h5"
    _spoil(first, "steps/000000300/batch/0/layers/4/geo_bias", chunk=1)
    _spoil(second, "steps/000000300/batch/2/ca", chunk=0)
    third.write_bytes(third.read_bytes()[:9000])
    out, code = merged_run(tmp_path, run, "--json")
    said = capsys.readouterr()
    assert code == 1
    assert len(said.err.splitlines()) == 3
    assert all(said.err.count(path.name) == 1 for path in (first, second, third))
    assert f"{first.name}:steps/000000300/batch/0/layers/4/geo_bias (head 2)" in said.err
    lost = 1 + 5
    assert f'"maps": {40 - lost}' in said.out
    assert f'"maps_left_out": {lost}' in said.out
    (cut,) = [e for e in open_dump(out).entries if e.heads == (1, 5)]
    assert (cut.id.step, cut.id.rank, cut.id.batch, cut.id.layer) == (300, 0, 0, 4)
    with h5py.File(out) as file:
        assert len(file["steps/000000300/batch"]) == 3
    assert main(["verify", "--jobs", "1", str(out)]) == 0


def _spoil(path, name, chunk):
    """Flip a byte of a stored chunk: its checksum tells."""
    with h5py.File(path) as file:
        place = file[name].id.get_chunk_info(chunk).byte_offset
    content = bytearray(path.read_bytes())
    content[place + 8] ^= 0xFF
    path.write_bytes(content)


def test_other_writers_forms_are_kept(tmp_path):
    """Contiguous, chunks over several heads, another order of filters, big-endian numbers."""

    def change(file):
        group = file["steps/000000100/batch/0/layers/0"]
        forms = {
            "attention": {"chunks": (3, 30, 7), "compression": "lzf"},
            "logits_before": {"chunks": (1, 10, 30), "fletcher32": True, "dtype": ">f4"},
        }
        for name, form in forms.items():
            stored = group[name][()]
            del group[name]
            group.create_dataset(name, data=stored, **form)

    source = open_dump(bare.write(tmp_path / "a.h5", layers=1, change=change))
    for chosen, heads in ((Choice.of(), [0, 1, 2, 3]), (Choice.of(head="0,3"), [0, 3])):
        made = merge(source, chosen, out=tmp_path / "b.h5", force=True)
        (before,), (after,) = source.entries, open_dump(made.path).entries
        with h5py.File(before.path) as one, h5py.File(after.path) as other:
            old, new = one[before.group], other[after.group]
            for name in set(MAP_TERMS) & set(old):
                assert new[name].dtype == old[name].dtype
                assert new[name].compression == old[name].compression
                assert new[name][()].tobytes() == old[name][heads].tobytes()


def test_what_one_file_can_not_hold(tmp_path, capsys):
    one, two = (bare.write(tmp_path / f"{name}.h5", layers=1) for name in ("one", "two"))
    with pytest.raises(SelectionError, match=r"one file holds one run, and there are 2: one\.h5"):
        merge(open_dump(one, two), out=tmp_path / "x.h5")
    (tmp_path / "run").mkdir()
    one.rename(tmp_path / "run" / "one.h5")
    two = bare.write(tmp_path / "run" / "two.h5", steps=(200,), layers=1)
    merge(open_dump(tmp_path / "run"), out=tmp_path / "both.h5")  # one folder is one run
    with h5py.File(two, "r+") as file:
        file.attrs["length_unit"] = "nanometer"
    with pytest.raises(SelectionError, match="one length unit, and there are 2"):
        merge(open_dump(tmp_path / "run"), out=tmp_path / "x.h5")


def test_a_run_of_two_length_units_says_what_one_unit_says(tmp_path):
    """Lengths are read as Å, shard by shard; one file has one unit and keeps numbers as stored."""
    for name in ("mixed", "plain"):
        (tmp_path / name).mkdir()
        for step in (100, 400):
            bare.write(tmp_path / name / f"{step}.h5", steps=(step,), n=24, change=_with_lengths)
    with h5py.File(tmp_path / "mixed" / "400.h5", "r+") as file:
        file.attrs["length_unit"] = "nanometer"
        item = file["steps/000000400/batch/0"]
        item["ca"][...] /= 10
        for layer in item["layers"].values():
            layer["sigma"][...] /= 10
            layer["log_det_min"][...] -= 6 * np.log(10)
    mixed, plain = (open_dump(tmp_path / name) for name in ("mixed", "plain"))
    assert info(mixed).runs[0].length_units == ("angstrom", "nanometer")
    for one, other in zip(_rows(mixed), _rows(plain), strict=True):
        assert one == pytest.approx(other, rel=1e-5, nan_ok=True)
    found, expected = diagnose(mixed), diagnose(plain)
    assert [(f.id, f.layer, f.heads) for f in found.findings] == [
        (f.id, f.layer, f.heads) for f in expected.findings
    ]
    assert "D205" in {finding.id for finding in found.findings}
    for step in ("100", "400"):
        merge(mixed, Choice.of(step=step), out=tmp_path / f"{step}.h5")
    with pytest.raises(SelectionError, match="one length unit, and there are 2") as refused:
        merge(mixed, out=tmp_path / "x.h5")
    assert "merge the shards of each unit into a file of its own" in refused.value.hint


def _with_lengths(file):
    for step in file["steps"].values():
        for layer in step["batch/0/layers"].values():
            layer["sigma"] = np.full((24, 3), 2.0, np.float32)
            layer["log_det_min"] = np.full(4, -4.0, np.float32)


def _rows(dump):
    """The numbers of each map, by step, layer, head."""
    return [
        {name: value for name, value in row.values.items() if not isinstance(value, str | None)}
        for row in summary_rows(dump)
    ]


def test_nothing_is_overwritten(tmp_path, capsys):
    source = bare.write(tmp_path / "a.h5", layers=1)
    (tmp_path / "old.h5").write_text("old")
    (tmp_path / "folder.h5").mkdir()
    for out, words in {
        "old.h5": "already there",
        "folder.h5": "already there",
        "none/x.h5": "there is no folder",
        "a.h5": "one of the shards",
        "x.hdf": "would not take it for a shard",
    }.items():
        assert main(["merge", str(source), "-o", str(tmp_path / out)]) == 2
        assert words in capsys.readouterr().err
    assert main(["merge", str(source), "-o", "-"]) == 2
    assert "must be a file, not -" in capsys.readouterr().err
    assert main(["merge", str(source), "-o", str(tmp_path / "a.h5"), "--force"]) == 2
    assert main(["merge", str(tmp_path), "-o", str(tmp_path / "new.h5")]) == 2
    assert "hold every map twice" in capsys.readouterr().err
    assert main(["merge", str(source), "-o", str(tmp_path / "old.h5"), "--force"]) == 0
    assert open_dump(tmp_path / "old.h5").entries
    assert not list(tmp_path.glob(".*.tmp"))


def test_no_whole_map_makes_no_file(tmp_path):
    source = shard(tmp_path, 100)
    for name in ("batch/0/ca", "batch/2/ca"):
        _spoil(source, f"steps/000000100/{name}", chunk=0)
    with pytest.raises(NothingReadableError) as caught:
        merge(open_dump(source), Choice.of(layer="0"), out=tmp_path / "x.h5")
    assert len(caught.value.lines) == 2
    assert [path.name for path in tmp_path.iterdir()] == [source.name]


MERGE = """
import os, resource, signal, sys
from pathlib import Path
from igaviz.dump import open_dump
from igaviz.errors import OutputError
from igaviz.survey.diagnose import diagnose
from igaviz.survey.info import info
from igaviz.survey.merge import merge

def killed(done, total):
    if done > total // 2:
        os.kill(os.getpid(), signal.SIGKILL)

source, out, how = sys.argv[1:]
if how == "full":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
try:
    merge(open_dump(source), out=Path(out), progress=killed if how == "killed" else None)
except OutputError as error:
    print(error.message)
"""


def test_a_killed_merge_leaves_no_half_file(run, tmp_path):
    out = tmp_path / "x.h5"
    command = [sys.executable, "-c", MERGE, str(run), str(out), "killed"]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not out.exists()
    assert (tmp_path / ".x.h5.tmp").stat().st_size > 10_000
    with pytest.raises(OutputError, match="or one was killed there"):
        merge(open_dump(run), out=out)
    assert merge(open_dump(run), out=out, force=True).maps == 50
    assert not (tmp_path / ".x.h5.tmp").exists()


def test_a_full_disk_is_a_plain_error_and_leaves_nothing(run, tmp_path):
    command = [sys.executable, "-c", MERGE, str(run), str(tmp_path / "x.h5"), "full"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "x.h5: can't write there" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["source"]
