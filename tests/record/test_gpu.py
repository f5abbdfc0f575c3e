# ruff: noqa: SIM117 (what happens inside a step is what is tested)
"""The recorder beside training on a GPU; skipped where there is none."""

import logging
import warnings
from contextlib import contextmanager, nullcontext

import bare
import numpy as np
import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from igaviz.record import Recorder, recording, tap
from igaviz.record.numbers import head_numbers, merge_items

if not torch.cuda.is_available():
    pytest.skip("needs an NVIDIA GPU", allow_module_level=True)

UNIT = {"length_unit": "nanometer", "strict": True}
N = 512


@pytest.fixture
def on_gpu(batch):
    """Makes a batch on the GPU."""
    return lambda *given: [values.cuda() for values in batch(*given)]


def random_maps(n=N, heads=16):
    s, g = torch.randn(2, 1, heads, n, n, device="cuda")
    return {
        "logits_before": s,
        "geo_bias": g,
        "attention": torch.softmax(s + g, -1),
        "gamma": torch.rand(heads, device="cuda"),
        "ca": torch.randn(1, n, 3, device="cuda"),
        "mask": torch.ones(1, n, dtype=torch.bool, device="cuda"),
    }


def test_a_shard_holds_what_the_gpu_computed(tmp_path, toy, on_gpu, shards, read_layer):
    model = toy(layers=2).cuda()
    x, ca, mask = on_gpu()
    with Recorder(tmp_path, interval=1, attention_dtype="float32", **UNIT) as recorder:
        with recorder.step(0):
            model(x, ca, mask).backward()
            recorder.note(loss=x.sum())
    for item in range(3):
        keep = np.flatnonzero(mask[item].cpu())
        for number, layer in enumerate(model.layers):
            stored = read_layer(tmp_path / shards(tmp_path)[0], number, item)
            weights = layer.weights[item].cpu().numpy()[:, keep[:, None], keep]
            np.testing.assert_array_equal(stored["attention"], weights)
            np.testing.assert_array_equal(stored["ca"], ca[item].cpu().numpy()[keep])
            replayed = bare.softmax(stored["logits_before"] + stored["geo_bias"])
            assert np.abs(replayed - weights).max() < 1e-5
            gamma = torch.autograd.grad(model(x, ca, mask), layer.scale)[0]
            gamma = gamma / torch.sigmoid(layer.scale.detach())
            assert stored["gamma_gradient_norm"] == pytest.approx(gamma.norm().item(), rel=1e-5)


def test_what_changes_in_place_after_a_tap_is_recorded_as_it_was(tmp_path, shards, read_layer):
    """The copy runs beside training: what training does to its tensors then mustn't reach it."""
    given = random_maps()
    del given["mask"]  # it would be waited for, and by then the copies would have begun
    before = {name: values.cpu().numpy() for name, values in given.items()}
    busy = torch.rand(8192, 8192, device="cuda")
    with Recorder(tmp_path, interval=1, attention_dtype="float32", **UNIT) as recorder:
        for step in range(2):  # host memory is made in the first, which takes longer than copying
            with recorder.step(step):
                for _ in range(20):
                    busy = (busy @ busy).clamp_(0, 1)
                tap(layer=0, **given)
                for values in given.values():
                    values.mul_(0 if step else 1)
    stored = read_layer(tmp_path / shards(tmp_path)[1])
    for name in ("logits_before", "geo_bias", "attention", "ca"):
        np.testing.assert_array_equal(stored[name], before[name][0], err_msg=name)
    np.testing.assert_array_equal(stored["gamma"], before["gamma"])


def test_memory_that_is_freed_after_a_tap_may_be_used_again(tmp_path, shards, read_layer):
    given = random_maps()
    before = given["geo_bias"].cpu().numpy()
    with Recorder(tmp_path, interval=1, **UNIT) as recorder:
        for step in range(2):
            with recorder.step(step):
                tap(layer=0, **given)
                if step:
                    shape = given["geo_bias"].shape
                    given.clear()
                    again = [torch.zeros(shape, device="cuda") for _ in range(8)]
    stored = read_layer(tmp_path / shards(tmp_path)[1])
    np.testing.assert_array_equal(stored["geo_bias"], before[0])
    assert not any(values.any() for values in again)


@pytest.mark.parametrize("without", [None, "attention", "geo_bias"])
def test_the_numbers_are_those_of_a_cpu(without):
    ca = bare.helix(200)
    terms = bare.terms(ca, 3, seed=3)
    terms.pop(without, None)
    given = {name: torch.from_numpy(values)[None] for name, values in terms.items()}
    given |= {"gamma": torch.tensor([0.5, 1.0, 2.0]), "ca": torch.from_numpy(ca / 10)[None]}

    def numbers(device):
        moved = {name: values.to(device) for name, values in given.items()}
        return head_numbers(length_unit="nanometer", **moved).cpu()

    torch.testing.assert_close(
        numbers("cuda"), numbers("cpu"), rtol=1e-5, atol=1e-7, equal_nan=True
    )
    assert merge_items(numbers("cuda"))["gamma"] == [0.5, 1.0, 2.0]


def trained(kind, data, recorder=None, steps=6, wrapped=lambda model: model):
    """The losses, all parameters and the next random number after some steps of training."""
    torch.manual_seed(0)
    model = wrapped(kind(layers=2).cuda())
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    if recorder is not None:
        recorder.attach(model)
        recorder.probe(tuple(values[:1] for values in data))
    losses = []
    for step in range(steps):
        with recorder.step(step) if recorder else nullcontext():
            loss = model(*data)
            optimiser.zero_grad()
            loss.backward()
        optimiser.step()
        losses.append(loss.detach())
    parameters = [getattr(p, "full_tensor", lambda p=p: p)() for p in model.parameters()]
    numbers = [*losses, *parameters, torch.rand(3, device="cuda")]
    return [values.detach().cpu() for values in numbers]


def test_training_is_bit_for_bit_what_it_is_without(tmp_path, either, on_gpu, shards):
    data = on_gpu()
    alone = trained(either, data)
    with Recorder(tmp_path, interval=2, scalars_interval=1, **UNIT) as recorder:
        beside = trained(either, data, recorder)
    assert all(torch.equal(one, other) for one, other in zip(alone, beside, strict=True))
    assert len(shards(tmp_path)) == 6
    assert len((tmp_path / "scalars.rank-00000.jsonl").read_text().splitlines()) == 24


def sharded(model):
    from torch.distributed.fsdp import fully_shard  # takes seconds

    for layer in model.layers:
        fully_shard(layer)
    return fully_shard(model)


@pytest.mark.parametrize("wrapped", [sharded, DistributedDataParallel])
def test_a_wrapped_model_trains_and_is_recorded_as_it_is(
    tmp_path, either, on_gpu, shards, read_layer, wrapped
):
    data = on_gpu()
    alone = trained(either, data)
    store = f"file://{tmp_path / 'store'}"
    torch.distributed.init_process_group("nccl", init_method=store, rank=0, world_size=1)
    try:
        expected = trained(either, data, wrapped=wrapped)
        with Recorder(tmp_path / "run", interval=2, length_unit="nanometer") as recorder:
            beside = trained(either, data, recorder, wrapped=wrapped)
    finally:
        torch.distributed.destroy_process_group()
    assert all(torch.equal(one, other) for one, other in zip(expected, beside, strict=True))
    assert all(torch.allclose(one, other) for one, other in zip(alone, beside, strict=True))
    names = [name for name in shards(tmp_path / "run") if "probe" not in name]
    assert [int(name[5:14]) for name in names] == [0, 2, 4]
    stored = read_layer(tmp_path / "run" / names[-1], 1)
    assert stored["module"] == "layers.1"
    assert stored["gamma_gradient_norm"] > 0


@contextmanager
def waits():
    """The list of operations inside that waited for the GPU."""
    found = []
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield found
    finally:
        torch.cuda.set_sync_debug_mode("default")
    found += [f"{w.filename}:{w.lineno}" for w in caught if "synchroniz" in str(w.message)]


@pytest.mark.parametrize("heads", [None, [1, 2, 5]])
@pytest.mark.parametrize("padded", [False, True])
def test_training_waits_for_the_gpu_once_in_a_due_step_and_never_else(tmp_path, padded, heads):
    """For the mask, which says how large the arrays are; not for what is cut and chosen by it."""
    given = random_maps(n=64)
    given["mask"][0, 3::4] = not padded
    how = {"interval": 2, "scalars_interval": 2, "heads": heads, **UNIT}
    with Recorder(tmp_path, **how) as recorder:
        for step in range(4):
            with waits() as found:
                with recorder.step(step, residue_index=np.arange(64)[None]):
                    for layer in range(3):
                        tap(layer=layer, **given)
            assert len(found) == (step % 2 == 0), found


def test_a_due_step_leaves_nothing_on_the_gpu(tmp_path):
    given, held = random_maps(), []
    with Recorder(tmp_path, interval=1, scalars_interval=1, **UNIT) as recorder:
        for step in range(3):
            with recorder.step(step):
                tap(layer=0, **given)
            torch.cuda.synchronize()
            held.append(torch.cuda.memory_allocated())
    assert abs(held[2] - held[1]) < given["attention"].nbytes / 10


@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_a_compiled_model_is_recorded_and_its_graphs_stay(
    tmp_path, either, on_gpu, shards, read_layer, mode
):
    data = on_gpu()
    torch._dynamo.reset()

    def losses(recorder, folder):
        torch.manual_seed(0)
        model = either(layers=2).cuda().eval()  # compiled code draws other random numbers
        for layer in model.layers:
            layer.weights = torch.zeros(())
        if recorder:
            recorder.attach(model)
        compiled = torch.compile(model, mode=mode)
        optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
        found = []
        for step in range(8):
            torch.compiler.cudagraph_mark_step_begin()
            with recorder.step(step) if recorder else nullcontext():
                loss = compiled(*data)
                optimiser.zero_grad()
                loss.backward()
            optimiser.step()
            found.append(float(loss))
        return found

    expected = losses(None, None)
    with Recorder(tmp_path, interval=3, **UNIT) as recorder:
        found = losses(recorder, tmp_path)
    assert found == pytest.approx(expected, rel=1e-4)
    assert [int(name[5:14]) for name in shards(tmp_path)] == [0, 3, 6]
    stored = read_layer(tmp_path / shards(tmp_path)[1], 1)
    weights = bare.softmax(stored["logits_before"] + stored["geo_bias"])
    assert np.abs(weights - stored["attention"]).max() < 1e-3
    assert stored["gamma_gradient_norm"] > 0


def test_what_is_captured_into_a_cuda_graph_is_left_alone_and_said(
    tmp_path, either, on_gpu, caplog, shards
):
    data = on_gpu()
    torch.manual_seed(0)
    model = either(layers=2).cuda().eval()
    with torch.no_grad():
        expected = float(model(*data))
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream), torch.no_grad():
        model(*data)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with Recorder(tmp_path, interval=1, length_unit="nanometer") as recorder:
        recorder.attach(model)
        with recorder.step(0):
            with torch.cuda.graph(graph, stream=stream), torch.no_grad():
                assert not recording()
                loss = model(*data)
        with recorder.step(1):
            graph.replay()
        with recorder.step(2), torch.no_grad():
            model(*data)
    torch.cuda.synchronize()
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    assert [int(name[5:14]) for name in shards(tmp_path)] == [2]
    said = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(said) == 1
    assert "CUDA graph" in said[0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_recorded_as_what_it_was(precise, either, on_gpu, read, dtype):
    model, (x, ca, mask) = either(layers=1).cuda(), on_gpu()
    precise.attach(model)
    seen = []
    if hasattr(model.layers[0], "softmax"):
        model.layers[0].softmax.register_forward_hook(lambda *given: seen.append(given[-1]))
    with precise.step(0), torch.autocast("cuda", dtype=dtype):
        model(x, ca, mask).backward()
    stored = read()
    name = str(dtype).removeprefix("torch.")
    assert stored["compute_dtype"] in (name, "float32")
    weights = model.layers[0].weights if not seen else seen[0]
    keep = np.flatnonzero(mask[0].cpu())
    expected = weights[0].detach().float().cpu().numpy()[:, keep[:, None], keep]
    np.testing.assert_array_equal(stored["attention"], expected)


def test_the_reference_model_trains_on_a_gpu_and_is_recorded(denoiser, precise, read):
    model, batch = denoiser
    on_cpu = [frames.translation for frames in model(batch)]
    model, batch = model.cuda(), batch.to("cuda")
    precise.attach(model)
    with precise.step(0, names=batch.names, ca_reference=batch.backbone[..., 1, :]):
        frames = model(batch)
        frames[-1].translation.sum().backward()
    torch.testing.assert_close(frames[-1].translation.cpu(), on_cpu[-1], rtol=1e-4, atol=1e-5)
    stored = read(layer=1)
    replayed = bare.softmax(stored["logits_before"] + stored["geo_bias"])
    assert np.abs(replayed - stored["attention"]).max() < 1e-5
    assert stored["gamma_gradient_norm"] > 0


def test_coordinates_and_masks_may_lie_on_the_cpu(tmp_path, read_layer, shards):
    given = random_maps(n=32)
    for name in ("ca", "mask", "gamma"):
        given[name] = given[name].cpu()
    given["mask"][0, 3] = False
    with Recorder(tmp_path, interval=1, scalars_interval=1, **UNIT) as recorder:
        with recorder.step(0):
            tap(layer=0, **given)
    stored = read_layer(tmp_path / shards(tmp_path)[0])
    assert stored["attention"].shape == (16, 31, 31)
    assert len((tmp_path / "scalars.rank-00000.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("setting", "other", "usual"),
    [(torch.use_deterministic_algorithms, True, False), (torch.set_default_device, "cuda", "cpu")],
)
def test_settings_of_torch_may_be_other_than_usual(tmp_path, shards, setting, other, usual):
    setting(other)
    try:
        with Recorder(tmp_path, interval=1, scalars_interval=1, **UNIT) as recorder:
            with recorder.step(0):
                tap(layer=0, **random_maps(n=64))
    finally:
        setting(usual)
    assert len(shards(tmp_path)) == 1
