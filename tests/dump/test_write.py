import subprocess
import sys
from dataclasses import replace

import h5py
import numpy as np
import pytest
import xarray
from hypothesis import given, settings
from hypothesis import strategies as st

from igaviz.dump.write import (
    ItemRecord,
    LayerRecord,
    StepRecord,
    publish,
    remove_leftovers,
    replace_file,
    shard_image,
)
from igaviz.errors import OutputError, RecordingError

MAPS = ("logits_before", "geo_bias", "attention")


def layer_record(n, heads=2, layer=0, seed=0, **fields):
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((heads, n, n)).astype(np.float32)
    bias = rng.standard_normal((heads, n, n)).astype(np.float32)
    weights = np.exp(logits + bias)
    weights /= weights.sum(-1, keepdims=True)
    return LayerRecord(
        layer=layer,
        gamma=np.linspace(0.5, 1, heads, dtype=np.float32),
        logits_before=logits,
        geo_bias=bias,
        attention=weights.astype(np.float16),
        **fields,
    )


def item_record(n, layers=None, batch=0, **fields):
    ca = np.arange(3 * n, dtype=np.float32).reshape(n, 3)
    return ItemRecord(batch=batch, ca=ca, layers=layers or [layer_record(n)], **fields)


def image_of(*items, length_unit="nanometer", **fields):
    step = StepRecord(step=100, items=items, **fields)
    return shard_image([step], length_unit=length_unit, run_id="r")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def read_back(image):
    return h5py.File.in_memory(image)


def test_everything_that_was_given_is_found_by_the_names_of_the_page():
    layers = [
        layer_record(5, layer=3, heads=2, seed=1),
        replace(
            layer_record(5, layer=10, heads=2),
            heads=np.array([1, 6]),
            pair_bias=np.ones((2, 5, 5), np.float32),
            logits_after=np.ones((2, 5, 5), np.float32),
            ca=np.ones((5, 3), np.float32),
            sigma=np.ones((5, 3), np.float32),
            log_det_min=np.full(2, -9.0),
            sigma_floor_share=np.zeros(2),
            module="trunk.blocks.3",
            call=1,
            geo_bias_sign=-1,
            compute_dtype="bfloat16",
            attention_dtype="float16",
            training=True,
        ),
    ]
    item = item_record(
        5,
        layers,
        batch=12,
        name="1abc",
        flow_time=0.25,
        ca_reference=np.zeros((5, 3)),
        residue_index=np.array([3, 4, 7, 8, 9]),
        chain_index=np.array([0, 0, 0, 1, 1]),
        sequence="GAVLI",
    )
    image = image_of(
        item, phase="val", epoch=2, wall_time=1.5, numbers={"loss": 0.5, "learning_rate": 1e-4}
    )
    with read_back(image) as file:
        root = dict(file.attrs)
        assert root["format"] == "igaviz"
        assert root["format_version"] == "1.0"
        assert root["length_unit"] == "nanometer"
        assert root["complete"] == 1
        assert root["creator"].startswith("igaviz ")
        assert (root["rank"], root["world_size"], root["attempt"]) == (0, 1, 0)

        step = file["steps/000000100"]
        assert dict(step.attrs) == {
            "step": 100,
            "phase": "val",
            "epoch": 2,
            "wall_time": 1.5,
            "loss": 0.5,
            "learning_rate": 1e-4,
        }
        stored = step["batch/12"]
        assert dict(stored.attrs) == {"name": "1abc", "flow_time": 0.25}
        assert stored["residue_index"][:].tolist() == [3, 4, 7, 8, 9]
        assert stored["chain_index"].dtype == np.int32
        assert stored["sequence"].asstr()[()] == "GAVLI"
        for name in MAPS:
            np.testing.assert_array_equal(stored[f"layers/3/{name}"], getattr(layers[0], name))
        ten = stored["layers/10"]
        assert ten["head"][:].tolist() == [1, 6]
        assert ten.attrs["module"] == "trunk.blocks.3"
        assert ten.attrs["call"] == 1
        assert ten.attrs["geo_bias_sign"] == -1
        assert ten.attrs["compute_dtype"] == "bfloat16"
        assert ten.attrs["attention_dtype"] == "float16"
        assert ten.attrs["training"] == 1
        assert ten["sigma"].shape == (5, 3)
        assert ten["log_det_min"][:].tolist() == [-9, -9]


def test_logits_are_float32_and_attention_keeps_its_half():
    layer = layer_record(4)
    wide = replace(layer, logits_before=layer.logits_before.astype(np.float64))
    with read_back(image_of(item_record(4, [wide]))) as file:
        group = file["steps/000000100/batch/0/layers/0"]
        assert group["logits_before"].dtype == np.float32
        assert group["attention"].dtype == np.float16


def test_what_is_not_finite_stays_as_it_is():
    layer = layer_record(4)
    layer.logits_before[0, 1] = [np.nan, np.inf, -np.inf, 1e7]
    with read_back(image_of(item_record(4, [layer]))) as file:
        stored = file["steps/000000100/batch/0/layers/0/logits_before"][0, 1]
    np.testing.assert_array_equal(stored, np.float32([np.nan, np.inf, -np.inf, 1e7]))


@pytest.mark.parametrize(("n", "chunk"), [(7, (1, 7, 7)), (1025, (1, 512, 1025))])
def test_one_head_of_one_layer_is_one_read(n, chunk):
    with read_back(image_of(item_record(n, [layer_record(n, heads=1)]))) as file:
        dataset = file["steps/000000100/batch/0/layers/0/attention"]
        assert dataset.chunks == chunk
        assert (dataset.compression, dataset.compression_opts) == ("gzip", 1)
        assert dataset.shuffle
        assert dataset.fletcher32


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=3),
    heads=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    compression=st.sampled_from(["gzip", None]),
)
def test_ragged_items_and_layers_come_back(sizes, heads, compression):
    items = [
        item_record(n, [layer_record(n, h, layer=i, seed=i) for i, h in enumerate(heads)], batch=b)
        for b, n in enumerate(sizes)
    ]
    step = StepRecord(step=0, items=items)
    image = shard_image([step], length_unit="angstrom", run_id="r", compression=compression)
    with read_back(image) as file:
        for item in items:
            for layer in item.layers:
                group = file[f"steps/000000000/batch/{item.batch}/layers/{layer.layer}"]
                for name in MAPS:
                    np.testing.assert_array_equal(group[name], getattr(layer, name))


def test_xarray_shows_labelled_dimensions(tmp_path):
    layers = [layer_record(4, heads=2, layer=0), layer_record(4, heads=3, layer=1)]
    item = item_record(4, layers, residue_index=np.array([5, 6, 9, 10]))
    path = publish(tmp_path, "a.h5", image_of(item))
    with xarray.open_datatree(path, engine="h5netcdf") as tree:
        node = tree["steps/000000100/batch/0/layers/1"]
        assert node["attention"].dims == ("head", "query", "key")
        assert node["attention"].sizes == {"head": 3, "query": 4, "key": 4}
        assert node["key"].values.tolist() == [5, 6, 9, 10]
        assert tree["steps/000000100/batch/0/ca"].dims == ("residue", "xyz")
        picked = node["logits_before"].sel(head=2, query=9, key=10)
        assert float(picked) == layers[1].logits_before[2, 2, 3]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"attention": np.ones((2, 4, 5), np.float16)}, "attention has shape"),
        ({"heads": np.array([0])}, "1 head numbers for 2 heads"),
        ({"sigma": np.ones((3, 3))}, "sigma has shape"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_with_their_place(change, said):
    item = item_record(4, [replace(layer_record(4), **change)])
    with pytest.raises(RecordingError, match="batch/0/layers/0") as caught:
        image_of(item)
    assert said in caught.value.message


def test_a_number_of_the_step_can_not_take_the_name_of_an_attribute():
    with pytest.raises(RecordingError, match="'epoch'"):
        image_of(item_record(3), numbers={"epoch": 1.0})


def test_publish_leaves_the_shard_and_nothing_else(tmp_path):
    path = publish(tmp_path, "step-000000100.rank-00000.h5", b"image")
    assert path.read_bytes() == b"image"
    assert names(tmp_path) == [path.name]


def test_publish_never_overwrites(tmp_path):
    publish(tmp_path, "a.h5", b"first")
    with pytest.raises(OutputError, match=r"a\.h5"):
        publish(tmp_path, "a.h5", b"second")
    assert (tmp_path / "a.h5").read_bytes() == b"first"
    assert names(tmp_path) == ["a.h5"]


def test_a_planted_link_under_the_temporary_name_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / ".a.h5.tmp").symlink_to(victim)
    with pytest.raises(OutputError):
        publish(tmp_path, "a.h5", b"image")
    assert victim.read_bytes() == b"precious"


def test_replace_file_replaces_whole(tmp_path):
    replace_file(tmp_path, "run.json", b"one")
    replace_file(tmp_path, "run.json", b"two")
    assert (tmp_path / "run.json").read_bytes() == b"two"
    assert names(tmp_path) == ["run.json"]


def test_a_full_disk_is_a_plain_error_and_leaves_nothing(tmp_path):
    # A file-size limit is the full disk that a test can make without being root.
    script = """
import resource, signal, sys
from pathlib import Path
from igaviz.dump.write import publish
from igaviz.errors import OutputError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    publish(Path(sys.argv[1]), "a.h5", bytes(5000))
except OutputError as error:
    print(error.message)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "a.h5: File too large" in done.stdout
    assert names(tmp_path) == []


def test_leftovers_of_a_killed_recorder_go_and_everything_else_stays(tmp_path):
    gone = [".step-000000100.rank-00000.h5.tmp", ".step-000000100.val.rank-00000.a01.h5.tmp"]
    stay = [".step-000000100.rank-00001.h5.tmp", ".notes.tmp", "step-000000100.rank-00000.h5"]
    for name in [*gone, *stay, ".run.json.tmp"]:
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / ".step-000000200.rank-00000.h5.tmp").mkdir()
    assert remove_leftovers(tmp_path, rank=0, also=["run.json"]) == 3
    assert names(tmp_path) == sorted([*stay, ".step-000000200.rank-00000.h5.tmp"])
