"""The trainings themselves: checkpoints on disk, from which everything is recorded later."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from igaviz.aside import written_aside
from igaviz.calibration.conditions import CONDITIONS, STEPS, Condition
from igaviz.reference.data import Chain, draw_batch, split_chains
from igaviz.reference.model import Denoiser
from igaviz.reference.train import HELD_OUT, evaluate, fixed_batch, learning_rate_at, training_step

CHECKPOINTS = (0, 25, 50, 100, 200, 300, 400, 500)
"""Steps whose weights are kept; 0 is before the first step."""


def train_all(chains: Sequence[Chain], folder: Path, *, part: int = 0, parts: int = 1) -> None:
    """Train what `folder` doesn't hold yet, seed by seed, saying so on stderr.

    With `parts` > 1 every `parts`-th run only, so that processes can share the work.
    """
    runs = sorted(
        ((seed, name) for name, condition in CONDITIONS.items() for seed in condition.seeds),
        key=lambda run: run[0],
    )
    for number, (seed, name) in enumerate(runs):
        if number % parts != part or checkpoint(folder, name, seed).exists():
            continue
        start = time.monotonic()
        error = train(CONDITIONS[name], seed, chains, folder)
        seconds = time.monotonic() - start
        print(
            f"{name}, seed {seed}: held-out error {error:.2f} Å², {seconds:.0f} s",
            file=sys.stderr,
        )


def train(
    condition: Condition, seed: int, chains: Sequence[Chain], folder: Path, *, steps: int = STEPS
) -> float:
    """The error in Å² on held-out chains after training; the run's weights go to `folder`.

    They are kept at `CHECKPOINTS` and after the last step.
    """
    recipe = replace(condition.recipe, steps=steps)
    training, held_out = split_chains(chains, HELD_OUT)
    model = condition.make(seed)
    optimiser = torch.optim.Adam(p for p in model.parameters() if p.requires_grad)
    generator = torch.Generator().manual_seed(seed)
    weights = {0: _copy(model)}
    for step in range(1, recipe.steps + 1):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate_at(recipe, step)
        training_step(
            model, optimiser, draw_batch(training, recipe.batch_size, recipe.crop, generator)
        )
        if step in CHECKPOINTS or step == steps:
            weights[step] = _copy(model)
    held = [fixed_batch(held_out, flow_time) for flow_time in (0.1, 0.5, 0.9)]
    error = sum(evaluate(model, batch) for batch in held) / len(held)
    path = checkpoint(folder, condition.name, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_text(
        json.dumps({"condition": condition.name, "seed": seed, "held_out_error": error}) + "\n",
        encoding="utf-8",
    )
    with written_aside(path) as aside:
        torch.save(weights, aside)
    return error


def checkpoint(folder: Path, name: str, seed: int) -> Path:
    """Where the weights of a run are."""
    return folder / "weights" / f"{name}-{seed}.pt"


def trained(condition: Condition, seed: int, folder: Path) -> dict[int, Denoiser]:
    """The models of a run, by step."""
    weights = torch.load(checkpoint(folder, condition.name, seed), weights_only=True)
    models = {}
    for step, state in weights.items():
        model = condition.make(seed)
        model.load_state_dict(state)
        models[step] = model.eval()
    return models


def _copy(model: Denoiser) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
