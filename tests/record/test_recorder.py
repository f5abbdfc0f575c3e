# ruff: noqa: PT012, SIM117 (what happens inside a step is what is tested)
import json
import logging

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.checkpoint import checkpoint

from igaviz.dump import open_dump, read_maps
from igaviz.errors import RecordingError
from igaviz.record import Recorder, recording, tap

UNIT = {"length_unit": "nanometer", "strict": True}


def softmax(logits):
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def tap_random(layer=0, shape=(1, 2, 5, 5), mask=None, **changes):
    """One call of tap with maps that are softmax of their terms."""
    generator = torch.Generator().manual_seed(layer)
    s, g = torch.randn(2, *shape, generator=generator)
    given = {
        "logits_before": s,
        "geo_bias": g,
        "attention": torch.softmax(s + g, -1),
        "ca": torch.randn(shape[0], shape[2], 3, generator=generator),
        "mask": mask,
    }
    tap(layer=layer, **given | changes)


def test_what_is_stored_gives_the_models_own_weights(tmp_path, toy, batch, shards, read_layer):
    model = toy(layers=2)
    x, ca, mask = batch()
    with Recorder(tmp_path, interval=1, attention_dtype="float32", **UNIT) as recorder:
        with recorder.step(0):
            model(x, ca, mask).backward()
    (name,) = shards(tmp_path)
    assert name == "step-000000000.rank-00000.h5"
    for item in range(3):
        keep = np.flatnonzero(mask[item])
        for number, layer in enumerate(model.layers):
            stored = read_layer(tmp_path / name, number, item)
            weights = layer.weights[item].numpy()[:, keep[:, None], keep]
            replayed = softmax(stored["logits_before"] + stored["geo_bias"])
            assert np.abs(replayed - weights).max() < 1e-5
            np.testing.assert_array_equal(stored["attention"], weights)
            np.testing.assert_array_equal(stored["ca"], ca[item].numpy()[keep])
            gamma = torch.nn.functional.softplus(layer.scale).detach()
            np.testing.assert_array_equal(stored["gamma"], gamma)
            assert stored["training"] == 1


def test_weights_are_halved_on_disk_unless_asked(tmp_path, toy, batch, shards, read_layer):
    with Recorder(tmp_path, interval=1, **UNIT) as recorder:
        with recorder.step(0):
            toy()(*batch())
    stored = read_layer(tmp_path / shards(tmp_path)[0])
    assert stored["attention"].dtype == np.float16
    assert stored["attention_dtype"] == "float16"
    assert stored["compute_dtype"] == "float32"
    assert stored["logits_before"].dtype == np.float32


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_only_valid_residues_are_kept_whatever_the_mask(tmp_path_factory, data):
    n = data.draw(st.integers(1, 8))
    masks = data.draw(
        st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=1, max_size=3)
    )
    folder = tmp_path_factory.mktemp("run")
    mask = torch.tensor(masks)
    numbers = torch.arange(n).repeat(len(masks), 1) + 100
    maps = torch.randn(len(masks), 2, n, n)
    with Recorder(folder, interval=1, **UNIT) as recorder:
        with recorder.step(0, residue_index=numbers, sequence=["GAVLIPFW"[:n]] * len(masks)):
            tap_random(shape=maps.shape, mask=mask, logits_before=maps)
    if not mask.any():
        assert list(folder.glob("*.h5")) == []
        return
    (path,) = folder.glob("*.h5")
    with h5py.File(path) as file:
        items = file["steps/000000000/batch"]
        assert set(items) == {str(b) for b, row in enumerate(masks) if any(row)}
        for b, item in items.items():
            keep = np.flatnonzero(masks[int(b)])
            assert item["residue_index"][:].tolist() == (keep + 100).tolist()
            assert item["sequence"].asstr()[()] == "".join("GAVLIPFW"[i] for i in keep)
            np.testing.assert_array_equal(
                item["layers/0/logits_before"][:],
                maps[int(b)].numpy()[:, keep[:, None], keep],
            )


def test_values_per_item_may_be_padded_unpadded_or_already_cut(tmp_path, batch, toy, shards):
    _, _, mask = batch()
    padded = torch.arange(12).repeat(3, 1)
    unpadded = [np.arange(n) for n in (9, 12, 7)]
    cut = [np.flatnonzero(row) for row in mask]
    with Recorder(tmp_path, interval=1, **UNIT) as recorder:
        for step, index in enumerate((padded, unpadded, cut)):
            with recorder.step(step, residue_index=index, flow_time=0.25):
                toy()(*batch())
    for name in shards(tmp_path):
        with h5py.File(tmp_path / name) as file:
            (step,) = file["steps"].values()
            for b, item in step["batch"].items():
                assert item["residue_index"][:].tolist() == cut[int(b)].tolist()
                assert item.attrs["flow_time"] == 0.25


def test_the_step_says_what_it_is(tmp_path, toy, batch, shards):
    x, ca, mask = batch()
    with Recorder(tmp_path, interval=10, **UNIT) as recorder:
        with recorder.step(
            20,
            phase="val",
            epoch=3.75,
            names=["1abc", "2def", "3ghi"],
            flow_time=torch.tensor([0.1, 0.2, 0.3]),
            ca_reference=ca + 1,
            chain_index=torch.ones(3, 12, dtype=torch.long),
        ):
            recorder.note(loss=model_loss(toy, x, ca, mask), learning_rate=1e-3)
    (name,) = shards(tmp_path)
    assert name == "step-000000020.val.rank-00000.h5"
    with h5py.File(tmp_path / name) as file:
        assert file.attrs["length_unit"] == "nanometer"
        step = file["steps/000000020"]
        assert step.attrs["phase"] == "val"
        assert step.attrs["epoch"] == 3
        assert step.attrs["learning_rate"] == 1e-3
        assert step.attrs["loss"] > 0
        item = step["batch/1"]
        assert item.attrs["name"] == "2def"
        assert item.attrs["flow_time"] == pytest.approx(0.2)
        keep = np.flatnonzero(mask[1])
        np.testing.assert_array_equal(item["ca_reference"], (ca[1] + 1).numpy()[keep])
        assert item["chain_index"][:].tolist() == [1] * len(keep)


def model_loss(toy, x, ca, mask):
    return toy()(x, ca, mask)


def test_only_chosen_layers_heads_and_items_are_kept(tmp_path, toy, batch, shards):
    model = toy(layers=3)
    with Recorder(
        tmp_path, interval=1, layers=[0, 2], heads=[3, 1], items=[0, 2, 9], **UNIT
    ) as recorder:
        with recorder.step(0):
            model(*batch())
    with h5py.File(tmp_path / shards(tmp_path)[0]) as file:
        items = file["steps/000000000/batch"]
        assert set(items) == {"0", "2"}
        assert set(items["0/layers"]) == {"0", "2"}
        layer = items["0/layers/2"]
        assert layer["head"][:].tolist() == [1, 3]
        keep = np.flatnonzero(batch()[2][0])
        weights = model.layers[2].weights[0].numpy()[[1, 3]][:, keep[:, None], keep]
        np.testing.assert_array_equal(layer["attention"], weights.astype(np.float16))


def test_large_items_are_skipped_and_counted(tmp_path, toy, batch, shards, caplog):
    with Recorder(tmp_path, interval=1, max_residues=8, **UNIT) as recorder:
        for step in range(2):
            with recorder.step(step):
                toy()(*batch((9, 12, 7)))
    with h5py.File(tmp_path / shards(tmp_path)[0]) as file:
        assert set(file["steps/000000000/batch"]) == {"0", "2"}
    (attempt,) = json.loads((tmp_path / "run.json").read_text())["attempts"]
    assert attempt["skipped_items"] == 2
    (said,) = caplog.messages
    assert "step 0: items [1] of the batch are skipped: they have more valid residues" in said
    assert "max_residues=8" in said


def test_an_item_that_is_too_large_for_readers_is_skipped(tmp_path, shards, caplog):
    n = 2**14 + 1
    with Recorder(tmp_path, interval=1, **UNIT) as recorder, recorder.step(0):
        tap(layer=0, attention=torch.zeros(()).expand(1, 1, n, n), ca=torch.zeros(1, n, 3))
    assert shards(tmp_path) == []
    assert "more valid residues than readers take, 16384" in caplog.text


def test_an_inverted_mask_is_said_to_be_perhaps_that(tmp_path, toy, batch, caplog):
    x, ca, mask = batch((9, 12, 7))
    mask[1] = True
    with Recorder(tmp_path, interval=1, max_residues=100, **UNIT) as recorder:
        for step in range(2):
            with recorder.step(step):
                toy()(x, ca, ~mask)
    (said,) = caplog.messages
    assert "items [1] of the batch are skipped: none of their residues is valid by mask" in said
    assert "is it inverted?" in said
    assert "max_residues" not in said


def test_frames_that_move_between_layers_are_stored_per_layer(tmp_path, shards):
    ca = torch.zeros(1, 5, 3)
    with Recorder(tmp_path, interval=1, **UNIT) as recorder:
        with recorder.step(0):
            tap_random(0, ca=ca)
            tap_random(1, ca=ca)
            tap_random(2, ca=ca + 1)
            tap_random(3, ca=None)
    with h5py.File(tmp_path / shards(tmp_path)[0]) as file:
        item = file["steps/000000000/batch/0"]
        np.testing.assert_array_equal(item["ca"], np.zeros((5, 3)))
        assert [number for number in item["layers"] if "ca" in item["layers"][number]] == ["2"]


def test_optional_terms_and_the_sign_come_through(tmp_path, shards, read_layer):
    with Recorder(tmp_path, interval=1, **UNIT) as recorder:
        with recorder.step(0):
            tap_random(
                3,
                pair_bias=torch.ones(1, 2, 5, 5),
                logits_after=torch.ones(1, 2, 5, 5),
                sigma=torch.ones(1, 5, 3),
                log_det_min=torch.tensor([[-9.0, -10.0]]),
                sigma_floor_share=torch.tensor([[0.0, 0.5]]),
                geo_bias_sign=-1,
                module="trunk.3",
            )
    stored = read_layer(tmp_path / shards(tmp_path)[0], 3)
    assert stored["geo_bias_sign"] == -1
    assert stored["module"] == "trunk.3"
    assert stored["log_det_min"].tolist() == [-9, -10]
    assert stored["sigma_floor_share"].tolist() == [0, 0.5]
    assert "pair_bias" in stored
    assert "logits_after" not in stored  # derived, unless store names it


@pytest.mark.parametrize(
    ("store", "expected"),
    [
        (("attention",), {"attention"}),
        (("logits_before", "geo_bias"), {"logits_before", "geo_bias"}),
        (("attention", "logits_after"), {"attention", "logits_after"}),
    ],
)
def test_store_names_the_maps_on_disk(tmp_path, shards, read_layer, store, expected):
    maps = {"logits_before", "geo_bias", "attention", "pair_bias", "logits_after"}
    with Recorder(tmp_path, interval=1, store=store, **UNIT) as recorder:
        with recorder.step(0):
            tap_random(logits_after=torch.ones(1, 2, 5, 5))
    assert maps & read_layer(tmp_path / shards(tmp_path)[0]).keys() == expected


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_coarse_types_are_widened_and_named(tmp_path, shards, read_layer, dtype):
    logits = torch.randn(1, 2, 5, 5).to(dtype)
    logits[0, 0, 0, 0] = torch.nan
    logits[0, 0, 0, 1] = -torch.inf
    name = str(dtype).removeprefix("torch.")
    with Recorder(tmp_path, interval=1, attention_dtype="float32", **UNIT) as recorder:
        with recorder.step(0):
            tap_random(logits_before=logits, attention=torch.rand(1, 2, 5, 5).to(dtype))
    stored = read_layer(tmp_path / shards(tmp_path)[0])
    np.testing.assert_array_equal(stored["logits_before"], logits[0].float())
    assert stored["logits_before"].dtype == np.float32
    assert stored["compute_dtype"] == name
    assert stored["attention_dtype"] == name


def test_what_training_overwrites_in_place_was_copied(tmp_path, shards, read_layer):
    logits = torch.ones(1, 2, 5, 5)
    with Recorder(tmp_path, interval=1, **UNIT) as recorder:
        with recorder.step(0):
            tap_random(logits_before=logits)
            logits.zero_()
    assert read_layer(tmp_path / shards(tmp_path)[0])["logits_before"].min() == 1


def test_a_step_and_phase_is_recorded_once_and_of_a_layer_the_first_forward(
    tmp_path, shards, read_layer
):
    first = torch.full((1, 2, 5, 5), 1.0)
    with Recorder(tmp_path, interval=10, **UNIT) as recorder:
        for micro_batch in range(3):
            with recorder.step(10):
                tap_random(logits_before=first + 2 * micro_batch)
                tap_random(logits_before=first + 2 * micro_batch + 1)
        with recorder.step(10, phase="val"):
            tap_random(logits_before=first)
    assert shards(tmp_path) == [
        "step-000000010.rank-00000.h5",
        "step-000000010.val.rank-00000.h5",
    ]
    assert read_layer(tmp_path / shards(tmp_path)[0])["logits_before"].max() == 1


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_recomputed_forward_is_no_record(tmp_path, toy, batch, shards, reentrant):
    model = toy(layers=2)
    x, ca, mask = batch()
    x.requires_grad_()
    forwards = []
    model.layers[0].register_forward_pre_hook(lambda *_: forwards.append(recording()))
    with Recorder(tmp_path, interval=1, **UNIT) as recorder:
        with recorder.step(0):
            for layer in model.layers:
                x = checkpoint(layer, x, ca, mask, use_reentrant=reentrant)
            x.sum().backward()
    assert forwards == [True, True]
    with h5py.File(tmp_path / shards(tmp_path)[0]) as file:
        assert set(file["steps/000000000/batch/0/layers"]) == {"0", "1"}


def test_training_is_the_same_with_and_without(tmp_path, toy, batch):
    def losses(recorder):
        torch.manual_seed(1)
        model = toy()
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
        seen = []
        for step in range(4):
            optimiser.zero_grad()
            with recorder.step(step) if recorder else torch.enable_grad():
                loss = model(*batch(seed=step)) + torch.rand(())
                loss.backward()
            optimiser.step()
            seen.append(loss.item())
        return seen

    with Recorder(tmp_path, interval=1, scalars_interval=None, **UNIT) as recorder:
        with_recorder = losses(recorder)
    assert with_recorder == losses(None)


def test_an_exception_of_training_passes_untouched_and_what_was_seen_is_kept(tmp_path, shards):
    class LossIsNaNError(Exception):
        pass

    error = LossIsNaNError()
    with Recorder(tmp_path, interval=1, **UNIT) as recorder:
        with pytest.raises(LossIsNaNError) as caught, recorder.step(0):
            tap_random()
            raise error
        assert caught.value is error
        assert not recording()
        with pytest.raises(KeyboardInterrupt), recorder.step(1):
            tap_random()
            raise KeyboardInterrupt
        assert not recording()
        with recorder.step(2):
            tap_random()
    assert shards(tmp_path) == ["step-000000000.rank-00000.h5", "step-000000002.rank-00000.h5"]


def test_nothing_is_heard_outside_of_a_due_step(tmp_path, shards):
    with Recorder(tmp_path, interval=2, **UNIT) as recorder:
        tap_random()
        with recorder.step(1):
            assert not recording()
            tap_random()
            recorder.note(loss=object())  # not due: never looked at
        with recorder.step(2):
            assert recording()
            tap_random()
    assert not recording()
    with recorder.step(4):
        tap_random()
    assert shards(tmp_path) == ["step-000000002.rank-00000.h5"]


def test_two_recorders_hear_the_same_step(tmp_path, shards):
    with (
        Recorder(tmp_path / "a", interval=1, **UNIT) as a,
        Recorder(tmp_path / "b", interval=2, **UNIT) as b,
    ):
        for step in range(3):
            with a.step(step), b.step(step):
                tap_random()
    assert len(shards(tmp_path / "a")) == 3
    assert len(shards(tmp_path / "b")) == 2


def test_a_due_step_without_a_tap_is_said_once(tmp_path, shards, caplog):
    caplog.set_level(logging.WARNING)
    with Recorder(tmp_path, interval=1, **UNIT) as recorder:
        for step in range(3):
            with recorder.step(step):
                pass
    assert shards(tmp_path) == []
    assert [record.getMessage() for record in caplog.records if "nothing was tapped" in record.msg]
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"attention": None, "geo_bias": None}, "neither attention nor both"),
        ({"geo_bias": torch.zeros(1, 2, 5, 4)}, r"geo_bias has shape \(1, 2, 5, 4\)"),
        ({"logits_before": torch.zeros(2, 5, 5)}, r"\[B, H, N, N\]"),
        ({"mask": torch.ones(5, dtype=torch.bool)}, "mask has shape"),
        ({"gamma": torch.ones(1, 2)}, "gamma has shape"),
        ({"ca": np.zeros((1, 5, 3))}, "ca is no tensor"),
        ({"ca": None}, "no layer gave ca"),
        ({"geo_bias_sign": 0}, "geo_bias_sign"),
        ({"attention": torch.zeros(1, 2, 5, 5, dtype=torch.int64)}, "int64"),
        ({"layer": -1}, "layer is -1"),
        ({"layer": 10**15}, "layer is 10{15}, and readers take numbers below"),
        ({"module": 3}, "layer 0: module is 3"),
        ({"logits_before": torch.zeros(1, 0, 5, 5)}, "no head"),
    ],
)
def test_a_tap_that_makes_no_sense_is_refused_with_its_layer(tmp_path, changes, said):
    layer = changes.pop("layer", 0) if "layer" in changes else 0
    recorder = Recorder(tmp_path, interval=1, **UNIT)
    with pytest.raises(RecordingError, match=said), recorder.step(0):
        tap_random(layer, **changes)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"names": ["a"]}, "names holds no value for item 1"),
        ({"names": "ab"}, "names holds no value"),
        ({"residue_index": [np.arange(3)] * 2}, "residue_index has 3 values"),
        ({"sequence": [[1, 2, 3, 4, 5]] * 2}, "no string"),
        ({"phase": "test"}, "no phase 'test'"),
        ({"epoch": "3"}, "epoch is '3', not a whole number"),
        ({"epoch": -0.5}, "epoch is -1, not"),
        ({"epoch": float("nan")}, "epoch is nan, not"),
        ({"epoch": torch.ones(2, dtype=torch.int64)}, r"epoch is a tensor .* shape \(2,\), not"),
        ({"step": 10**15}, "step is 10{15}, and readers take numbers below"),
        ({"flow_time": ["low", 0.5]}, "flow_time of item 0 is no number"),
        ({"flow_time": [0.5, None]}, "flow_time of item 1 is no number"),
        ({"chain_index": [list("AAABB")] * 2}, "chain_index of item 0 is of type <U1"),
        ({"residue_index": np.full((2, 5), np.nan)}, "no whole number of 32 bits"),
        ({"residue_index": np.full((2, 5), 2**31)}, "no whole number of 32 bits"),
        ({"ca_reference": np.zeros((2, 5, 4))}, r"numbers of shape \(5, 3\) belong there"),
    ],
)
def test_a_step_that_makes_no_sense_is_refused(tmp_path, given, said):
    recorder = Recorder(tmp_path, interval=1, **UNIT)
    with pytest.raises(RecordingError, match=said), recorder.step(**{"step": 0} | given):
        tap_random(shape=(2, 2, 5, 5))
    assert not list(tmp_path.glob("*.h5"))


@pytest.mark.parametrize("epoch", [3, np.uint8(3), np.array([3]), torch.tensor(3)])
def test_odd_texts_and_integers_of_any_type_make_no_shard_that_is_refused(tmp_path, epoch):
    about = {"phase": np.str_("val"), "names": ["a\0b\udc80c\x1b", "b" * 2**21]}
    with Recorder(tmp_path, interval=1, **UNIT) as recorder:
        with recorder.step(0, epoch=epoch, sequence=["GAV\0\ud800", "GAVLI"], **about):
            tap_random(shape=(2, 2, 5, 5), module="\0" * 2**21)
    dump = open_dump(tmp_path)
    assert not dump.damaged
    first, second = dump.entries
    assert (first.id.phase, first.epoch, first.item) == ("val", 3, "a?b?c\N{REPLACEMENT CHARACTER}")
    assert len(second.item) == len(second.module) == 2**20
    structures = [next(read_maps(entry)).structure for entry in dump.entries]
    assert [structure.sequence for structure in structures] == ["GAV??", "GAVLI"]


@pytest.mark.parametrize(
    ("mask", "hint"), [(None, "are the other residues padding?"), ([1, 0, 0, 0, 1], "one value")]
)
def test_labels_that_do_not_fit_ask_for_the_mask_where_it_may_be_missing(tmp_path, mask, hint):
    recorder = Recorder(tmp_path, interval=1, **UNIT)
    with pytest.raises(RecordingError, match="sequence has 3 values") as caught:
        with recorder.step(0, sequence=["GAV"]):
            tap_random(mask=None if mask is None else torch.tensor([mask]))
    assert hint in caught.value.hint


def test_layers_that_see_other_residues_are_refused(tmp_path):
    recorder = Recorder(tmp_path, interval=1, **UNIT)
    mask = torch.ones(1, 5, dtype=torch.bool)
    other = mask.clone()
    other[0, 0] = False
    with pytest.raises(RecordingError, match="other valid residues"), recorder.step(0):
        tap_random(0, mask=mask)
        tap_random(1, mask=other)


def test_a_mask_that_changes_in_place_between_layers_is_seen(tmp_path):
    recorder = Recorder(tmp_path, interval=1, **UNIT)
    mask = torch.ones(1, 5, dtype=torch.bool)
    with pytest.raises(RecordingError, match="other valid residues"), recorder.step(0):
        tap_random(0, mask=mask)
        mask[0, 0] = False
        tap_random(1, mask=mask)


@pytest.mark.parametrize(
    "arguments",
    [
        {"length_unit": "nm"},
        {"interval": 0},
        {"heads": []},
        {"heads": "01"},
        {"layers": [-1]},
        {"items": 0},
        {"items": 2.5},
        {"max_residues": 0},
        {"max_bytes": -1},
        {"ranks": "some"},
        {"store": ("logits_before",)},
        {"store": ("attention", "q")},
        {"store": "attention"},
        {"attention_dtype": "bfloat16"},
        {"scalars_interval": 0},
        {"at": [-1]},
    ],
)
def test_wrong_arguments_raise_at_once(tmp_path, arguments):
    with pytest.raises(RecordingError):
        Recorder(tmp_path, **{"length_unit": "nanometer", "interval": 1} | arguments)
    assert list(tmp_path.iterdir()) == []


def test_without_a_unit_a_recorder_says_which_there_are(tmp_path):
    section = {"igaviz": {"dir": str(tmp_path), "interval": 1}}
    for make, first in ((Recorder, tmp_path), (Recorder.from_config, section)):
        with pytest.raises(RecordingError, match="length_unit is not given") as caught:
            make(first)
        assert caught.value.hint.startswith('length_unit="angstrom" or "nanometer", the unit of')


def test_a_gamma_of_another_shape_says_how_to_give_it(tmp_path):
    recorder = Recorder(tmp_path, interval=1, **UNIT)
    with pytest.raises(RecordingError, match="gamma has shape") as caught, recorder.step(0):
        tap_random(gamma=torch.ones(1, 2, 1, 1))
    assert "one value per head: gamma.flatten() of [1, H, 1, 1], gamma[0]" in caught.value.hint


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"logits_before": torch.zeros(2, 5, 5)}, "unsqueeze(0) makes a batch of one item"),
        ({"ca": torch.zeros(5, 3)}, "unsqueeze(0) makes a batch of one item"),
        ({"ca": torch.zeros(1, 3, 5)}, "its axes seem to stand in another order"),
        ({"geo_bias": torch.zeros(1, 5, 5, 2)}, "its axes seem to stand in another order"),
        ({"logits_before": torch.zeros(1, 5, 5, 2)}, "movedim(-1, 1) puts them second"),
        ({"mask": torch.ones(1, 1, 1, 5)}, "reshape(1, 5) brings it there"),
        ({"ca": torch.zeros(1, 6, 3)}, "as in logits_before"),
    ],
)
def test_a_shape_that_does_not_fit_is_answered_with_what_fits_it(tmp_path, changes, hint):
    recorder = Recorder(tmp_path, interval=1, **UNIT)
    with pytest.raises(RecordingError, match="has shape") as caught, recorder.step(0):
        tap_random(**changes)
    assert caught.value.hint.endswith(hint)


def test_a_folder_that_holds_a_recording_is_said_as_training_begins(tmp_path, caplog):
    for attempt in range(2):
        with Recorder(tmp_path, interval=1, **UNIT) as recorder:
            for step in range(2):
                with recorder.step(step):
                    tap_random()
        assert len(caplog.messages) == attempt
    assert "holds a recording already: this is attempt 1" in caplog.messages[0]


def test_a_file_is_no_folder_to_record_into(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(RecordingError, match="is a file"):
        Recorder(tmp_path / "run", interval=1, length_unit="nanometer")


def test_a_head_that_is_not_there_is_named_with_what_is(tmp_path):
    recorder = Recorder(tmp_path, interval=1, heads=[0, 5], **UNIT)
    with pytest.raises(RecordingError, match=r"no head 5 in layer 0: it has heads 0-1"):
        with recorder.step(0):
            tap_random()


def test_chosen_layers_and_items_that_are_not_there_are_said_once(tmp_path, caplog):
    """Of the first step of a phase: a later batch may be smaller, and a failing step short."""
    chosen = {"layers": [1, 9], "items": [0, 2], "heads": [0]}

    def train(recorder, step, batch=3, layers=(0, 1), phase="train"):
        with recorder.step(step, phase=phase):
            for layer in layers:
                tap_random(layer, shape=(batch, 2, 5, 5))

    with Recorder(tmp_path, interval=1, **chosen, **UNIT) as recorder:
        with pytest.raises(ZeroDivisionError), recorder.step(0):
            tap_random(1)
            1 / 0  # noqa: B018
        assert caplog.messages == []
        train(recorder, 1)
        train(recorder, 2, batch=1, layers=[0])
        assert caplog.messages == [
            "igaviz: train step 1: nothing is recorded of layers [9], which layers=[1, 9] names: "
            "those that were called are [0, 1]"
        ]
        train(recorder, 1, batch=1, phase="probe")
        train(recorder, 2, batch=1, phase="probe")
        assert caplog.messages[1:] == [
            "igaviz: probe step 1: nothing is recorded of items [2], which items=[0, 2] names: "
            "the batch has 1, counted from 0"
        ]
