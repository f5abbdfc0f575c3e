"""What recording costs training: the six-layer reference model at 256 residues, on the CPU.

`make benchmarks` prints the table; ratios are of numbers from one run, since machines are noisy.
"""

from __future__ import annotations

import gc
import inspect
import io
import statistics
import time
from pathlib import Path

import pytest
import torch

from igaviz.dump import open_dump, read_maps
from igaviz.record import Recorder, active, tap
from igaviz.reference.data import Chain, load_chains, make_batch
from igaviz.reference.model import Denoiser, ModelSettings, backbone_error

ROOT = Path(__file__).parent.parent.parent
RESIDUES = 256
MAPS = ("logits_before", "geo_bias", "attention", "pair_bias")


@pytest.fixture(scope="module")
def training():
    """A function that makes one training step: forward, backward, optimiser."""
    torch.manual_seed(0)
    chains = load_chains(ROOT / "sample_data" / "chains.npz")
    halves = [chain.crop(0, RESIDUES // 2) for chain in chains if len(chain) >= RESIDUES // 2][:2]
    joined = Chain(
        "joined",
        torch.cat([half.backbone for half in halves]),
        torch.arange(RESIDUES),
        "".join(half.sequence for half in halves),
    )
    batch = make_batch([joined], torch.tensor([0.5]), torch.Generator().manual_seed(0))
    model = Denoiser(ModelSettings())
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)

    def step():
        loss = torch.stack([backbone_error(frames, batch) for frames in model(batch)]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.detach()

    step.model = model
    for _ in range(3):
        step()
    return step


@pytest.fixture
def recorder(tmp_path, training):
    with Recorder(tmp_path / "run", interval=100, length_unit="nanometer") as recorder:
        recorder.attach(training.model)
        yield recorder


def seconds(function, times):
    """The wall time of each of `times` calls."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        function()
        found.append(time.perf_counter() - start)
    return found


def test_a_tap_while_nothing_records(benchmark):
    maps = torch.zeros(1, 1, 2, 2)
    benchmark.pedantic(
        lambda: tap(layer=0, logits_before=maps, geo_bias=maps, attention=maps),
        rounds=10,
        iterations=100_000,
    )


def test_a_step_that_is_not_due_and_its_taps(benchmark, recorder, training):
    """`recorder.step` and six taps, as a share of a whole training step."""
    maps = torch.zeros(1, 1, 2, 2)

    def bare_step():
        with recorder.step(1):
            for layer in range(6):
                tap(layer=layer, logits_before=maps, geo_bias=maps, attention=maps)

    benchmark.pedantic(bare_step, rounds=10, iterations=10_000)
    step = statistics.median(seconds(training, 5))
    benchmark.extra_info["training step, s"] = round(step, 3)
    benchmark.extra_info["share of it"] = f"{benchmark.stats.stats.median / step:.6%}"


def test_what_a_due_step_blocks_over_one_plain_copy(benchmark, tmp_path, training):
    """The training thread's own time in a due step, over a copy of the bytes that are kept.

    Of a due step it is the time that taps and the end of the step take; the maps of one step are
    tapped again and again, so that the network's own time is left out.
    """
    calls = tapped(training)
    kept = [getattr(call, name) for call in calls for name in MAPS]

    def plain_copy():
        return [values.clone() for values in kept]

    number = iter(range(10**6))
    with Recorder(tmp_path, interval=1, length_unit="nanometer") as recorder:
        recorder.attach(training.model)

        def due_step():
            with recorder.step(next(number)):
                for call in calls:
                    tap(**given(call))

        copies, blocked = [], []
        for _ in range(7):
            copies += seconds(plain_copy, 1)
            blocked += seconds(due_step, 1)
            recorder.flush()
        benchmark.pedantic(due_step, setup=recorder.flush, rounds=5)
    benchmark.extra_info["bytes"] = sum(values.nbytes for values in kept)
    benchmark.extra_info["one plain copy, ms"] = round(1e3 * statistics.median(copies), 1)
    ratio = statistics.median(blocked) / statistics.median(copies)
    benchmark.extra_info["blocked ÷ copy"] = round(ratio, 2)


def given(call):
    """The arguments of `tap` in a call of it."""
    return {name: getattr(call, name) for name in inspect.signature(tap).parameters}


def tapped(training):
    """The tap calls of one training step."""

    class Ear:
        def __init__(self):
            self.calls = []

        def take(self, call):
            self.calls.append(call)

    ear = Ear()
    active.listen(ear)
    try:
        training()
    finally:
        active.dismiss(ear)
    return ear.calls


def test_a_whole_run_with_over_without(benchmark, tmp_path, training):
    """100 steps with interval 100 over 100 without, turn by turn."""
    gc.collect()
    turns = []

    def run(recorder):
        start = time.perf_counter()
        for step in range(100):
            if recorder is None:
                training()
            else:
                with recorder.step(step):
                    training()
        return time.perf_counter() - start

    def both(turn):
        without = run(None)
        with Recorder(tmp_path / str(turn), interval=100, length_unit="nanometer") as recorder:
            recorder.attach(training.model)
            start = time.perf_counter()
            run(recorder)
        turns.append((time.perf_counter() - start) / without)

    numbers = iter(range(100))
    benchmark.pedantic(lambda: both(next(numbers)), rounds=3)
    benchmark.extra_info["with ÷ without"] = [round(ratio, 4) for ratio in sorted(turns)]


def test_bytes_on_disk_over_torch_save(benchmark):
    """The shards of the trained sample runs over torch.save of the same maps in float32."""
    ratios = {}

    def compare():
        for run in ("healthy", "gamma_too_small", "diagonal_collapse"):
            dump = open_dump(ROOT / "sample_data" / run)
            shards = {entry.path for entry in dump.entries}
            buffer = io.BytesIO()
            maps = [m for entry in dump.entries for m in read_maps(entry)]
            tensors = [
                torch.from_numpy(getattr(m, name).astype("f4")) for m in maps for name in MAPS
            ]
            torch.save([values.clone() for values in tensors], buffer)
            saved = sum(Path(path).stat().st_size for path in shards)
            ratios[run] = round(saved / len(buffer.getvalue()), 3)

    benchmark.pedantic(compare, rounds=1)
    benchmark.extra_info.update(ratios)
