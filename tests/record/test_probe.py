"""A probe leaves no trace in training, and gives the same numbers for the same model."""

import json
import random
from contextlib import nullcontext

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from igaviz.errors import RecordingError
from igaviz.record import Recorder

UNIT = {"length_unit": "nanometer", "strict": True}


class Normed(nn.Module):
    """A model with state that a forward in training changes, and random numbers in it."""

    def __init__(self, inner):
        super().__init__()
        self.norm = nn.BatchNorm1d(16)
        self.dropout = nn.Dropout(0.2)
        self.inner = inner

    def forward(self, x, ca, mask):
        x = self.norm(x.transpose(1, 2)).transpose(1, 2)
        noise = random.random() + np.random.random() + torch.rand(())
        return self.inner(self.dropout(x) + 0.1 * noise, ca, mask)


def seed():
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)


def train(either, batch, recorder=None, probe=None, steps=10):
    """All losses, the numbers that are drawn next, the modes and the state after `steps`."""
    seed()
    model = Normed(either(layers=2))
    model.inner.layers[1].eval()
    if recorder:
        recorder.attach(model)
    if probe:
        recorder.probe(probe(model))
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for step in range(steps):
        with recorder.step(step) if recorder else nullcontext():
            loss = model(*batch(seed=step))
            optimiser.zero_grad()
            loss.backward()
        optimiser.step()
        assert torch.is_grad_enabled()
        losses.append(loss.item())
    drawn = [random.random(), np.random.random(), torch.rand(()).item()]
    modes = [module.training for module in model.modules()]
    return losses, drawn, modes, model.state_dict()


@pytest.mark.parametrize("fails", [False, True])
def test_training_is_the_same_bit_by_bit_with_a_probe(tmp_path, either, batch, shards, fails):
    def broken(model):
        def run():
            model(*batch(seed=77))
            raise ZeroDivisionError

        return run

    probe = broken if fails else lambda model: batch(seed=77)
    *alone, state = train(either, batch)
    recorder = Recorder(tmp_path, interval=2, scalars_interval=1, length_unit="nanometer")
    *beside, state_beside = train(either, batch, recorder, probe)
    recorder.close()
    assert beside == alone
    assert state.keys() == state_beside.keys()
    assert all(torch.equal(state[name], state_beside[name]) for name in state)
    probed = [name for name in shards(tmp_path) if "probe" in name]
    assert len(probed) == (0 if fails else 5)
    assert len(shards(tmp_path)) - len(probed) == 5
    assert recorder.scalars()
    (attempt,) = json.loads((tmp_path / "run.json").read_text())["attempts"]
    assert attempt["failed_probes"] == (10 if fails else 0)
    assert "off" not in attempt


def test_a_probe_that_fails_says_how_it_was_called(tmp_path, either, batch, caplog):
    """A model that takes one dictionary is not called with its keys."""

    class OfADictionary(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, given):
            return self.inner(**given)

    model = OfADictionary(either(layers=1))
    x, ca, mask = batch()
    given = {"x": x, "ca": ca, "mask": mask}
    for probe, strict, failed in (
        (given, False, True),
        (given, True, True),
        ((given,), True, False),
    ):
        caplog.clear()
        folder = tmp_path / f"{failed} {strict}"
        recorder = Recorder(folder, interval=1, strict=strict, length_unit="nanometer")
        recorder.attach(model)
        recorder.probe(probe)
        refused = pytest.raises(RecordingError, match="the probe failed, which was called as")
        with refused if failed and strict else nullcontext():
            for step in range(2):
                with recorder.step(step):
                    model(given)
        recorder.close()
        assert len(caplog.messages) == (failed and not strict)
        if caplog.messages:
            assert "called as OfADictionary(x=…, ca=…, mask=…): TypeError" in caplog.text
            assert "write probe((batch,))" in caplog.text


class WithoutWordsError(Exception):
    def __str__(self):
        raise ValueError("no words")


@pytest.mark.parametrize("strict", [False, True])
def test_a_probe_whose_exception_cannot_say_what_it_is_leaves_training_alone(
    tmp_path, either, batch, caplog, strict
):
    def probe():
        raise WithoutWordsError

    recorder = Recorder(tmp_path, interval=1, strict=strict, length_unit="nanometer")
    model = either(layers=1)
    recorder.attach(model)
    recorder.probe(probe)
    with pytest.raises(RecordingError) if strict else nullcontext(), recorder.step(0):
        model(*batch())
    recorder.close()
    said = "WithoutWordsError: (its text can't be had: ValueError)"
    assert strict or said in caplog.text


def maps(path):
    with h5py.File(path) as file:
        (step,) = file["steps"].values()
        return {
            name: dataset[()]
            for name, dataset in step["batch"]["0/layers"]["0"].items()
            if isinstance(dataset, h5py.Dataset)
        }


def test_a_model_that_did_not_change_gives_the_same_numbers(tmp_path, either, batch, shards):
    model = Normed(either(layers=1))
    x, ca, mask = batch(seed=77)
    with Recorder(tmp_path, interval=3, **UNIT) as recorder:
        recorder.attach(model)
        recorder.probe({"x": x, "ca": ca, "mask": mask}, names=["a", "b", "c"], flow_time=1.0)
        for step in range(7):
            with recorder.step(step), torch.no_grad():
                model.norm.eval()
                model(*batch(seed=step))
            if step == 3:
                with torch.no_grad():
                    model.inner.layers[0].get_parameter(
                        "scale" if hasattr(model.inner.layers[0], "scale") else "geo_scale"
                    ).add_(1)
    found = [maps(tmp_path / name) for name in shards(tmp_path) if "probe" in name]
    assert len(found) == 3
    for name, values in found[0].items():
        np.testing.assert_array_equal(values, found[1][name])
    assert not np.array_equal(found[0]["geo_bias"], found[2]["geo_bias"])
    with h5py.File(next(tmp_path.glob("*3.probe*"))) as file:
        item = file["steps/000000003/batch/1"]
        assert (item.attrs["name"], item.attrs["flow_time"]) == ("b", 1.0)
        assert item["layers/0"].attrs["training"] == 0


def test_what_is_no_probe_is_refused_at_once(tmp_path, either, batch):
    with Recorder(tmp_path, interval=1, **UNIT) as recorder:
        with pytest.raises(RecordingError, match="0 are attached"):
            recorder.probe(batch())
        recorder.attach(either())
        with pytest.raises(RecordingError, match="is called 'phase'"):
            recorder.probe(batch(), phase="val")
