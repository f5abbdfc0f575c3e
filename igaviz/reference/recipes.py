"""The training runs that the sample data comes from: one healthy, two sick, each by its cause."""

from __future__ import annotations

from dataclasses import dataclass, replace

from igaviz.reference.layer import IgaSettings
from igaviz.reference.model import ModelSettings


@dataclass(frozen=True)
class Recipe:
    """One training run: the model and the schedule; `why` says what its geometry goes through."""

    name: str
    why: str
    model: ModelSettings
    steps: int = 1500
    batch_size: int = 2
    crop: int = 96
    learning_rate: float = 5e-4
    warmup_steps: int = 50


_HEALTHY = ModelSettings()

RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="healthy",
            why="γ is learned from softplus(−4) = 0.018 on, Gaussians start 0.7 nm wide",
            model=_HEALTHY,
        ),
        Recipe(
            name="gamma_too_small",
            why="γ is held at 0.0001: nothing that geometry says reaches the softmax",
            model=replace(_HEALTHY, layer=IgaSettings(fixed_gamma=1e-4)),
        ),
        Recipe(
            name="diagonal_collapse",
            why="γ is held at 10 and narrow Gaussians at their Cα: only a residue itself is near",
            model=replace(
                _HEALTHY, layer=IgaSettings(fixed_gamma=10.0, free_centres=False), sigma=0.05
            ),
        ),
    )
}
"""By name."""
