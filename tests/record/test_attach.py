import copy
import pickle

import h5py
import pytest
import torch
from torch import nn

from igaviz.errors import RecordingError
from igaviz.record import Recorder


@pytest.fixture
def recorder(tmp_path):
    with Recorder(tmp_path, interval=1, length_unit="nanometer", strict=True) as recorder:
        yield recorder


def layers_of(path):
    with h5py.File(path) as file:
        (step,) = file["steps"].values()
        return {
            int(number): (layer.attrs.get("module"), layer.attrs.get("training"))
            for number, layer in step["batch/0/layers"].items()
        }


def test_layers_are_named_as_the_model_names_them(tmp_path, recorder, toy, batch, shards):
    model = toy(layers=2)
    assert recorder.attach(model) == {"layers.0": "taps itself", "layers.1": "taps itself"}
    model.layers[1].eval()
    with recorder.step(0):
        model(*batch())
    assert layers_of(tmp_path / shards(tmp_path)[0]) == {
        0: ("layers.0", 1),
        1: ("layers.1", 0),
    }


def test_a_second_model_continues_after_the_first(tmp_path, recorder, toy, batch, shards):
    first, second = toy(layers=2), toy(layers=3)
    recorder.attach(first)
    recorder.attach(second)
    recorder.attach(first)
    with recorder.step(0):
        second(*batch())
        first(*batch())
    names = [f"layers.{number}" for number in (0, 1, 0, 1, 2)]
    found = layers_of(tmp_path / shards(tmp_path)[0])
    assert found == {number: (name, 1) for number, name in enumerate(names)}


def test_without_attach_a_layer_has_its_own_number_and_its_class(
    tmp_path, recorder, toy, batch, shards
):
    with recorder.step(0):
        toy(layers=1)(*batch())
    assert layers_of(tmp_path / shards(tmp_path)[0]) == {0: ("ToyAttention", 1)}


def test_names_lose_what_wrappers_put_before_them(recorder, toy):
    class Wrapper(nn.Module):
        def __init__(self, module):
            super().__init__()
            self._orig_mod = nn.Module()
            self._orig_mod.module = module

    model = toy(layers=1)
    model.layers[0] = Wrapper(model.layers[0])
    assert list(recorder.attach(Wrapper(model))) == ["layers.0"]


def test_a_model_that_records_nothing_is_refused_and_says_what_it_holds(recorder):
    model = nn.ModuleList([nn.MultiheadAttention(4, 1), nn.Linear(4, 4)])
    with pytest.raises(RecordingError, match="MultiheadAttention, not recognised") as caught:
        recorder.attach(model)
    assert "tap(" in caught.value.hint


def test_data_parallel_is_refused_wherever_it_stands(recorder, either):
    for model in (nn.DataParallel(either()), nn.Sequential(nn.DataParallel(either()))):
        with pytest.raises(RecordingError, match=r"copies of the model") as caught:
            recorder.attach(model)
        assert "DistributedDataParallel, started with torchrun" in caught.value.hint


def test_copies_that_data_parallel_makes_of_an_attached_layer_end_the_recording(
    tmp_path, toy, batch, shards, caplog
):
    layer = toy(layers=1).layers[0]
    with Recorder(tmp_path, interval=1, length_unit="nanometer") as recorder:
        recorder.attach(layer)
        copied = layer._replicate_for_data_parallel()
        copied.scale = layer.scale * 1
        with recorder.step(0):
            trained = copied(*batch())
    torch.testing.assert_close(trained, layer(*batch()))
    assert "copies of the model" in caplog.text
    assert shards(tmp_path) == []


def test_two_layers_of_one_number_are_refused(recorder, toy):
    model = toy(layers=2)
    model.layers[1].layer_idx = 0
    with pytest.raises(RecordingError, match="shares layer_idx 0"):
        recorder.attach(model)


def test_a_layer_without_a_number_is_refused(recorder, toy):
    model = toy(layers=1)
    del model.layers[0].layer_idx
    with pytest.raises(RecordingError, match=r"layer_idx of layers\.0"):
        recorder.attach(model)


def test_a_recorder_is_not_sent_to_another_process(recorder):
    for hand_over in (pickle.dumps, copy.deepcopy):
        with pytest.raises(RecordingError, match="sent to another process") as caught:
            hand_over(recorder)
        assert "with spawn, in the function" in caught.value.hint


def test_attaching_leaves_the_model_as_it_was(recorder, toy, batch):
    model = toy(layers=2)
    before = copy.deepcopy(model.state_dict())
    recorder.attach(model)
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(module._forward_hooks for module in model.modules())
