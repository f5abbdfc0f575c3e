import copy
import pickle

import h5py
import pytest
import torch
from elsewhere import tell
from torch import nn

import igaviz
from igaviz.errors import RecordingError
from igaviz.record import Recorder, tap
from igaviz.record.calls_tap import calls_tap


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

    for way in ("tap(", "taps_itself = True", "leave attach out", "families=["):
        assert way in caught.value.hint


def tap_in_this_file(**terms):
    tap(**terms)


class ByName(nn.Module):
    def forward(self, attention):
        tap(layer=0, attention=attention)


class ByModule(nn.Module):
    def forward(self, attention):
        igaviz.tap(layer=0, attention=attention)


class ByImport(nn.Module):
    def forward(self, attention):
        from igaviz import tap as record

        record(layer=0, attention=attention)


class ByMethod(nn.Module):
    def attend(self, attention):
        return [tap(layer=head, attention=attention) for head in range(2)]

    @torch.no_grad()
    def forward(self, attention):
        return self.attend(attention)


class ByFunction(nn.Module):
    def forward(self, attention):
        tap_in_this_file(layer=0, attention=attention)


class ByBase(ByName):
    pass


def by_closure():
    record = tap

    class Layer(nn.Module):
        def forward(self, attention):
            record(layer=0, attention=attention)

    return Layer


class Elsewhere(nn.Module):
    def forward(self, attention):
        tell(layer=0, attention=attention)


class Silent(nn.Module):
    tap = "water"

    def forward(self, attention):
        return self.tap, attention


@pytest.mark.parametrize(
    "kind", [ByName, ByModule, ByImport, ByMethod, ByFunction, ByBase, by_closure()]
)
def test_a_layer_that_calls_tap_is_known_by_its_code(recorder, kind):
    assert recorder.attach(nn.Sequential(kind())) == {"0": "taps itself"}


@pytest.mark.parametrize("kind", [Elsewhere, Silent, nn.MultiheadAttention, nn.Linear])
def test_what_calls_no_tap_is_not_taken_for_a_layer_that_does(kind):
    assert not calls_tap(kind)


class Own(nn.Module):
    """A layer of one's own: it taps, and says nothing of it."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def forward(self, x, ca, mask):
        weights = torch.softmax(-torch.cdist(ca, ca), -1)[:, None]
        tap(layer=self.number, module=self, attention=weights, ca=ca, mask=mask)
        return x


def test_a_layer_of_ones_own_has_its_name_and_the_number_that_it_taps_under(
    tmp_path, recorder, batch, shards
):
    model = nn.ModuleList([Own(7), Own(3)])
    recorder.attach(model)
    with recorder.step(0):
        for layer in model:
            layer(*batch())
    assert layers_of(tmp_path / shards(tmp_path)[0]) == {7: ("0", 1), 3: ("1", 1)}


def test_layers_of_ones_own_with_a_layer_idx_are_numbered_on_in_a_second_model(
    tmp_path, recorder, toy, batch, shards
):
    models = toy(layers=2), toy(layers=1)
    for model in models:
        for layer in model.layers:
            layer.taps_itself = None
        recorder.attach(model)
    with recorder.step(0):
        for model in models:
            model(*batch())
    assert [*layers_of(tmp_path / shards(tmp_path)[0])] == [0, 1, 2]


def test_two_layers_that_tap_under_one_number_are_said_once(
    tmp_path, recorder, batch, shards, caplog
):
    model = nn.ModuleList([Own(3), Own(3)])
    recorder.attach(model)
    for step in range(2):
        with recorder.step(step):
            for layer in (*model, model[0]):
                layer(*batch())
    assert layers_of(tmp_path / shards(tmp_path)[0]) == {3: ("0", 1)}
    (said,) = caplog.messages
    assert "two layers have the number 3, and only the first is recorded" in said


@pytest.mark.parametrize("first", ["tap", "softmax"])
def test_a_layer_that_is_recognised_and_taps_unseen_is_recorded_once(
    tmp_path, recorder, watched, batch, shards, caplog, first
):
    class Telling(type(watched(layers=1).layers[0])):
        def forward(self, s, r, mask):
            weights = torch.full((len(s), 4, s.shape[1], s.shape[1]), 1 / s.shape[1])
            terms = {"layer": 5, "attention": weights, "ca": r.translation, "mask": mask}
            if first == "tap":
                tell(**terms)
            result = super().forward(s, r, mask)
            if first == "softmax":
                tell(**terms)
            return result

    model = watched(layers=1)
    model.layers[0] = Telling()
    assert recorder.attach(model) == {"layers.0": "invariant Gaussian attention"}
    for step in range(2):
        with recorder.step(step):
            model(*batch())
    number = {"tap": 5, "softmax": 0}[first]
    assert all([*layers_of(tmp_path / name)] == [number] for name in shards(tmp_path))
    said = ["taps_itself = True and a layer_idx into its class" in text for text in caplog.messages]
    assert said == [True] * (first == "softmax")


def test_a_layer_that_is_recognised_and_calls_tap_is_not_read_from_outside(recorder, watched):
    class Tapping(type(watched(layers=1).layers[0])):
        def forward(self, s, r, mask):
            tap(layer=0, attention=s, ca=r)

    assert recorder.attach(Tapping()) == {"Tapping": "taps itself"}
    silent = Tapping()
    silent.taps_itself = False  # what it says counts
    assert recorder.attach(silent) == {"Tapping": "invariant Gaussian attention"}


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
