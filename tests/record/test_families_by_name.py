"""Layers of our own that have the structures that attach knows: recognised whatever they are."""

import math

import numpy as np
import pytest
import torch
from formulas import (
    HEADS,
    HIDDEN,
    PAIR,
    POINTS,
    WIDTH,
    assert_terms,
    point_term,
    random_inputs,
    randomised,
    softplus,
)
from torch import nn

from igaviz.errors import RecordingError
from igaviz.record import Recorder
from igaviz.record.families import family_of
from igaviz.reference.gaussians import Gaussians, log_overlap


class Frames:
    """Frames as the original layer is given them."""

    def __init__(self, translations):
        self._translations = translations

    def get_trans(self):
        return self._translations


class Original(nn.Module):
    """Invariant Gaussian Attention as users have it: parts by these names, called by keywords."""

    def __init__(self, gamma="geo_scale", pair_bias=True, heads=HEADS):
        super().__init__()
        self.linear_q = nn.Linear(WIDTH, heads * HIDDEN, bias=False)
        self.linear_k = nn.Linear(WIDTH, heads * HIDDEN, bias=False)
        if pair_bias:
            self.linear_b = nn.Linear(PAIR, heads)
        self.gaussians = nn.Linear(WIDTH, 2 * heads * POINTS * 6)
        self.register_parameter(gamma, nn.Parameter(torch.zeros(heads)))
        self.geo_bias = nn.Parameter(torch.zeros(heads))
        self.softmax = nn.Softmax(dim=-1)
        self.raw_gamma = gamma
        self.heads = heads

    def forward(self, s, z, r, mask):
        q = self.linear_q(s).unflatten(-1, (self.heads, HIDDEN))
        k = self.linear_k(s).unflatten(-1, (self.heads, HIDDEN))
        logits = torch.einsum("bihc,bjhc->bhij", q, k) / math.sqrt(HIDDEN)
        self.pair_bias = None
        if hasattr(self, "linear_b"):
            self.pair_bias = self.linear_b(z).movedim(-1, 1)
            logits = logits + self.pair_bias
        self.scalar = logits
        rotation = torch.eye(3).expand(*s.shape[:2], 3, 3)
        moves = self.gaussians(s).unflatten(-1, (2, self.heads, POINTS, 2, 3))
        centre = r.get_trans()[:, :, None, None, None] + moves[..., 0, :]
        sides = [
            Gaussians(centre[:, :, side], moves[:, :, side, ..., 1, :].exp(), rotation)
            for side in (0, 1)
        ]
        overlap, _ = log_overlap(*sides)
        scale = nn.functional.softplus(getattr(self, self.raw_gamma))
        self.geometry = scale[:, None, None] * overlap + self.geo_bias[:, None, None]
        pairs = mask[:, None, :, None] * mask[:, None, None, :]
        self.weights = self.softmax(logits + self.geometry - 1e5 * (1 - pairs))
        return torch.einsum("bhij,bjc->bic", self.weights, s)


class GeometryHeads(Original):
    """Another name, and a forward that hands on what it gets."""

    def forward(self, **given):
        return super().forward(**given)


@pytest.mark.parametrize("kind", [Original, GeometryHeads])
@pytest.mark.parametrize("gamma", ["geo_scale", "head_weights"])
@pytest.mark.parametrize("pair_bias", [False, True])
def test_the_original_gaussian_attention(precise, read, kind, gamma, pair_bias):
    layer = randomised(kind(gamma, pair_bias))
    assert precise.attach(layer) == {kind.__name__: "invariant Gaussian attention"}
    s, z, _, translations, mask = random_inputs(2)
    with precise.step(0):
        layer(s=s, z=z, r=Frames(translations), mask=mask)
    for item in range(2):
        keep = mask[item].nonzero().flatten().numpy()

        def cut(maps, item=item, keep=keep):
            return maps[item].detach().numpy()[:, keep[:, None], keep]

        found = read(item=item)
        assert_terms(
            found,
            logits_before=cut(layer.scalar),
            geo_bias=cut(layer.geometry),
            pair_bias=cut(layer.pair_bias) if pair_bias else None,
            gamma=softplus(getattr(layer, gamma)),
            ca=translations[item, keep],
        )
        np.testing.assert_array_equal(found["attention"], cut(layer.weights))


class Vectors:
    """Three coordinates apart, as OpenFold's multimer code keeps them."""

    def __init__(self, translations):
        self._translations = translations

    def to_tensor(self):
        return self._translations


class ArrayFrames:
    """Frames as OpenFold's multimer code makes them: no get_trans, a translation of vectors."""

    def __init__(self, translations):
        self.translation = Vectors(translations)


class PointProjection(nn.Module):
    """Points [*, N, H, P, 3] in global coordinates."""

    def __init__(self, points):
        super().__init__()
        self.linear = nn.Linear(WIDTH, HEADS * points * 3)

    def forward(self, s, r):
        translations = r.get_trans() if hasattr(r, "get_trans") else r.translation.to_tensor()
        return self.linear(s).unflatten(-1, (HEADS, -1, 3)) + translations[..., None, None, :]


class OpenFoldLike(nn.Module):
    """Point attention by OpenFold's names: keys with values or apart, heads first or last."""

    def __init__(self, *, keys_apart, heads_last, says_points=True):
        super().__init__()
        self.no_heads, self.heads_last = HEADS, heads_last
        if says_points:
            self.no_qk_points = POINTS
        self.linear_q = nn.Linear(WIDTH, HEADS * HIDDEN)
        self.linear_q_points = PointProjection(POINTS)
        names = ("linear_k", "linear_k_points") if keys_apart else ("linear_kv", "linear_kv_points")
        self.keys, self.key_points = names
        width = HIDDEN if keys_apart else 2 * HIDDEN
        self.add_module(names[0], nn.Linear(WIDTH, HEADS * width))
        self.add_module(names[1], PointProjection(POINTS if keys_apart else POINTS + 3))
        self.linear_b = nn.Linear(PAIR, HEADS)
        self.head_weights = nn.Parameter(torch.zeros(HEADS))
        self.softmax = nn.Softmax(dim=-2 if heads_last else -1)

    def forward(self, s, z, r, mask):
        self.q = self.linear_q(s).unflatten(-1, (HEADS, -1))
        self.k = getattr(self, self.keys)(s).unflatten(-1, (HEADS, -1))[..., :HIDDEN]
        self.points = (
            self.linear_q_points(s, r),
            getattr(self, self.key_points)(s, r)[..., :POINTS, :],
        )
        self.b = self.linear_b(z)
        apart = self.points[0].unsqueeze(-4) - self.points[1].unsqueeze(-5)
        gamma = nn.functional.softplus(self.head_weights) * math.sqrt(2 / (9 * POINTS))
        logits = torch.einsum("...ihc,...jhc->...ijh", self.q, self.k) / math.sqrt(HIDDEN) + self.b
        logits = logits - gamma / 2 * apart.square().sum(dim=(-1, -2))
        logits = logits + 1e5 * (mask[..., None] * mask[..., None, :] - 1)[..., None]
        logits = logits * math.sqrt(1 / 3)
        if not self.heads_last:
            logits = logits.movedim(-1, -3)
        return self.softmax(logits)


def test_query_points_are_counted_by_the_shape_that_makes_them(tmp_path):
    """γ depends on their number; without it a layer is none of these, which attach says."""
    recorder = Recorder(tmp_path, interval=1, length_unit="nanometer")
    layer = OpenFoldLike(keys_apart=True, heads_last=False, says_points=False)
    with pytest.raises(RecordingError, match="no layer of OpenFoldLike"):
        recorder.attach(layer)
    layer.linear_q_points = nn.Linear(WIDTH, HEADS * POINTS * 3 + 1)
    assert family_of(layer) is None
    layer.linear_q_points = nn.Linear(WIDTH, HEADS * POINTS * 3)
    family = family_of(layer)
    told = OpenFoldLike(keys_apart=True, heads_last=False)
    ones = torch.ones(HEADS)
    torch.testing.assert_close(family.gamma(layer, ones), family.gamma(told, ones))
    elsewhere = [nn.Parameter(torch.zeros(heads)) for heads in (0, HEADS - 1)]
    for weights in (*elsewhere, nn.UninitializedParameter()):
        layer.head_weights = weights  # on other ranks, or not made yet
        assert family_of(layer) is family


@pytest.mark.parametrize("heads_last", [False, True])
@pytest.mark.parametrize("keys_apart", [False, True])
def test_point_attention_by_the_names_of_openfold(precise, read, keys_apart, heads_last):
    layer = randomised(OpenFoldLike(keys_apart=keys_apart, heads_last=heads_last))
    assert precise.attach(layer) == {"OpenFoldLike": "invariant point attention"}
    s, z, _, translations, mask = random_inputs(2, n=HEADS if heads_last else 7)
    frames = ArrayFrames(translations) if heads_last else Frames(translations)
    with precise.step(0):
        layer(s, z, frames, mask)
    gamma = softplus(layer.head_weights) * math.sqrt(2 / (27 * POINTS))
    for item in range(2):
        keep = mask[item].nonzero().flatten()
        seen = (layer.q, layer.k, *layer.points)
        q, k, q_points, k_points = (x[item, keep].detach().numpy() for x in seen)
        pair_bias = layer.b[item, keep][:, keep].detach().numpy().transpose(2, 0, 1) / math.sqrt(3)
        assert_terms(
            read(item=item),
            logits_before=np.einsum("ihc,jhc->hij", q, k) / math.sqrt(3 * HIDDEN) + pair_bias,
            geo_bias=point_term(q_points, k_points, gamma),
            pair_bias=pair_bias,
            gamma=gamma,
            ca=translations[item, keep],
        )
