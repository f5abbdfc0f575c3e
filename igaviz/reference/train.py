"""Train the reference model by a recipe and record it: `python -m igaviz.reference.train`."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from igaviz.errors import IgavizError, UsageError
from igaviz.record import Recorder
from igaviz.reference.data import Batch, Chain, draw_batch, load_chains, make_batch, split_chains
from igaviz.reference.model import Denoiser, backbone_error
from igaviz.reference.recipes import RECIPES, Recipe

HELD_OUT = ("2xcjA", "1i8nA", "1eteA", "3so6A")
"""Chains that no run trains on; the first is the one that is recorded."""

PROBE_FLOW_TIME = 0.9
FIRST_RECORDED_STEP = 100
SCALARS_INTERVAL = 30
REPORT_INTERVAL = 100

_GRADIENT_NORM = 1.0
_PROBE_SEED = 20


@dataclass(frozen=True)
class Outcome:
    """What a run came to: mean errors in Å² of the held-out chains, and of their noise itself."""

    training_loss: float
    held_out_error: float
    noise_error: float
    seconds: float


def train(recipe: Recipe, chains: Sequence[Chain], out: Path, *, seed: int = 0) -> Outcome:
    """The outcome of training by `recipe`, which is recorded in the folder `out`.

    What is recorded is a probe: one held-out chain with the same light noise at every recorded
    step, run in eval mode after the optimiser's step, as phase `probe`. Full maps come from step
    100 and the last step, per-head numbers from every 30th step.
    """
    training, held_out = split_chains(chains, HELD_OUT)
    torch.manual_seed(seed)
    model = Denoiser(recipe.model)
    optimiser = torch.optim.Adam(model.parameters())
    generator = torch.Generator().manual_seed(seed)
    probe = fixed_batch(held_out[:1], PROBE_FLOW_TIME)
    full_maps = (min(FIRST_RECORDED_STEP, recipe.steps), recipe.steps)
    smoothed = math.nan
    start = time.monotonic()

    with Recorder(
        out,
        at=full_maps,
        scalars_interval=SCALARS_INTERVAL,
        length_unit="nanometer",
        # The recording is what such a run is for: without it the run shall fail.
        strict=True,
    ) as recorder:
        recorder.attach(model)
        for step in range(1, recipe.steps + 1):
            learning_rate = learning_rate_at(recipe, step)
            for group in optimiser.param_groups:
                group["lr"] = learning_rate
            batch = draw_batch(training, recipe.batch_size, recipe.crop, generator)
            loss = training_step(model, optimiser, batch)
            smoothed = loss if math.isnan(smoothed) else 0.98 * smoothed + 0.02 * loss
            if step in full_maps or step % SCALARS_INTERVAL == 0:
                with _probe_step(recorder, step, probe):
                    probe_error = evaluate(model, probe)
                    recorder.note(loss=loss, learning_rate=learning_rate, probe_error=probe_error)
            if step % REPORT_INTERVAL == 0:
                seconds = time.monotonic() - start
                print(f"step {step}: loss {smoothed:.3f} Å², {seconds:.0f} s", file=sys.stderr)

    held = [fixed_batch(held_out, flow_time) for flow_time in (0.1, 0.5, 0.9)]
    return Outcome(
        training_loss=smoothed,
        held_out_error=sum(evaluate(model, batch) for batch in held) / len(held),
        noise_error=sum(float(backbone_error(batch.noised, batch)) for batch in held) / len(held),
        seconds=time.monotonic() - start,
    )


def training_step(model: Denoiser, optimiser: torch.optim.Optimizer, batch: Batch) -> float:
    """The loss in Å² before the step: the error after each block, averaged over the blocks."""
    model.train()
    errors = [backbone_error(frames, batch) for frames in model(batch)]
    loss = torch.stack(errors).mean()
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), _GRADIENT_NORM)
    optimiser.step()
    return float(loss.detach())


@torch.no_grad()
def evaluate(model: Denoiser, batch: Batch) -> float:
    """The error in Å² of the prediction for `batch`."""
    model.eval()
    return float(backbone_error(model(batch)[-1], batch))


def _probe_step(recorder: Recorder, step: int, probe: Batch) -> AbstractContextManager[None]:
    """The context in which a forward on `probe` is recorded as phase `probe` of `step`."""
    return recorder.step(
        step,
        phase="probe",
        names=probe.names,
        flow_time=probe.flow_time,
        ca_reference=probe.backbone[..., 1, :],
        residue_index=probe.residue_index,
        sequence=probe.sequences,
    )


def fixed_batch(chains: Sequence[Chain], flow_time: float) -> Batch:
    """All of `chains` with noise that is the same in every run."""
    times: Tensor = torch.full((len(chains),), flow_time)
    return make_batch(chains, times, torch.Generator().manual_seed(_PROBE_SEED))


def learning_rate_at(recipe: Recipe, step: int) -> float:
    """A linear warm-up, times a cosine that falls towards zero after the last step."""
    warmup = min(1.0, step / recipe.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * (step - 1) / recipe.steps))
    return recipe.learning_rate * warmup * cosine


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code of the command line."""
    parser = argparse.ArgumentParser(prog="python -m igaviz.reference.train", description=__doc__)
    parser.add_argument("--recipe", choices=RECIPES, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the recorded run")
    parser.add_argument("--chains", type=Path, default=Path("sample_data/chains.npz"))
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    # Maps this small are faster on one thread, and sums come out the same on every machine size.
    torch.set_num_threads(1)
    try:
        if chosen.out.exists() and any(chosen.out.iterdir()):
            raise UsageError(f"{chosen.out} is not empty", hint="name a new folder with --out")
        recipe = RECIPES[chosen.recipe]
        outcome = train(recipe, load_chains(chosen.chains), chosen.out, seed=chosen.seed)
    except IgavizError as error:
        print(f"error: {error}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return error.exit_code
    print(
        f"{recipe.name}: {recipe.steps} steps in {outcome.seconds:.0f} s, training loss "
        f"{outcome.training_loss:.3f} Å², held-out error {outcome.held_out_error:.3f} Å² "
        f"(noise itself {outcome.noise_error:.3f} Å²), recorded in {chosen.out}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
