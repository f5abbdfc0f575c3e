"""The reader holds to the published page: files that igaviz didn't write must work."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import bare
import h5py
import numpy as np
import pytest
from refused import REFUSED, N, instead_of_attention

from igaviz.dump import named_apart, open_dump, read_maps
from igaviz.dump.stored import Stored
from igaviz.errors import NothingReadableError, SelectionError


def only_map(path):
    (entry,) = open_dump(path).entries
    return list(read_maps(entry))


def test_everything_optional_left_out(tmp_path):
    ca = bare.helix(12)
    data = bare.terms(ca, 3)
    with h5py.File(tmp_path / "bare.h5", "w") as file:
        item = bare.add_item(bare.start(file), 7, 2, ca)
        bare.add_layer(item, 5, attention=data["attention"])
        bare.finish(file)
    dump = open_dump(tmp_path / "bare.h5")
    assert (dump.steps, dump.items, dump.layers, dump.heads) == ((7,), (2,), (5,), (0, 1, 2))
    assert dump.runs[0].name == "bare.h5"
    assert dump.damaged == ()
    for head, found in enumerate(read_maps(dump.entries[0])):
        assert tuple(found.id) == ("bare.h5", "train", 7, 0, 2, 5, head)
        np.testing.assert_array_equal(found.attention, data["attention"][head])
        assert found.logits_before is found.geo_bias is found.logits_after is found.gamma is None
        assert found.attention_recorded
        np.testing.assert_array_equal(found.structure.residue_index, np.arange(12))
        np.testing.assert_array_equal(found.structure.chain_index, np.zeros(12))


def test_logits_alone_give_the_attention_and_a_negative_sign_subtracts(tmp_path):
    ca = bare.helix(12)
    data = bare.terms(ca, 2)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        item = bare.add_item(bare.start(file), 0, 0, ca)
        layer = bare.add_layer(
            item, 0, logits_before=data["logits_before"], geo_bias=-data["geo_bias"]
        )
        layer.attrs["geo_bias_sign"] = -1
        bare.finish(file)
    for head, found in enumerate(only_map(tmp_path / "x.h5")):
        assert not found.attention_recorded
        np.testing.assert_allclose(found.attention, data["attention"][head], atol=1e-6)
        np.testing.assert_array_equal(found.effective_bias, data["geo_bias"][head])
        np.testing.assert_array_equal(found.geo_bias, -data["geo_bias"][head])


def test_nanometers_holes_ragged_items_and_some_heads(tmp_path):
    kept = np.array([0, 1, 2, 7, 8, 9, 10, 14, 15, 16])
    with h5py.File(tmp_path / "x.h5", "w") as file:
        bare.start(file, "nanometer")
        small = bare.helix(20)[kept]
        item = bare.add_item(file, 1, 0, small / 10)
        item["residue_index"] = kept.astype(np.int32)
        item["chain_index"] = (kept > 8).astype(np.int32)
        item["sequence"] = "ACDEFGHIKL"
        layer = bare.add_layer(item, 0, **bare.terms(small, 2))
        layer["head"] = np.array([3, 6], np.int32)
        layer["log_det_min"] = np.array([-12.0, -11.0], np.float32)
        large = bare.helix(33)
        bare.add_layer(bare.add_item(file, 1, 1, large / 10), 0, **bare.terms(large, 5))
        bare.finish(file)
    dump = open_dump(tmp_path / "x.h5")
    assert [(e.n_residues, e.heads) for e in dump.entries] == [(10, (3, 6)), (33, (0, 1, 2, 3, 4))]
    (found,) = read_maps(dump.entries[0], [6])
    assert found.id.head == 6
    np.testing.assert_allclose(found.structure.ca, small, atol=1e-5)
    np.testing.assert_array_equal(found.structure.residue_index, kept)
    assert found.structure.sequence == "ACDEFGHIKL"
    assert found.log_det_min == -11.0
    with pytest.raises(SelectionError, match="no head 0"):
        list(read_maps(dump.entries[0], [0]))


def test_float16_is_widened_and_said(tmp_path):
    ca = bare.helix(12)
    data = bare.terms(ca, 1)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        item = bare.add_item(bare.start(file), 0, 0, ca)
        layer = bare.add_layer(item, 0, attention=data["attention"].astype(np.float16))
        layer.attrs["attention_dtype"] = "float32"
        bare.finish(file)
    (found,) = only_map(tmp_path / "x.h5")
    assert found.attention.dtype == np.float32
    assert found.attention_dtype == "float16"  # the coarser of what it was and how it is stored


def test_nonfinite_values_stay(tmp_path):
    def spoil(file):
        file["steps/000000100/batch/0/layers/0/logits_before"][0, 3, 4] = np.nan
        file["steps/000000100/batch/0/layers/0/geo_bias"][0, 5, 6] = -np.inf

    dump = open_dump(bare.write(tmp_path / "x.h5", change=spoil))
    found = next(read_maps(dump.entries[0]))
    assert np.isnan(found.logits_before[3, 4])
    assert found.geo_bias[5, 6] == -np.inf
    assert np.isnan(found.logits_after[3, 4])


def test_a_folder_is_one_run_and_temporary_files_are_ignored(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    for step in (100, 200):
        bare.write(folder / f"step-{step:09d}.rank-00000.h5", steps=(step,))
    (folder / ".step-000000300.rank-00000.h5.tmp").write_bytes(b"half a shard")
    dump = open_dump(folder)
    assert [run.name for run in dump.runs] == ["run"]
    assert dump.steps == (100, 200)
    assert dump.damaged == ()


def test_paths_that_share_a_run_id_are_one_run_and_names_are_made_unique(tmp_path):
    for folder, run_id in (("a", "one"), ("b", "one"), ("c", "two")):
        (tmp_path / folder / "dump").mkdir(parents=True)
        bare.write(
            tmp_path / folder / "dump" / "x.h5",
            steps=(100 if folder != "b" else 200,),
            change=lambda file, run_id=run_id: file.attrs.__setitem__("run_id", run_id),
        )
    dump = open_dump(*(tmp_path / f / "dump" for f in "abc"))
    assert [(run.run_id, len(run.shards)) for run in dump.runs] == [("one", 2), ("two", 1)]
    assert dump.runs[0].name == tmp_path.name  # which holds both of its folders
    two = open_dump(tmp_path / "a" / "dump", tmp_path / "c" / "dump")
    assert [run.name for run in two.runs] == ["a/dump", "c/dump"]


def test_a_restart_takes_over_from_its_first_step(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    for step in (100, 200, 300):
        bare.write(folder / f"step-{step:09d}.rank-00000.h5", steps=(step,))
    for step in (200, 400):
        bare.write(
            folder / f"step-{step:09d}.rank-00000.a01.h5",
            steps=(step,),
            change=lambda file: file.attrs.__setitem__("attempt", 1),
        )
    line = (
        '{{"step": {}, "phase": "train", "attempt": {}, "layer": 0, "maps": 1, "heads": [0], '
        '"gamma": [1.0]}}\n'
    )
    (folder / "scalars.rank-00000.jsonl").write_text(
        "".join(
            line.format(step, attempt) for step, attempt in ((50, 0), (150, 0), (250, 0), (250, 1))
        )
        + '{"step": 26'
    )
    (run,) = open_dump(folder).runs
    assert [(entry.id.step, entry.attempt) for entry in run.entries[::2]] == [
        (100, 0),
        (200, 1),
        (400, 1),
    ]
    assert [(x.step, x.attempt) for x in run.scalar_lines("train")] == [(50, 0), (150, 0), (250, 1)]
    (left,) = run.superseded
    assert (left.attempt, left.from_step, left.maps, left.scalar_lines) == (0, 200, 16, 1)


def test_the_same_map_twice_is_named_and_read_once(tmp_path):
    """One line for each file, and the first that is given is the one that is read."""
    folder = tmp_path / "run"
    folder.mkdir()
    bare.write(folder / "a.h5", steps=(100, 200))
    bare.write(folder / "b.h5", steps=(100, 200))
    bare.write(folder / "c.h5", steps=(200, 300))
    dump = open_dump(folder)
    assert len(dump.entries) == 6
    why = "same steps, items and layers; numbers not compared"
    assert [(Path(piece.path).name, piece.where, piece.reason) for piece in dump.damaged] == [
        ("b.h5", "", f"all its records of layers are also in {folder / 'a.h5'} ({why})"),
        ("c.h5", "", f"2 of its 4 records of layers are also in {folder / 'a.h5'} ({why})"),
    ]


def test_a_copy_beside_its_run_leaves_the_run_its_name_and_is_said_once(tmp_path, sample_data):
    given = tmp_path / "run"
    shutil.copytree(sample_data / "healthy", given)
    shutil.copytree(given, tmp_path / "a_copy")
    whole = open_dump(given).runs[0]
    dump = open_dump(given, tmp_path / "a_copy")
    (run,) = dump.runs
    assert (run.name, run.entries) == ("run", whole.entries)
    assert len(dump.damaged) == len(whole.shards)
    assert all(Path(piece.path).parent.name == "a_copy" for piece in dump.damaged)
    (scalars,) = run.scalar_damage
    first = given / "scalars.rank-00000.jsonl"
    why = "same steps; numbers not compared"
    assert scalars.reason == f"all its lines are also in {first} ({why})"
    reported: list = []
    assert len(list(run.scalar_lines(run.scalars[0].phase, report=reported.append))) > 100
    assert reported == []


def test_runs_of_two_dumps_are_told_apart(tmp_path):
    for name in "ab":
        (tmp_path / name / "run").mkdir(parents=True)
        bare.write(tmp_path / name / "run" / "x.h5")
    apart = named_apart(*(open_dump(tmp_path / name / "run") for name in "ab"))
    assert [dump.runs[0].name for dump in apart] == ["a/run", "b/run"]
    assert [dump.entries[0].id.run for dump in apart] == ["a/run", "b/run"]


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_costs_its_layer_only(tmp_path, kind):
    change = instead_of_attention(kind, layer=1)
    dump = open_dump(bare.write(tmp_path / "x.h5", n=N, change=change))
    (piece,) = dump.damaged
    assert piece.where == "steps/000000100/batch/0/layers/1/attention"
    assert [entry.id.layer for entry in dump.entries] == [0]
    assert re.search(REFUSED[kind][1], piece.reason)


def test_a_link_to_a_layer_is_refused_and_not_followed(tmp_path):
    def link(file):
        layers = file["steps/000000100/batch/0/layers"]
        layers["2"] = h5py.SoftLink("/steps/000000100/batch/0/layers/0")
        layers["3"] = h5py.ExternalLink("/etc/passwd", "/")

    dump = open_dump(bare.write(tmp_path / "x.h5", change=link))
    assert [entry.id.layer for entry in dump.entries] == [0, 1]
    assert [piece.where.rsplit("/", 1)[1] for piece in dump.damaged] == ["2", "3"]


def test_other_names_are_neither_opened_nor_refused(tmp_path):
    def decorate(file):
        file["elsewhere"] = h5py.ExternalLink("/etc/passwd", "/")
        file["steps/000000100/batch/0/layers/0/mine"] = h5py.SoftLink("/nowhere")
        file["steps/notes"] = "text"

    assert open_dump(bare.write(tmp_path / "x.h5", change=decorate)).damaged == ()


def _time(owner, name):
    """An attribute of a type that numpy doesn't know."""
    h5py.h5a.create(owner.id, name, h5py.h5t.UNIX_D32LE, h5py.h5s.create(h5py.h5s.SCALAR))


def test_names_that_are_no_text_and_types_that_nobody_knows_are_left(tmp_path):
    def decorate(file):
        step = file["steps/000000100"]
        h5py.h5g.create(step["batch/0/layers"].id, b"\xff9")
        _time(step, b"other")
        number = h5py.h5a.create(
            step.id, b"\xff\xfe", h5py.h5t.NATIVE_DOUBLE, h5py.h5s.create(h5py.h5s.SCALAR)
        )
        number.write(np.array(3.0))
        step.attrs["loss"] = 0.5

    dump = open_dump(bare.write(tmp_path / "x.h5", change=decorate))
    assert dump.damaged == ()
    assert len(dump.entries) == 2
    assert dict(dump.entries[0].numbers)["loss"] == 0.5


def test_a_sequence_of_a_type_that_nobody_knows_is_refused(tmp_path):
    def change(file):
        space = h5py.h5s.create(h5py.h5s.SCALAR)
        item = file["steps/000000100/batch/0"]
        h5py.h5d.create(item.id, b"sequence", h5py.h5t.UNIX_D32LE, space)

    with pytest.raises(NothingReadableError, match="unknown type"):
        open_dump(bare.write(tmp_path / "x.h5", change=change))


def test_a_chunk_of_several_heads_is_unpacked_once(tmp_path, monkeypatch):
    """Heads of 600 residues, each of which is read by itself where it has a chunk of its own."""
    data = bare.terms(bare.helix(600), 6)

    def in_chunks(file):
        layer = file["steps/000000100/batch/0/layers/0"]
        for name, values in data.items():
            del layer[name]
            layer.create_dataset(name, data=values, chunks=(4, 600, 600), compression=1)

    path = bare.write(tmp_path / "a.h5", layers=1, heads=6, n=600, change=in_chunks)
    (entry,) = open_dump(path).entries
    unpacked = []
    raw_chunk = Stored.raw_chunk

    def counted(stored, offset):
        unpacked.append((stored.name, offset[0]))
        return raw_chunk(stored, offset)

    monkeypatch.setattr(Stored, "raw_chunk", counted)
    for chosen in (range(6), (5, 1, 2)):
        unpacked.clear()
        for head, found in zip(chosen, read_maps(entry, chosen), strict=True):
            assert found.id.head == head
            for name, values in data.items():
                np.testing.assert_array_equal(getattr(found, name), values[head])
        chunks = {head - head % 4 for head in chosen}
        assert sorted(unpacked) == sorted((name, first) for name in data for first in chunks)


def test_a_broken_checksum_costs_its_head_only(tmp_path):
    ca = bare.helix(30)
    data = bare.terms(ca, 4)
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        item = bare.add_item(bare.start(file), 0, 0, ca)
        layer = item.create_group("layers/0")
        stored = layer.create_dataset(
            "attention", data=data["attention"], chunks=(1, 30, 30), fletcher32=True
        )
        offset = stored.id.get_chunk_info(2).byte_offset
        bare.finish(file)
    raw = bytearray(path.read_bytes())
    raw[offset + 100] ^= 0xFF
    path.write_bytes(raw)
    damaged = []
    (entry,) = open_dump(path).entries
    heads = [found.id.head for found in read_maps(entry, report=damaged.append)]
    assert heads == [0, 1, 3]
    (piece,) = damaged
    assert "(head 2)" in piece.where


def test_numbers_of_a_step_that_are_too_many_are_counted(tmp_path):
    def noted(file):
        for step in file["steps"].values():
            step.attrs.update({f"loss_{k:02d}": k / 10 for k in range(70)})

    for name in ("a", "b", "c"):
        steps = (100, 200) if name == "a" else (ord(name),)
        bare.write(tmp_path / f"{name}.h5", steps=steps, change=noted if name != "c" else None)
    dump = open_dump(tmp_path)
    assert dump.warnings == (
        f"{tmp_path / 'a.h5'} and 1 more shard: 6 of the numbers that its training noted of a step "
        "are left out: 64 of each step are read",
    )
    assert not dump.damaged
    assert {len(entry.numbers) for entry in dump.entries} == {64, 0}


def test_a_newer_minor_version_warns_and_a_newer_major_is_refused(tmp_path):
    minor = bare.write(
        tmp_path / "a.h5", change=lambda file: file.attrs.__setitem__("format_version", "1.7")
    )
    assert "1.7" in open_dump(minor).warnings[0]
    major = bare.write(
        tmp_path / "b.h5", change=lambda file: file.attrs.__setitem__("format_version", "2.0")
    )
    with pytest.raises(NothingReadableError, match="newer than this igaviz reads"):
        open_dump(major)


def test_coordinates_that_no_layer_needs_may_be_damaged(tmp_path):
    """Each layer has its own: those of the item are not looked at."""

    def own(file):
        item = file["steps/000000100/batch/0"]
        ca = item["ca"][:]
        del item["ca"]
        for layer in item["layers"].values():
            layer["ca"] = ca
        torn = item.create_dataset("ca", data=ca, chunks=ca.shape, fletcher32=True)
        file.attrs["at"] = torn.id.get_chunk_info(0).byte_offset

    path = bare.write(tmp_path / "a.h5", heads=2, change=own)
    with h5py.File(path) as file:
        place = int(file.attrs["at"])
    content = bytearray(path.read_bytes())
    content[place + 8] ^= 0xFF
    path.write_bytes(content)
    maps = [found for entry in open_dump(path).entries for found in read_maps(entry)]
    assert len(maps) == 4
    np.testing.assert_allclose(maps[0].structure.ca, bare.helix(30), atol=1e-5)


@pytest.mark.parametrize(("stored", "read"), [(0.25, 0.25), (np.nan, None)])
def test_a_number_in_long_double_is_no_whole_one(stored, read, tmp_path):
    def timed(file):
        item = file["steps/000000100/batch/0"]
        item.attrs["flow_time"] = np.longdouble(stored)

    (entry, *_) = open_dump(bare.write(tmp_path / "a.h5", change=timed)).entries
    assert entry.flow_time == read
