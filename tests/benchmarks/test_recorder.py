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

import numpy as np
import pytest
import torch
from turns import bootstrap, in_turns, ratio_of_medians, said

from igaviz.dump import open_dump, read_maps
from igaviz.record import Recorder, active, tap
from igaviz.reference.data import Chain, load_chains, make_batch
from igaviz.reference.model import Denoiser, ModelSettings, backbone_error

ROOT = Path(__file__).parent.parent.parent
RESIDUES = 256
PAIRS, PAIRS_DUE = 400, 12
MAPS = ("logits_before", "geo_bias", "attention", "pair_bias")


@pytest.fixture(scope="module")
def training():
    """A function that makes one training step: forward, backward, optimiser."""
    return make_training(RESIDUES)


def make_training(residues):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    chains = load_chains(ROOT / "sample_data" / "chains.npz")
    halves = [chain.crop(0, residues // 2) for chain in chains if len(chain) >= residues // 2][:2]
    joined = Chain(
        "joined",
        torch.cat([half.backbone for half in halves]),
        torch.arange(residues),
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
    tapped again and again, so that the network's own time is left out. Turn by turn, each first
    in every second turn; the very first due step, which makes the folder, is left out.
    """
    calls = tapped(training)
    arguments = [given(call) for call in calls]
    kept = [getattr(call, name) for call in calls for name in MAPS]
    number = iter(range(10**6))
    with Recorder(tmp_path, interval=1, length_unit="nanometer") as recorder:
        recorder.attach(training.model)

        def plain_copy():
            return [values.clone() for values in kept]

        def due_step():
            with recorder.step(next(number)):
                for taken in arguments:
                    tap(**taken)

        due_step()
        turns = in_turns(plain_copy, due_step, clocks, 30, before=recorder.flush)
        benchmark.pedantic(due_step, setup=recorder.flush, rounds=5)
    benchmark.extra_info["bytes"] = sum(values.nbytes for values in kept)
    for name, (copy, due) in zip(("wall", "CPU"), turns.T, strict=True):
        benchmark.extra_info[f"one plain copy, ms, {name}"] = round(1e3 * np.median(copy), 1)
        benchmark.extra_info[f"blocked, ms, {name}"] = round(1e3 * np.median(due), 1)
        ratio = bootstrap(ratio_of_medians, due, copy)
        benchmark.extra_info[f"blocked ÷ copy, {name}"] = said(*ratio)


def clocks():
    """Wall time, and the calling thread's CPU time, which other programs have no part in."""
    return np.array((time.perf_counter(), time.thread_time()))


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
    """Training with interval 100 over training without, from what single steps take more.

    A machine's speed drifts by more in a hundred steps than a recorder costs. So a step without
    a recorder and one with it take turns, each first in every second turn, and the median of the
    differences is what it costs: 99 times that of steps that aren't due (of 64 residues, in which
    it stands out more) and once that of one that is. It is CPU time: that of the training thread,
    which is all that training waits for where a core is free, and that of all threads, the
    writer's included.
    """
    small = make_training(64)
    rarely = iter(number for number in range(10**6) if number % 100)
    due = iter(range(0, 10**6, 100))
    with Recorder(tmp_path, interval=100, length_unit="nanometer") as recorder:
        recorder.attach(training.model)
        recorder.attach(small.model)

        def step(numbers, train):
            with recorder.step(next(numbers)):
                train()

        def written():
            step(due, training)
            recorder.flush()

        written()
        gc.collect()
        not_due = in_turns(small, lambda: step(rarely, small), cpu, PAIRS)
        blocked = in_turns(
            training, lambda: step(due, training), cpu, PAIRS_DUE, before=recorder.flush
        )
        worked = in_turns(training, written, cpu, PAIRS_DUE)
        benchmark.pedantic(lambda: step(rarely, training), rounds=1)

    training_step = np.median(np.concatenate([blocked[:, 0], worked[:, 0]]), axis=0)
    benchmark.extra_info["training step, s of CPU"] = round(training_step.mean(), 3)
    for clock, (name, one) in enumerate([("training thread", blocked), ("all threads", worked)]):
        rare, full = (
            np.array(bootstrap(np.median, turns[:, 1, clock] - turns[:, 0, clock]))
            for turns in (not_due, one)
        )
        benchmark.extra_info[f"a step that is not due adds, µs, {name}"] = said(*1e6 * rare)
        benchmark.extra_info[f"a due step adds, ms, {name}"] = said(*1e3 * full)
        ratio = 1 + (0.99 * rare + 0.01 * full) / training_step[clock]
        benchmark.extra_info[f"with ÷ without, {name}"] = said(*ratio)


def cpu():
    """CPU time of the calling thread, and of all threads."""
    return np.array((time.thread_time(), time.process_time()))


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
