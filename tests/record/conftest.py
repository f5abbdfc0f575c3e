"""A small model whose layers tap themselves, and readers that know nothing but h5py."""

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from igaviz.record import Recorder, tap
from igaviz.reference.data import load_chains
from igaviz.reference.data import make_batch as make_chain_batch
from igaviz.reference.layer import IgaSettings
from igaviz.reference.model import Denoiser, ModelSettings

sys.path.append(str(Path(__file__).parent))  # for `formulas`


class ToyAttention(nn.Module):
    """Attention with a scalar and a distance term, masked the way the real layer masks."""

    taps_itself = True

    def __init__(self, layer_idx=0, heads=4, width=16):
        super().__init__()
        self.layer_idx = layer_idx
        self.query_key = nn.Linear(width, 2 * heads * 8)
        self.scale = nn.Parameter(torch.linspace(0.1, 1.0, heads))
        self.weights = None

    def forward(self, x, ca, mask):
        heads = len(self.scale)
        q, k = self.query_key(x).unflatten(-1, (2, heads, 8)).unbind(-3)
        logits_before = torch.einsum("bihc,bjhc->bhij", q, k) / 8**0.5
        gamma = nn.functional.softplus(self.scale)
        geo_bias = -gamma[:, None, None] * torch.cdist(ca, ca).square()[:, None]
        pairs = (mask[:, :, None] & mask[:, None, :])[:, None]
        weights = torch.softmax(logits_before + geo_bias - 1e5 * ~pairs, dim=-1)
        tap(
            layer=self.layer_idx,
            module=self,
            logits_before=logits_before,
            geo_bias=geo_bias,
            attention=weights,
            gamma=gamma,
            ca=ca,
            mask=mask,
        )
        self.weights = weights.detach()
        return x + torch.einsum("bhij,bjd->bid", weights, x) / heads


def call(layer, *given):
    return layer(*given)


class ToyModel(nn.Module):
    def __init__(self, layers=2, heads=4):
        super().__init__()
        self.layers = nn.ModuleList(ToyAttention(i, heads) for i in range(layers))

    def forward(self, x, ca, mask):
        return self.through(call, x, ca, mask)

    def through(self, run, x, ca, mask, **how):
        """The loss, where each layer is called by `run`."""
        for layer in self.layers:
            x = run(layer, x, ca, mask, **how)
        return x.square().mean()


class Translations:
    """Frames, as far as a recorder looks at them."""

    def __init__(self, translation):
        self.translation = translation


class PlainAttention(nn.Module):
    """Knows nothing of recorders: its structure is that of Invariant Gaussian Attention."""

    def __init__(self, heads=4, width=16):
        super().__init__()
        self.heads = heads
        self.linear_q = nn.Linear(width, heads * 8, bias=False)
        self.linear_k = nn.Linear(width, heads * 8, bias=False)
        self.geo_scale = nn.Parameter(torch.linspace(0.1, 1.0, heads))
        self.softmax = nn.Softmax(dim=-1)
        self.drop = nn.Dropout(0.1)

    def forward(self, s, r, mask):
        q = self.linear_q(s).unflatten(-1, (self.heads, 8))
        k = self.linear_k(s).unflatten(-1, (self.heads, 8))
        logits = torch.einsum("bihc,bjhc->bhij", q, k) / 8**0.5
        gamma = nn.functional.softplus(self.geo_scale)
        distance = torch.cdist(r.translation, r.translation)
        logits = logits - gamma[:, None, None] * distance.square()[:, None]
        pairs = (mask[:, :, None] & mask[:, None, :])[:, None]
        weights = self.softmax(logits - 1e5 * ~pairs)
        return s + self.drop(torch.einsum("bhij,bjd->bid", weights, s)) / self.heads


class PlainModel(nn.Module):
    """Called as `ToyModel` is; its layers are read from outside."""

    def __init__(self, layers=2, heads=4):
        super().__init__()
        self.layers = nn.ModuleList(PlainAttention(heads) for _ in range(layers))

    def forward(self, x, ca, mask):
        return self.through(call, x, ca, mask)

    def through(self, run, x, ca, mask, **how):
        """The loss, where each layer is called by `run`."""
        for layer in self.layers:
            x = run(layer, x, Translations(ca), mask, **how)
        return x.square().mean()


def make_batch(sizes=(9, 12, 7), seed=0):
    """Padded to the longest; every item has a hole in its mask."""
    generator = torch.Generator().manual_seed(seed)
    n = max(sizes)
    x = torch.randn(len(sizes), n, 16, generator=generator)
    ca = torch.randn(len(sizes), n, 3, generator=generator)
    mask = torch.arange(n) < torch.tensor(sizes)[:, None]
    mask[:, 3] = False
    return x, ca, mask


@pytest.fixture
def toy():
    torch.manual_seed(0)
    return ToyModel


@pytest.fixture
def denoiser(sample_data):
    """The reference model, small, with every parameter in use, and a batch of two chains."""
    torch.manual_seed(0)
    sizes = ModelSettings(IgaSettings(c_s=16, c_z=8, c_hidden=8, n_heads=2), n_layers=2)
    model = Denoiser(sizes)
    for parameter in model.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    first, second, *_ = load_chains(sample_data / "chains.npz")
    chains = [first.crop(5, 20), second.crop(5, 16)]
    return model, make_chain_batch(chains, torch.tensor([0.2, 0.8]), torch.Generator())


@pytest.fixture
def watched():
    """A kind of model whose layers are read from outside."""
    torch.manual_seed(0)
    return PlainModel


@pytest.fixture(params=[ToyModel, PlainModel], ids=["taps", "watched"])
def either(request):
    """A kind of model: its layers tap themselves, or are read from outside."""
    torch.manual_seed(0)
    return request.param


@pytest.fixture
def batch():
    return make_batch


@pytest.fixture
def shards():
    """The names of the shards in a folder."""
    return lambda folder: sorted(path.name for path in folder.glob("*.h5"))


@pytest.fixture
def read_layer():
    """All arrays and attributes of one layer of one item, by name."""

    def read(path, layer=0, item=0):
        with h5py.File(path) as file:
            (step,) = file["steps"].values()
            group = step[f"batch/{item}"]
            found = {
                name: np.asarray(dataset)
                for name, dataset in group.items()
                if isinstance(dataset, h5py.Dataset) and name != "sequence"
            }
            found |= dict(group[f"layers/{layer}"].attrs)
            found |= {name: np.asarray(d) for name, d in group[f"layers/{layer}"].items()}
            return found

    return read


@pytest.fixture
def precise(tmp_path):
    """A strict recorder of every step that keeps weights in float32."""
    with Recorder(
        tmp_path, interval=1, length_unit="nanometer", strict=True, attention_dtype="float32"
    ) as recorder:
        yield recorder


@pytest.fixture
def read(tmp_path, precise, shards, read_layer):
    """What `precise` has recorded first of a layer of an item."""

    def of(layer=0, item=0):
        precise.flush()
        return read_layer(tmp_path / shards(tmp_path)[0], layer, item)

    return of
