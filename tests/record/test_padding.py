"""Padding that a layer gave as if it were residues: said once, in the log, and by a check."""

import numpy as np
import pytest
import torch
from diverged import LAYERS
from torch import nn

from igaviz import diagnose, open_dump
from igaviz.dump.write import LayerRecord
from igaviz.record import Recorder, tap
from igaviz.record.padding import padding_in
from igaviz.softmax import softmax

N, VALID = 40, 25


class Attention(nn.Module):
    """A layer with an additive mask, of pairs or of keys, that taps right or as newcomers do."""

    def __init__(self, layer_idx, how, masks, value=-1e5, gamma=0.3, heads=4):
        super().__init__()
        self.layer_idx, self.how, self.masks, self.value = layer_idx, how, masks, value
        self.query_key = nn.Linear(16, 16 * heads)
        self.gamma = nn.Parameter(torch.full((heads,), gamma))

    def forward(self, x, ca, mask):
        q, k = self.query_key(x).unflatten(-1, (2, len(self.gamma), 8)).unbind(-3)
        s = torch.einsum("bihc,bjhc->bhij", q, k) / 8**0.5
        gamma = self.gamma
        g = -gamma[:, None, None] * torch.cdist(ca, ca).square()[:, None]
        valid = mask[:, None] if self.masks == "keys" else mask[:, None] & mask[:, :, None]
        masked = s + torch.where(valid, 0.0, self.value)[:, None]
        a = (masked + g).softmax(-1)
        tap(
            layer=self.layer_idx,
            module=self,
            logits_before=masked if self.how == "mask in the logits" else s,
            geo_bias=g,
            attention=a,
            gamma=gamma,
            ca=ca,
            mask=mask if self.how == "right" else None,
        )
        return x + torch.einsum("bhij,bjd->bid", a, x) / len(self.gamma)


def chain(n, seed=0):
    """Cα coordinates [n, 3] in nm, 0.38 apart."""
    steps = torch.randn(n, 3, generator=torch.Generator().manual_seed(seed))
    return (0.38 * nn.functional.normalize(steps, dim=-1)).cumsum(0)


def record(folder, how, masks="pairs", value=-1e5, gamma=0.3, start="near", dtype=None, **settings):
    """Three steps of two layers; the second item is padded with zeros.

    It begins near them, far off, or all of it lies on one point, as before a first update.
    """
    torch.manual_seed(0)
    layers = nn.ModuleList(Attention(i, how, masks, value, gamma) for i in range(2))
    x, ca = torch.randn(2, N, 16), torch.stack([chain(N), chain(N, seed=1)])
    mask = torch.ones(2, N, dtype=torch.bool)
    mask[1, VALID:] = False
    ca = ca * (start != "stacked") + 30.0 * (start == "far")
    ca[~mask] = 0
    cast = torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype == torch.bfloat16)
    with Recorder(folder, interval=1, length_unit="nanometer", **settings) as recorder:
        recorder.attach(layers)
        for step in range(3):
            with recorder.step(step), cast:
                y = x
                for layer in layers:
                    y = layer(y, ca, mask)


@pytest.mark.parametrize("masks", ["pairs", "keys"])
@pytest.mark.parametrize("how", ["mask in the logits", "mask forgotten"])
def test_padding_that_is_recorded_is_said_once(tmp_path, caplog, how, masks):
    record(tmp_path, how, masks)
    (said,) = caplog.messages
    assert f"step 0: {N - VALID} of the {N} residues of item 1 get no attention" in said
    assert "(layers 0, 1): is this padding? Then pass mask=[B, N]" in said
    if how == "mask forgotten":
        found = [f for f in diagnose(open_dump(tmp_path)).findings if f.id == "D003"]
        assert [finding.layer for finding in found] == [0, 1]
        assert f"it fits without {N - VALID} of {N} keys" in found[0].message
        assert "pass `mask=` to `tap`" in found[0].remedy


@pytest.mark.parametrize("start", ["near", "far", "stacked"])
@pytest.mark.parametrize("masks", ["pairs", "keys"])
def test_a_forgotten_mask_is_seen_where_most_residues_get_nothing(
    tmp_path, caplog, read_layer, masks, start
):
    """Attention is local; what is padded lies near others, far off, or where all residues lie."""
    record(tmp_path, "mask forgotten", masks, gamma=20.0, start=start)
    (said,) = caplog.messages
    assert f"{N - VALID} of the {N} residues of item 1 get no attention" in said
    A = read_layer(tmp_path / "step-000000000.rank-00000.h5", item=1)["attention"]
    nothing = (A[:, :VALID, :VALID] == 0).all(axis=0).mean()
    assert nothing > 0.3 or start == "stacked"


@pytest.mark.parametrize("value", [-1e4, -6e4, -1e9, -torch.inf])
def test_padding_is_seen_in_logits_alone_whatever_the_mask(tmp_path, caplog, value):
    store = ("logits_before", "geo_bias")
    record(tmp_path, "mask in the logits", "keys", value, store=store)
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("gamma", [0.3, 20.0, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_layer_that_gives_its_mask_is_left_in_peace(tmp_path, caplog, gamma, dtype):
    record(tmp_path, "right", gamma=gamma, dtype=dtype)
    assert caplog.messages == []
    findings = diagnose(open_dump(tmp_path)).findings
    assert "D003" not in {finding.id for finding in findings}


@pytest.mark.parametrize("blocks", [[10, 10, 10, 10], [25, *[1] * 15], [1] * 40], ids=len)
def test_a_mask_between_residues_is_no_padding(blocks):
    """By blocks, causal after a prefix, causal: no earlier query sees what comes later."""
    generator = np.random.default_rng(0)
    block = np.repeat(range(len(blocks)), blocks)
    ca = chain(N).numpy()
    S = generator.normal(size=(4, N, N)).astype(np.float32)
    G = -0.3 * np.square(ca[:, None] - ca).sum(-1) + np.zeros_like(S)
    A = softmax(np.where(block > block[:, None], -np.inf, S + G))
    assert padding_in(LayerRecord(0, logits_before=S, geo_bias=G, attention=A), ca) is None


@pytest.mark.parametrize("padded", [np.s_[VALID:], np.s_[: N - VALID]], ids=["tail", "head"])
@pytest.mark.parametrize("value", [-1e5, -np.inf], ids=["uniform", "none"])
def test_padding_on_one_point_is_seen_under_a_causal_mask(padded, value):
    """Its own queries give attention to what comes before them in it, as residues do."""
    generator = np.random.default_rng(0)
    valid = np.ones(N, dtype=bool)
    valid[padded] = False
    ca = chain(N).numpy()
    ca[padded] = 0
    S = generator.normal(size=(4, N, N)).astype(np.float32)
    G = -0.3 * np.square(ca[:, None] - ca).sum(-1) + np.zeros_like(S)
    masked = np.where(valid[:, None] == valid, S + G, value)
    A = softmax(np.where(np.tri(N, dtype=bool), masked, -np.inf).astype(np.float32))
    found = padding_in(LayerRecord(0, logits_before=S, geo_bias=G, attention=A), ca)
    np.testing.assert_array_equal(found, ~valid)


@pytest.mark.parametrize("name", LAYERS)
def test_keys_that_a_sick_layer_leaves_alone_are_no_padding(name):
    """Attention of exactly 0 that the terms explain: one-hot rows, sinks, far residues."""
    make, *how = LAYERS[name]
    S, G, A = make(*how)
    ca = chain(len(A[0])).numpy()
    assert padding_in(LayerRecord(0, logits_before=S, geo_bias=G, attention=A), ca) is None
