"""Recorders in a loop of Accelerate, for real, and in loops of one's own that are like it."""

import logging

import accelerate
import pytest
import torch
from loops import Network, Proteins, assert_nothing_is_left, names_of, recorded
from torch.utils.data import DataLoader

from igaviz.record import Recorder
from igaviz.record.frameworks.accelerate import AcceleratorSteps


def test_accelerate_counts_the_optimisers_steps(tmp_path):
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=2)
    network = Network()
    model, optimiser, loader = accelerator.prepare(
        network, torch.optim.SGD(network.parameters(), lr=0.01), DataLoader(Proteins(7))
    )
    with Recorder(tmp_path, interval=1, length_unit="nanometer", strict=True) as recorder:
        recorder.attach(model)
        steps = AcceleratorSteps(recorder, accelerator, first=100)
        for batch in loader:
            with steps.step(**names_of(batch)), accelerator.accumulate(model):
                accelerator.backward(model(**batch)["loss"])
                optimiser.step()
                optimiser.zero_grad()
    # seven batches are four steps: the last of a loader is one by itself
    assert steps.number == 104
    found = recorded(tmp_path)
    assert [names for _, names, _ in (found["train", s] for s in range(100, 104))] == [
        [f"protein {number}"] for number in (0, 2, 4, 6)
    ]
    assert_nothing_is_left(model)


def test_validation_is_no_step_of_accelerates_optimiser_nor_is_a_batch_that_raises(tmp_path):
    accelerator = accelerate.Accelerator(cpu=True)
    network = accelerator.prepare(Network())
    batch = next(iter(DataLoader(Proteins(), batch_size=2)))
    with Recorder(tmp_path, interval=1, length_unit="nanometer", strict=True) as recorder:
        recorder.attach(network)
        steps = AcceleratorSteps(recorder, accelerator)
        with pytest.raises(ZeroDivisionError), steps.step():
            raise ZeroDivisionError
        with steps.step(phase="val"):
            network(**batch)
        assert steps.number == 0
        with steps.step():
            network(**batch)
        assert steps.number == 1
    assert ("val", 0) in recorded(tmp_path)


def test_describe_says_what_it_can_not_use(tmp_path, caplog):
    caplog.set_level(logging.ERROR)
    recorder = Recorder(tmp_path, interval=1, length_unit="nanometer")
    recorder.describe(names=["not in a step"])
    with recorder.step(0):
        recorder.describe(name=["1abc"])
    assert "'name'" in caplog.text


def test_with_scalars_alone_validation_gives_scalars_alone(tmp_path):
    with Recorder(tmp_path, scalars_interval=5, length_unit="nanometer", strict=True) as recorder:
        network = Network()
        recorder.attach(network)
        batch = next(iter(DataLoader(Proteins(), batch_size=2)))
        for step in (3, 5):
            with recorder.step(step, phase="val", always=step == 3):
                network(**batch)
            assert "iga/val/layer0/gamma" in recorder.scalars()
    assert recorded(tmp_path) == {}
