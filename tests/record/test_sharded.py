"""Models that are spread over ranks: two real processes, of which one records."""

import json

import h5py
import numpy as np
import programs
import pytest
from programs import finish

PROGRAM = """
import contextlib, datetime, functools, multiprocessing, os, socket, sys
sys.path.insert(0, sys.argv[1])
import torch
import torch._dynamo  # FSDP's, which takes seconds: before the ranks are forked
import torch.distributed as dist
from conftest import Translations, make_batch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, FullyShardedDataParallel, fully_shard
from torch.distributed.fsdp import MixedPrecisionPolicy
from torch.distributed.fsdp.wrap import ModuleWrapPolicy
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
from igaviz.record import Recorder, tap

class Layer(nn.Module):
    "Is recognised, or taps; in plain operations that any tensor has."
    def __init__(self, taps, number):
        super().__init__()
        self.taps_itself, self.layer_idx = taps, number
        self.linear_q, self.linear_k = (nn.Linear(16, 32, bias=False) for _ in range(2))
        self.geo_scale = nn.Parameter(torch.linspace(0.1, 1.0, 4))
    def forward(self, s, r):
        ca = r.translation
        q, k = (of(s).unflatten(-1, (4, 8)) for of in (self.linear_q, self.linear_k))
        before = torch.einsum("bihc,bjhc->bhij", q, k) / 8**0.5
        gamma = nn.functional.softplus(self.geo_scale)
        apart = (ca[:, :, None] - ca[:, None]).square().sum(-1)
        here = whole(gamma, detached=False) if type(ca) is torch.Tensor else gamma
        geo_bias = -here[:, None, None] * apart[:, None]
        weights = (before + geo_bias).softmax(-1)
        if self.taps_itself:
            tap(layer=self.layer_idx, module=self, logits_before=before, geo_bias=geo_bias,
                attention=weights, gamma=gamma, ca=ca)
        return s + torch.einsum("bhij,bjd->bid", weights.to(s.dtype), s) / 4

class Model(nn.Module):
    "Its root has parameters of its own, which FSDP keeps gathered after a forward."
    def __init__(self, taps):
        super().__init__()
        self.before, self.after = nn.Linear(16, 16), nn.Linear(16, 16)
        self.layers = nn.ModuleList(Layer(taps, number) for number in range(2))
    def forward(self, x, ca):
        x = self.before(x)
        for layer in self.layers:
            x = layer(x, Translations(ca))
        return self.after(x).float().square().mean()

def plain(model):
    return model

def sharded(model, **how):
    for layer in model.layers:
        fully_shard(layer, **how)
    return fully_shard(model, **how)

def half(model):
    return sharded(model, mp_policy=MixedPrecisionPolicy(param_dtype=torch.bfloat16))

def flat(model, own=False):
    return FullyShardedDataParallel(model, auto_wrap_policy=ModuleWrapPolicy({Layer}),
                                    use_orig_params=own, device_id=torch.device("cpu"))

def own(model):
    return flat(model, own=True)

def old(model):
    if hasattr(FSDPModule, "reset_iter_state"):
        del FSDPModule.reset_iter_state
    return sharded(model)

def split(model):
    "As tensor parallelism does: each rank has some of the heads, and of the rest a copy."
    for module in model.modules():
        for name, parameter in [*module.named_parameters(recurse=False)]:
            of_heads = name == "geo_scale" or parameter.shape == (32, 16)
            spread(module, name, Shard(0) if of_heads else Replicate())
    return model

def copied(model):
    "Only the parameter of gamma is a DTensor, of which each rank has a copy."
    for layer in model.layers:
        spread(layer, "geo_scale", Replicate())
    return model

def spread(module, name, placement):
    placed = distribute_tensor(getattr(module, name).data, mesh(), [placement])
    module.register_parameter(name, nn.Parameter(placed))

@functools.cache
def mesh():
    return init_device_mesh("cpu", (2,))

def batch(seed, shard):
    "Each rank has its own, but where activations are DTensors."
    if shard is split:
        x, ca, _ = make_batch(seed=seed)
        return tuple(distribute_tensor(tensor, mesh(), [Replicate()]) for tensor in (x, ca))
    return make_batch(seed=seed + dist.get_rank())[:2]

def whole(tensor, detached=True):
    tensor = tensor.detach() if detached else tensor
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor

def train(recorder, shard, taps=False, first=False, probe=None, note=False, ranks=0):
    torch.manual_seed(0)
    model = Model(taps)
    if recorder and first:
        recorder.attach(model)
    model = shard(model)
    if recorder and not first:
        recorder.attach(model)
    data = batch(90, shard)
    probes = {"whole": data, "bad": data[:1],
              "part": lambda: model.layers[0](data[0], Translations(data[1]))}
    if recorder and probe:
        recorder.probe(probes[probe])
    seen = []
    for step in range(1 if shard is split else 2):
        data = batch(10 * step, shard)
        with recorder.step(step) if recorder else contextlib.nullcontext():
            loss = model(*data)
            loss.backward()
            if recorder:
                recorder.note(loss=DTensor.from_local(loss, mesh(), [Partial()]) if note else loss)
        with torch.no_grad():  # a step of descent
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter.sub_(parameter.grad, alpha=0.1)
                parameter.grad = None
        seen.append(whole(loss))
    return seen + [whole(parameter) for parameter in model.parameters()]

def rank_main(rank, port, folder):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_process_group("gloo", rank=rank, world_size=2,
                            timeout=datetime.timedelta(seconds=30))
    alone = functools.cache(functools.partial(train, None))
    for name, case in CASES.items():
        recorder = Recorder(os.path.join(folder, name), interval=1, scalars_interval=1,
                            length_unit="nanometer", ranks=case.get("ranks", 0))
        found = train(recorder, **case)
        recorder.close()
        expected = alone(case["shard"])
        assert len(found) == len(expected), name
        assert all(map(torch.equal, found, expected)), (name, found[:2], expected[:2])
    dist.destroy_process_group()

CASES = {
    "plain": {"shard": plain},
    "after": {"shard": sharded, "probe": "whole"},
    "before": {"shard": sharded, "taps": True, "first": True, "probe": "bad", "ranks": "all"},
    "part": {"shard": sharded, "probe": "part"},
    "note": {"shard": sharded, "note": True},
    "half": {"shard": half},
    "flat": {"shard": flat, "probe": "whole"},
    "own": {"shard": own, "taps": True},
    "copied": {"shard": copied, "taps": True},
    "split": {"shard": split},
    "split-taps": {"shard": split, "taps": True},
    "old": {"shard": old, "probe": "whole"},
}
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
context = multiprocessing.get_context("fork")
ranks = [context.Process(target=rank_main, args=(rank, port, sys.argv[2])) for rank in (0, 1)]
for process in ranks:
    process.start()
for process in ranks:
    process.join()
sys.exit(max(abs(process.exitcode) for process in ranks))
"""


def recorded(folder, name):
    """The arrays and the attributes of all layers of the first item of a shard."""
    with h5py.File(folder / f"step-00000000{name}.h5") as file:
        (step,) = file["steps"].values()
        layers = step["batch/0/layers"].values()
        return [({k: v[()] for k, v in layer.items()}, {**layer.attrs}) for layer in layers]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder of a run for each case, what was said, and each run's attempt of rank 0.

    In each case both ranks have trained to the same bits as without a recorder.
    """
    folder = tmp_path_factory.mktemp("sharded")
    code, _, said = finish(programs.start(PROGRAM, programs.HERE, folder))
    assert code == 0, said
    notes = {path.parent.name: json.loads(path.read_text()) for path in folder.glob("*/run.json")}
    return folder, said, {name: note["attempts"][0] for name, note in notes.items()}


def test_a_sharded_layer_is_recorded_as_one_that_is_whole(runs):
    """γ, its gradient before the ranks' average, and all maps; in bfloat16 as it computes."""
    folder, _, attempts = runs
    expected = recorded(folder / "plain", "0.rank-00000")
    for name in ("after", "before", "flat", "own", "copied", "half"):
        assert "off" not in attempts[name], name
        rough = {"rtol": 0.05, "atol": 0.05} if name == "half" else {"rtol": 1e-5, "atol": 1e-6}
        found = recorded(folder / name, "0.rank-00000")
        for (arrays, facts), (own, own_facts) in zip(expected, found, strict=True):
            for term in arrays:
                np.testing.assert_allclose(own[term], arrays[term], **rough, err_msg=name)
            gradients = (each["gamma_gradient_norm"] for each in (own_facts, facts))
            np.testing.assert_allclose(*gradients, **rough, err_msg=name)
            assert own_facts["module"] == facts["module"]
            assert own_facts["compute_dtype"] == ("bfloat16" if name == "half" else "float32")
    assert len([*(folder / "before").glob("*.rank-00001.h5")]) == 2
    assert not [*(folder / "after").glob("*.rank-00001.h5")]


def test_a_probe_of_a_sharded_model_sees_this_steps_parameters_and_leaves_them(runs):
    folder, _, attempts = runs
    assert attempts["after"]["failed_probes"] == 0
    probed, trained = (
        recorded(folder / "after", f"1{phase}.rank-00000") for phase in (".probe", "")
    )
    for (own, _), (arrays, _) in zip(probed, trained, strict=True):
        np.testing.assert_array_equal(own["gamma"], arrays["gamma"])


def test_a_probe_after_which_training_would_not_go_on_as_before_is_refused(runs):
    """Also one that fails amid its forward: it is brought back."""
    _, said, attempts = runs
    for name, why in {
        "before": "missing 1 required positional argument",
        "part": "it runs Layer, a part of a sharded model, by itself",
        "flat": "sharded by FullyShardedDataParallel, and after a forward without backward",
        "old": "sharded by fully_shard of torch",
    }.items():
        assert attempts[name]["failed_probes"] > 0
        assert "off" not in attempts[name]
        assert why in said


def test_a_part_of_a_tensor_is_refused_without_waiting_for_other_ranks(runs):
    _, said, attempts = runs
    for name, what in {
        "split": "layers.0 (invariant Gaussian attention): linear_q is a DTensor",
        "split-taps": "tap, layer 0: logits_before is a DTensor",
        "note": "note: loss is a DTensor",
    }.items():
        assert f"{what} spread over ranks" in attempts[name]["off"]["reason"]
    assert "its full_tensor() returns" in said
