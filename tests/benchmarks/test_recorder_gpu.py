"""What recording costs training on a GPU: the six-layer reference model, eight crops a batch.

Wall time of whole steps, from an idle GPU to an idle GPU; a step without a recorder and one with
it take turns, each first in every second turn, and ratios are of numbers from one run.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from turns import bootstrap, in_turns, ratio_of_medians, said

from igaviz.record import Recorder
from igaviz.reference.data import load_chains, make_batch
from igaviz.reference.model import Denoiser, ModelSettings, backbone_error

if not torch.cuda.is_available():
    pytest.skip("needs an NVIDIA GPU", allow_module_level=True)

ROOT = Path(__file__).parent.parent.parent
RESIDUES, ITEMS = 256, 8
PAIRS, PAIRS_OF_MAPS = 40, 10


@pytest.fixture(scope="module")
def training():
    """A function that makes one training step in bfloat16 autocast: forward, backward, optimiser.

    Crops of shorter chains are padded.
    """
    torch.manual_seed(0)
    chains = sorted(load_chains(ROOT / "sample_data" / "chains.npz"), key=len)[-ITEMS:]
    crops = [chain.crop(0, RESIDUES) for chain in chains]
    times = torch.full((ITEMS,), 0.5)
    batch = make_batch(crops, times, torch.Generator().manual_seed(0)).to("cuda")
    model = Denoiser(ModelSettings()).cuda()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)

    def step():
        with torch.autocast("cuda", torch.bfloat16):
            loss = torch.stack([backbone_error(frames, batch) for frames in model(batch)]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    step.model, step.shape = model, tuple(batch.mask.shape)
    for _ in range(10):
        step()
    return step


def idle():
    """The time at which the GPU has done all it was given, beside that without waiting for it."""
    issued = time.perf_counter()
    torch.cuda.synchronize()
    return np.array((time.perf_counter(), issued))


@pytest.mark.parametrize("items", [1, 4])
def test_what_a_recorder_adds_to_a_step(benchmark, tmp_path, training, items):
    """The median of the differences, ms: of a step that isn't due, one of numbers, one of maps."""
    name = torch.cuda.get_device_name()
    benchmark.extra_info |= {"GPU": name, "batch": training.shape, "items recorded": items}
    kinds = {
        "not due": {"interval": 10**9},
        "numbers": {"at": [10**9], "scalars_interval": 1},
        "maps": {"interval": 1},
    }
    for kind, how in kinds.items():
        steps = iter(range(1, 10**6))
        folder = tmp_path / kind.replace(" ", "-")
        with Recorder(folder, items=items, length_unit="nanometer", **how) as recorder:
            recorder.attach(training.model)

            def recorded(recorder=recorder, steps=steps):
                with recorder.step(next(steps)):
                    training()

            def before(recorder=recorder):
                recorder.flush()
                torch.cuda.synchronize()

            recorded()
            pairs = PAIRS_OF_MAPS if kind == "maps" else PAIRS
            turns = in_turns(training, recorded, idle, pairs, before=before)
        alone, beside = np.median(turns, axis=0)[:, 0]
        adds = said(*(1e3 * np.array(bootstrap(np.median, turns[:, 1, 0] - turns[:, 0, 0]))))
        benchmark.extra_info[f"training step, ms, beside {kind}"] = round(1e3 * alone, 2)
        benchmark.extra_info[f"a step ({kind}) adds, ms"] = adds
        benchmark.extra_info[f"with ÷ without ({kind})"] = round(beside / alone, 4)
    benchmark.pedantic(training, rounds=3)


def test_a_run_with_over_without(benchmark, tmp_path, training):
    """Twenty steps with one of maps among them over twenty without: the writer works beside."""
    steps = iter(range(10**6))
    with Recorder(tmp_path, interval=20, items=1, length_unit="nanometer") as recorder:
        recorder.attach(training.model)

        def with_recorder():
            for _ in range(20):
                with recorder.step(next(steps)):
                    training()

        def without():
            for _ in range(20):
                training()

        with_recorder()
        before = recorder.flush
        turns = in_turns(without, with_recorder, idle, 10, before=before)
        benchmark.pedantic(without, rounds=1)
    ratio = bootstrap(ratio_of_medians, turns[:, 1, 0], turns[:, 0, 0])
    benchmark.extra_info["20 steps, one of them recorded, ÷ 20 without"] = said(*ratio)
