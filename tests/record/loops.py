"""What loops of every framework train in the tests, and what must be true after each."""

import h5py
import pytest
import torch
from elsewhere import tell
from torch import nn
from torch.utils.data import Dataset

from igaviz.errors import RecordingError
from igaviz.record import Recorder, active

N, WIDTH = 9, 16


class Proteins(Dataset):
    """Items of one shape, each with a hole in its mask."""

    def __init__(self, items=8):
        generator = torch.Generator().manual_seed(0)
        self.x = torch.randn(items, N, WIDTH, generator=generator)
        self.ca = torch.randn(items, N, 3, generator=generator)
        self.mask = torch.ones(N, dtype=torch.bool)
        self.mask[3] = False

    def __len__(self):
        return len(self.x)

    def __getitem__(self, item):
        return {"x": self.x[item], "ca": self.ca[item], "mask": self.mask, "number": item}


class Watched(nn.Module):
    """A layer that doesn't tap itself: q·k and a distance term, in the original's shape."""

    class Frames:
        def __init__(self, ca):
            self.ca = ca

        def get_trans(self):
            return self.ca

    def __init__(self, heads=2):
        super().__init__()
        self.linear_q, self.linear_k = nn.Linear(WIDTH, 8 * heads), nn.Linear(WIDTH, 8 * heads)
        self.geo_scale = nn.Parameter(torch.zeros(heads))
        self.softmax = nn.Softmax(dim=-1)

    def forward(self, s, z, r, mask):
        q, k = (f(s).unflatten(-1, (-1, 8)) for f in (self.linear_q, self.linear_k))
        logits = torch.einsum("bihc,bjhc->bhij", q, k) / 8**0.5
        gamma = nn.functional.softplus(self.geo_scale)[:, None, None]
        logits = logits - gamma * torch.cdist(r.get_trans(), r.get_trans())[:, None]
        pairs = (mask[:, :, None] & mask[:, None, :])[:, None]
        return s + torch.einsum("bhij,bjc->bic", self.softmax(logits - 1e5 * ~pairs), s)


class Network(nn.Module):
    def __init__(self, layers=2):
        super().__init__()
        self.layers = nn.ModuleList(Watched() for _ in range(layers))

    def forward(self, x, ca, mask, number=None, labels=None):
        for layer in self.layers:
            x = layer(s=x, z=None, r=Watched.Frames(ca), mask=mask)
        return {"loss": x.square().mean()}


def recorded(folder):
    """(phase, step) → the step's attributes, its items' names and its layers."""
    found = {}
    for path in folder.glob("*.h5"):
        with h5py.File(path) as file:
            (step,) = file["steps"].values()
            names = [item.attrs.get("name") for item in step["batch"].values()]
            layers = sorted(map(int, step["batch/0/layers"]))
            found[step.attrs["phase"], int(step.attrs["step"])] = dict(step.attrs), names, layers
    return found


def assert_nothing_is_left(model):
    assert not active.listeners
    assert not active.steps_entered
    for module in model.modules():
        assert "forward" not in vars(module)
        assert not module._forward_hooks


def names_of(batch):
    return {"names": [f"protein {number}" for number in batch["number"].tolist()]}


class ForgetsToSay(Watched):
    """It taps where attach can't see it, without `taps_itself`."""

    def __init__(self):
        super().__init__()
        del self.geo_scale

    def forward(self, s, z, r, mask):
        weights = torch.softmax(-torch.cdist(r.get_trans(), r.get_trans())[:, None], -1)
        tell(layer=0, attention=weights, ca=r.get_trans(), mask=mask)
        return s + self.linear_q(s)


def assert_trained_though_nothing_is_recognised(train, folder, caplog):
    """`train` takes a recorder and trains a model of a layer that forgets to say."""
    with Recorder(folder / "run", interval=1, length_unit="nanometer") as recorder:
        train(recorder)
    assert "nothing of this model is attached: no layer of" in caplog.text
    assert sorted(recorded(folder / "run")) == [("train", step) for step in range(4)]
    with (
        pytest.raises(RecordingError, match="no layer of"),
        Recorder(folder / "strict", interval=1, length_unit="nanometer", strict=True) as recorder,
    ):
        train(recorder)


class Before:
    """γ of the first layer and the learning rate, as each step begins."""

    def __init__(self):
        self.gamma, self.rate = {}, {}

    def keep(self, step, network, optimiser):
        scale = network.layers[0].geo_scale.detach()
        self.gamma[step] = nn.functional.softplus(scale).tolist()
        self.rate[step] = optimiser.param_groups[0]["lr"]


def gamma_of(folder, phase, step):
    (path,) = folder.glob(f"step-{step:09d}.{phase}.*" if phase else f"step-{step:09d}.rank*")
    with h5py.File(path) as file:
        return file[f"steps/{step:09d}/batch/0/layers/0/gamma"][:].tolist()


def assert_told_by_its_own_weights_and_rate(folder, before):
    """Each of the four steps in `folder`, and its probe, has what `before` kept as it began."""
    steps = sorted(before.gamma)
    assert len(steps) == 4
    assert before.gamma[0] != before.gamma[3]
    assert before.rate[0] != before.rate[3]
    found = recorded(folder)
    for step in steps:
        assert gamma_of(folder, "", step) == before.gamma[step]
        assert gamma_of(folder, "probe", step) == before.gamma[step]
        assert found["train", step][0]["learning_rate"] == before.rate[step]
