"""The trainings that the checks are calibrated on: one table, each sickness by its cause."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from igaviz.calibration.labels import LABELS
from igaviz.reference.layer import IgaSettings
from igaviz.reference.model import Denoiser, ModelSettings
from igaviz.reference.recipes import Recipe

STEPS = 500
SEEDS = (0, 1, 2)

SINK_NATS = 6.0
"""What every query's logit of the first residue is raised by in the condition `sink`."""


def untouched(model: Denoiser) -> None:
    """Nothing: the model is trained as it was made."""


def content_and_geometry_at_zero(model: Denoiser) -> None:
    """Hold Q and the pair bias at zero. γ is held at 0 by the layer's settings."""
    for layer in model.attention_layers:
        for module in (layer.query, layer.pair_bias):
            for parameter in module.parameters():
                nn.init.zeros_(parameter)
                parameter.requires_grad_(False)


def all_but_the_end_frozen(model: Denoiser) -> None:
    """Train the frame update of the last block only, which no attention sees."""
    model.requires_grad_(False)
    model.blocks[-1].frame_update.requires_grad_(True)


def first_residue_draws(model: Denoiser) -> None:
    """Raise the logit of the first residue as a key, for every query and head."""

    def raised(_module: nn.Module, _inputs: tuple[Tensor, ...], pair_bias: Tensor) -> Tensor:
        lift = torch.zeros_like(pair_bias)
        lift[:, :, 0] = SINK_NATS
        return pair_bias + lift

    for layer in model.attention_layers:
        layer.pair_bias.register_forward_hook(raised)


@dataclass(frozen=True)
class Condition:
    """One way to train: the sizes and what is held, and what is done to the model once made."""

    name: str
    model: ModelSettings
    seeds: tuple[int, ...] = SEEDS
    prepare: Callable[[Denoiser], None] = untouched

    @property
    def recipe(self) -> Recipe:
        """The schedule, the same for every condition."""
        return Recipe(
            name=self.name,
            why=LABELS[self.name].cause,
            model=self.model,
            steps=STEPS,
            batch_size=2,
            crop=48,
            learning_rate=1e-3,
        )

    def make(self, seed: int) -> Denoiser:
        """The untrained model."""
        torch.manual_seed(seed)
        model = Denoiser(self.model)
        self.prepare(model)
        return model


def _model(
    *, n_layers: int = 4, sigma: float = 0.7, n_heads: int = 8, c_s: int = 64, **held: object
) -> ModelSettings:
    layer = IgaSettings(n_heads=n_heads, c_s=c_s, **held)  # type: ignore[arg-type]
    return ModelSettings(layer=layer, n_layers=n_layers, sigma=sigma)


def _softplus_inverse(gamma: float) -> float:
    return math.log(math.expm1(gamma))


CONDITIONS = {
    condition.name: condition
    for condition in (
        Condition("healthy", _model(), seeds=(*SEEDS, 7, 12)),
        Condition("gamma_1e-4", _model(fixed_gamma=1e-4), seeds=(*SEEDS, 12)),
        Condition("gamma_5", _model(fixed_gamma=5.0)),
        Condition("gamma_from_1.3", _model(geo_scale_start=_softplus_inverse(1.3))),
        Condition("sigma_at_floor", _model(sigma=0.003)),
        Condition(
            "sigma_without_bounds",
            _model(sigma=1e-4, sigma_floor=1e-3, log_det_clamp=-math.inf),
        ),
        Condition("subtracted", _model(geo_sign=-1)),
        Condition("cold", _model(temperature=0.03)),
        Condition("sink", _model(), prepare=first_residue_draws),
        Condition("blank", _model(fixed_gamma=0.0), prepare=content_and_geometry_at_zero),
        Condition("frozen", _model(), prepare=all_but_the_end_frozen),
        Condition("steep_at_residue", _model(fixed_gamma=10.0, free_centres=False, sigma=0.05)),
        Condition("gamma_0.003", _model(fixed_gamma=0.003)),
        Condition("healthy_small", _model(n_layers=2, n_heads=4, c_s=32), seeds=(3,)),
        Condition("healthy_deep", _model(n_layers=6, n_heads=4), seeds=(4, 8, 9, 10, 11)),
        Condition("healthy_many_heads", _model(n_layers=2, n_heads=12, c_s=96), seeds=(5,)),
        Condition("healthy_narrow", _model(sigma=0.5), seeds=(6,)),
    )
}
"""By name."""
