"""What reading from outside does to a model: nothing that stays, whatever happens."""

import copy
import functools
import io
import logging
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from igaviz.checks import Settings
from igaviz.dump import open_dump
from igaviz.errors import RecordingError
from igaviz.record import Recorder
from igaviz.reference.frames import Frames
from igaviz.reference.layer import IgaSettings, InvariantGaussianAttention, Residues
from igaviz.survey.diagnose import diagnose
from igaviz.survey.verify import verify


def open_recorder(folder, **changes):
    return Recorder(folder, interval=1, length_unit="nanometer", **({"strict": True} | changes))


@pytest.fixture
def recorder(tmp_path):
    with open_recorder(tmp_path) as recorder:
        yield recorder


def assert_untouched(model):
    """Nothing of a recorder is in the model or in torch."""
    for module in model.modules():
        assert "forward" not in vars(module)
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    assert torch._C._len_torch_function_stack() == 0


class Interrupting(nn.Linear):
    """Raises what it is told to, once."""

    error = None

    def forward(self, x):
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return super().forward(x)


@pytest.mark.parametrize("kind", [None, ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_stays_in_the_model(tmp_path, watched, batch, kind):
    model = watched(layers=2)
    model.layers[1].linear_k = Interrupting(16, 32)
    with open_recorder(tmp_path) as recorder:
        recorder.attach(model)
        if kind is not None:
            model.layers[1].linear_k.error = kind("stop")
            with pytest.raises(kind, match="stop"), recorder.step(0):
                model(*batch())
            assert_untouched(model)
        with recorder.step(1):
            model(*batch())
        assert_untouched(model)


def test_two_recorders_may_end_their_steps_in_any_order(
    tmp_path, watched, batch, shards, read_layer
):
    model = watched(layers=1)
    with open_recorder(tmp_path / "a") as first, open_recorder(tmp_path / "b") as second:
        first.attach(model)
        second.attach(model)
        steps = first.step(0), second.step(0), first.step(1)
        steps[0].__enter__()
        steps[1].__enter__()
        model(*batch())
        steps[0].__exit__(None, None, None)
        steps[2].__enter__()
        model(*batch(seed=1))
        steps[1].__exit__(None, None, None)
        steps[2].__exit__(None, None, None)
        assert_untouched(model)
    of_first, of_next = (read_layer(tmp_path / "a" / name) for name in shards(tmp_path / "a"))
    (name,) = shards(tmp_path / "b")
    of_second = read_layer(tmp_path / "b" / name)
    assert np.array_equal(of_first["attention"], of_second["attention"])
    assert not np.array_equal(of_first["attention"], of_next["attention"])


def test_a_copy_of_the_model_is_not_watched(tmp_path, recorder, watched, batch, shards):
    model = watched(layers=1)
    recorder.attach(model)
    file = io.BytesIO()
    with recorder.step(0):
        model(*batch())
        within = copy.deepcopy(model)
        torch.save(model, file)
    between = copy.deepcopy(model)
    file.seek(0)
    copies = within, between, torch.load(file, weights_only=False)
    with recorder.step(1):
        losses = [copied.eval()(*batch()) for copied in copies]
    assert losses[0] == losses[1] == losses[2] == model.eval()(*batch())
    recorder.flush()
    assert len(shards(tmp_path)) == 1


def replaced(model, **changes):
    """The model with some methods of its layers' class replaced."""
    kind = type("Changed", (type(model.layers[0]),), changes)
    for layer in model.layers:
        layer.__class__ = kind
    return model


def coarse(self, s, r, mask):
    """All in the type that q·k has: nothing in float32 widens the logits."""
    q, k = (x(s).unflatten(-1, (4, 8)) for x in (self.linear_q, self.linear_k))
    logits = torch.einsum("bihc,bjhc->bhij", q, k) / 8**0.5
    gamma = nn.functional.softplus(self.geo_scale)[:, None, None]
    geometry = gamma * (r.translation[:, None] - r.translation[:, :, None]).norm(dim=-1)[:, None]
    pairs = mask[:, None, :, None] & mask[:, None, None]
    logits = logits - geometry.to(logits.dtype) - 1e4 * (~pairs).to(logits.dtype)
    return s + torch.einsum("bhij,bjd->bid", self.softmax(logits).to(s.dtype), s) / 4


@pytest.mark.parametrize(
    ("autocast", "dtype", "changes", "computed_in"),
    [
        (True, torch.bfloat16, {}, "float32"),
        (True, torch.bfloat16, {"forward": coarse}, "bfloat16"),
        (True, torch.float16, {"forward": coarse}, "float16"),
        (False, torch.bfloat16, {"forward": coarse}, "bfloat16"),
        (False, torch.float16, {"forward": coarse}, "float16"),
        (False, torch.float64, {"forward": coarse}, "float32"),
    ],
)
def test_coarse_types_are_said_and_the_dump_is_whole(
    tmp_path, watched, batch, shards, read_layer, autocast, dtype, changes, computed_in
):
    model, (x, ca, mask) = replaced(watched(layers=2), **changes), batch(sizes=(30, 40))
    if not autocast:
        model, x, ca = (given.to(dtype) for given in (model, x, ca))
    with open_recorder(tmp_path, attention_dtype="float32") as recorder:
        recorder.attach(model)
        with recorder.step(0), torch.autocast("cpu", dtype=dtype, enabled=autocast):
            model(x, ca, mask)
    found = read_layer(tmp_path / shards(tmp_path)[0])
    assert (found["compute_dtype"], found["attention_dtype"]) == (computed_in, computed_in)
    dump = open_dump(tmp_path)
    assert verify(dump).whole
    invariants = Settings.of(select=("D001", "D002", "D003"))
    assert not diagnose(dump, settings=invariants).findings


def test_the_gradient_of_gamma_is_autograds(tmp_path, recorder, watched, batch, shards, read_layer):
    model = watched(layers=2)
    recorder.attach(model)
    with recorder.step(0):
        model(*batch()).backward()
    with recorder.step(1), torch.no_grad():
        model(*batch())
    recorder.flush()
    first, second = shards(tmp_path)
    for number, layer in enumerate(model.layers):
        slope = torch.sigmoid(layer.geo_scale)  # of softplus
        expected = (layer.geo_scale.grad / slope).norm().item()
        found = read_layer(tmp_path / first, number)["gamma_gradient_norm"]
        assert found == pytest.approx(expected, rel=1e-4)
        assert "gamma_gradient_norm" not in read_layer(tmp_path / second, number)


def test_the_gradient_of_a_tapped_gamma_is_autograds(tmp_path, recorder, shards, read_layer):
    torch.manual_seed(0)
    layer = InvariantGaussianAttention(IgaSettings(c_s=8, c_z=8, n_heads=2))
    nn.init.normal_(layer.output.weight)
    recorder.attach(layer)
    rotation = torch.eye(3).expand(1, 6, 3, 3)
    residues = Residues(
        Frames(rotation, torch.randn(1, 6, 3)), torch.zeros(1, 6, 3), torch.zeros(1, 6, 3)
    )
    with recorder.step(0):
        update = layer(
            torch.randn(1, 6, 8), torch.randn(1, 6, 6, 8), residues, torch.ones(1, 6).bool()
        )
        update.square().sum().backward()
    recorder.flush()
    slope = torch.sigmoid(layer.geo_scale)
    expected = (layer.geo_scale.grad / slope).norm().item()
    found = read_layer(tmp_path / shards(tmp_path)[0])["gamma_gradient_norm"]
    assert found == pytest.approx(expected, rel=1e-4)


def fused(self, s, r, mask):
    q, k = (x.unflatten(-1, (4, 8)).transpose(1, 2) for x in (self.linear_q(s), self.linear_k(s)))
    distances = torch.cdist(r.translation, r.translation)[:, None]
    bias = -nn.functional.softplus(self.geo_scale)[:, None, None] * distances
    seen = nn.functional.scaled_dot_product_attention(q, k, q, attn_mask=bias)
    return s + seen.sum(1).repeat(1, 1, 2)


def masked_otherwise(self, s, r, mask, pair_mask=None):
    return type(self).__mro__[1].forward(self, s, r, mask)


def dropping_logits(self, s, r, mask):
    softmax = self.softmax
    self.softmax = nn.Sequential(self.drop, softmax)
    try:
        return type(self).__mro__[1].forward(self, s, r, mask)
    finally:
        self.softmax = softmax


@pytest.mark.parametrize(
    ("forward", "further", "message"),
    [
        (fused, (), "without a softmax over maps"),
        (masked_otherwise, (torch.ones(1),), "it was given pair_mask"),
        (dropping_logits, (), "its drop drops logits"),
    ],
)
def test_what_cannot_be_told_apart_is_refused_and_training_goes_on(
    tmp_path, watched, batch, caplog, forward, further, message
):
    model = replaced(watched(layers=1), forward=forward)
    layer, (x, ca, mask) = model.layers[0], batch()
    given = (x, Frames(torch.eye(3), ca), mask, *further)
    with open_recorder(tmp_path / "off", strict=False) as recorder:
        recorder.attach(model)
        for step in range(3):
            with recorder.step(step):
                layer(*given).sum().backward()
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert message in record.getMessage() + str(record.exc_info)
    assert_untouched(model)
    strict = open_recorder(tmp_path / "strict")
    strict.attach(model)
    with pytest.raises(RecordingError, match=message) as caught, strict.step(0):
        layer(*given)
    assert "tap(" in caught.value.hint
    assert_untouched(model)


def wider(forward):
    """A decorator whose function takes more than the signature that it shows."""

    @functools.wraps(forward)
    def wrapper(self, *arguments, verbose=False, **keywords):
        gate = torch.softmax(arguments[0], dim=1)  # is not the attention
        return forward(self, *arguments, **keywords) + 0 * gate

    return wrapper


def test_arguments_that_the_signature_does_not_show_cost_no_training(
    tmp_path, watched, batch, caplog
):
    model = watched(layers=1)
    layer, (x, ca, mask) = model.layers[0], batch()
    plain = layer.eval()(x, Frames(torch.eye(3), ca), mask)
    replaced(model, forward=wider(type(layer).forward))
    with open_recorder(tmp_path, strict=False) as recorder:
        recorder.attach(model)
        with recorder.step(0), pytest.raises(AttributeError):
            layer(x, None, mask)  # the layer's own complaint, not the recorder's
        with recorder.step(1):
            assert torch.equal(layer(x, Frames(torch.eye(3), ca), mask), plain)
        with recorder.step(2):
            assert torch.equal(layer(x, Frames(torch.eye(3), ca), mask, verbose=True), plain)
    assert "unexpected keyword argument" in caplog.text


def test_what_is_not_recognised_is_named(recorder, watched, caplog):
    model = nn.ModuleList([watched(layers=1), nn.MultiheadAttention(4, 1)])
    assert recorder.attach(model) == {"0.layers.0": "invariant Gaussian attention"}
    assert "MultiheadAttention, not recognised" in caplog.text
    assert "tap(" in caplog.text
    caplog.clear()
    recorder.attach(model[0])
    assert not caplog.text


def test_a_model_may_be_attached_again_when_it_has_grown(
    tmp_path, recorder, watched, batch, shards, read_layer
):
    model = watched(layers=1)
    recorder.attach(model)
    model.layers.append(watched(layers=1).layers[0])
    assert list(recorder.attach(model)) == ["layers.0", "layers.1"]
    with recorder.step(0):
        model(*batch())
    recorder.flush()
    names = [read_layer(tmp_path / shards(tmp_path)[0], layer)["module"] for layer in (0, 1)]
    assert names == ["layers.0", "layers.1"]


def test_the_family_of_the_page_runs(tmp_path, root):
    page = (root / "docs" / "recording.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(import math\n.*?)```", page, flags=re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert done.stdout == "{'attention': 'distance attention'}\n"
    assert not done.stderr
    dump = open_dump(tmp_path / "dumps" / "mine")
    assert verify(dump).maps == 8
    assert verify(dump).whole
