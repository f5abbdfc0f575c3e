"""Which forward of a training step is recorded, and which gradient, whatever the loop is like."""

import copy
import io
from contextlib import nullcontext
from types import MethodType

import h5py
import pytest
import torch
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.utils.checkpoint import checkpoint

from igaviz.record import Recorder, recording
from igaviz.reference.layer import InvariantGaussianAttention

UNIT = {"length_unit": "nanometer", "strict": True}


def gamma_parameters(model):
    return [p for name, p in model.named_parameters() if name.endswith("scale")]


def gamma_gradients(model):
    """The norm of ∂loss/∂γ of each layer, from the gradient of what γ is the softplus of."""
    return [float((p.grad / torch.sigmoid(p.detach())).norm()) for p in gamma_parameters(model)]


def recorded_gradients(path):
    with h5py.File(path) as file:
        (step,) = file["steps"].values()
        layers = step["batch/0/layers"]
        return [layers[number].attrs.get("gamma_gradient_norm") for number in sorted(layers)]


def first_item(path, layer=0):
    """What the layer made of the first item: enough to tell one forward from another."""
    with h5py.File(path) as file:
        (step,) = file["steps"].values()
        return torch.from_numpy(step[f"batch/0/layers/{layer}/attention"][:].copy())


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("whole", [True, False])
def test_a_checkpoint_makes_one_record_with_its_gradient(
    tmp_path, either, batch, shards, reentrant, whole
):
    model = either(layers=2)
    x, ca, mask = batch()
    x.requires_grad_()
    runs = []
    model.layers[0].register_forward_pre_hook(lambda *_: runs.append(recording()))
    with Recorder(tmp_path, interval=1, scalars_interval=1, **UNIT) as recorder:
        recorder.attach(model)
        with recorder.step(0):
            if whole:
                loss = checkpoint(model, x, ca, mask, use_reentrant=reentrant)
            else:
                loss = model.through(checkpoint, x, ca, mask, use_reentrant=reentrant)
            loss.backward()
    # In the recomputation the answer is the same: a layer that asks computes the same in both.
    assert runs == [True, True]
    (name,) = shards(tmp_path)
    assert recorded_gradients(tmp_path / name) == pytest.approx(gamma_gradients(model), rel=1e-4)


def test_a_wrapper_does_not_pass_for_the_layer_in_it(tmp_path, either, batch, shards):
    model = either(layers=2)
    for index, layer in enumerate(model.layers):
        model.layers[index] = checkpoint_wrapper(layer)
    with Recorder(tmp_path, interval=1, **UNIT) as recorder:
        assert list(recorder.attach(model)) == ["layers.0", "layers.1"]
        with recorder.step(0):
            model(*batch()).backward()
    found = recorded_gradients(tmp_path / shards(tmp_path)[0])
    assert found == pytest.approx(gamma_gradients(model), rel=1e-4)


def test_a_layer_that_computes_more_while_it_is_recorded_may_be_checkpointed(
    tmp_path, denoiser, shards
):
    model, chain_batch = denoiser
    calls = []
    for layer in model.modules():
        if isinstance(layer, InvariantGaussianAttention):
            forward = layer.forward

            def checkpointed(s, *rest, forward=forward):
                calls.append(torch.is_grad_enabled())
                return checkpoint(forward, s, *rest, use_reentrant=False)

            layer.forward = checkpointed
    with Recorder(tmp_path, interval=2, **UNIT) as recorder:
        recorder.attach(model)
        for step in range(3):
            with recorder.step(step):
                model(chain_batch)[-1].translation.square().sum().backward()
    assert len(calls) == 6
    assert len(shards(tmp_path)) == 2
    assert all(norm is not None for norm in recorded_gradients(tmp_path / shards(tmp_path)[0]))


def test_of_micro_batches_the_first_is_recorded_with_its_own_gradient(
    tmp_path, either, batch, shards
):
    """Several forwards and backwards in one step, and one step entered several times."""
    model = either(layers=2).eval()
    expected = copy.deepcopy(model)
    expected(*batch()).backward()
    with Recorder(tmp_path, interval=1, **UNIT) as recorder:
        recorder.attach(model)
        for step in range(2):
            model.zero_grad()
            for half in range(2):
                with recorder.step(step):
                    for micro_batch in range(2):
                        loss = model(*batch(seed=2 * half + micro_batch))
                        (loss * (1 + 10 * micro_batch)).backward()
    assert len(shards(tmp_path)) == 2
    for name in shards(tmp_path):
        found = recorded_gradients(tmp_path / name)
        assert found == pytest.approx(gamma_gradients(expected), rel=1e-4)


def test_self_conditioning_records_the_call_that_the_step_is_around(
    tmp_path, either, batch, shards
):
    model = either(layers=2).eval()
    first, second = batch(seed=1), batch(seed=2)
    expected = copy.deepcopy(model)
    expected(*second).backward()
    with Recorder(tmp_path, interval=1, **UNIT) as recorder:
        recorder.attach(model)
        with recorder.step(0):
            with torch.no_grad():
                model(*first)
            model(*second).backward()
        with torch.no_grad():
            model(*first)
        with recorder.step(1):
            model(*second).backward()
        for step, data in ((2, first), (3, second)):
            with recorder.step(step):
                model(*data)
    both, around, of_first, of_second = (tmp_path / name for name in shards(tmp_path))
    assert torch.equal(first_item(both), first_item(of_first))
    assert torch.equal(first_item(around), first_item(of_second))
    # The only gradient that reaches γ is that of the second call, either way.
    for path in (both, around):
        assert recorded_gradients(path) == pytest.approx(gamma_gradients(expected), rel=1e-4)
    assert recorded_gradients(of_first) == [None, None]


def test_several_models_are_numbered_on_whichever_is_called_first(tmp_path, either, batch, shards):
    first, second = either(layers=2), either(layers=1)
    with Recorder(tmp_path, interval=1, **UNIT) as recorder:
        recorder.attach(first)
        recorder.attach(second)
        with recorder.step(0):
            second(*batch())
            first(*batch())
        with recorder.step(1):
            second(*batch())
    both, only_second = (tmp_path / name for name in shards(tmp_path))
    for path, layers in ((both, {"0", "1", "2"}), (only_second, {"2"})):
        with h5py.File(path) as file:
            (step,) = file["steps"].values()
            assert set(step["batch/0/layers"]) == layers
            assert step["batch/0/layers/2"].attrs["module"] == "layers.0"


@pytest.mark.parametrize("mode", [nullcontext, torch.no_grad, torch.inference_mode])
def test_each_phase_of_a_step_is_recorded_in_any_mode(tmp_path, either, batch, shards, mode):
    model = either(layers=1)
    phases = ("train", "val", "sample")
    with Recorder(tmp_path, interval=5, **UNIT) as recorder:
        recorder.attach(model)
        recorder.probe(lambda: model(*batch()))
        for step in (4, 5):
            for phase in phases:
                model.train(phase == "train")
                with mode(), recorder.step(step, phase=phase):
                    model(*batch())
    names = ["step-000000005.rank-00000.h5"]
    names += [f"step-000000005.{phase}.rank-00000.h5" for phase in (*phases[1:], "probe")]
    assert shards(tmp_path) == sorted(names)
    for name in names:
        with h5py.File(tmp_path / name) as file:
            training = file["steps/000000005/batch/0/layers/0"].attrs["training"]
            assert training == (name == names[0])


def test_a_copy_that_is_made_in_a_due_step_has_nothing_of_the_recorder_in_it(
    tmp_path, either, batch, shards
):
    model, data = either(layers=2).eval(), batch()
    # As some libraries put themselves before a layer: it stays there, in the model and in a copy.
    model.layers[1].forward = MethodType(type(model.layers[1]).forward, model.layers[1])
    expected = model(*data).item()
    on_disk = io.BytesIO()
    with Recorder(tmp_path, interval=1, **UNIT) as recorder:
        recorder.attach(model)
        with recorder.step(0):
            in_memory = copy.deepcopy(model)
            torch.save(model, on_disk)
        with recorder.step(1):
            model(*data)
    on_disk.seek(0)
    assert b"igaviz" not in on_disk.getvalue() or either.__name__ == "ToyModel"
    for copied in (in_memory, torch.load(on_disk, weights_only=False)):
        assert copied(*data).item() == expected
        for layer in copied.layers:
            assert layer.forward.__self__ is layer
        with torch.no_grad():
            next(copied.parameters()).mul_(2)
        assert copied(*data).item() != expected
    assert shards(tmp_path) == ["step-000000001.rank-00000.h5"]
    assert "forward" not in model.layers[0].__dict__
    assert model.layers[1].forward.__self__ is model.layers[1]
