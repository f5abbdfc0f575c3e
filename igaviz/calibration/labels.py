"""What each recording is known to be: its cause, and the checks that must name it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Label:
    """What was done, and what must come of it.

    `cause` says what was done to the run. `sick` are the checks of which at least one must call a
    layer an error; `may` are further checks that may speak as loudly, because the cause brings
    them about too. Both empty: the layers must stay quiet. `judged` says whether recall and false
    alarms count it: the borderline case has no label.
    """

    cause: str
    sick: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    judged: bool = True


LABELS = {
    "healthy": Label("γ learned from 0.018 on"),
    "gamma_1e-4": Label("γ held at 0.0001"),
    "gamma_5": Label("γ held at 5"),
    "gamma_from_1.3": Label("γ learned from 1.3 on"),
    "sigma_at_floor": Label("σ at its floor of 0.03 nm"),
    "sigma_without_bounds": Label("σ at a floor of 0.001 nm, log-determinant without clamp"),
    "subtracted": Label("geometry subtracted, and recorded so"),
    "cold": Label("temperature of 0.03"),
    "sink": Label("the first residue's logit raised by 6 for all queries"),
    "blank": Label("Q, pair bias and γ held at zero"),
    "frozen": Label("all weights but the last frame update frozen"),
    "steep_at_residue": Label("γ held at 10, Gaussians 0.05 nm wide at the residue"),
    "gamma_0.003": Label("γ held at 0.003", judged=False),
    "healthy_small": Label("2 layers, 4 heads, 32 features"),
    "healthy_deep": Label("6 layers, 4 heads"),
    "healthy_many_heads": Label("2 layers, 12 heads, 96 features"),
    "healthy_narrow": Label("Gaussians 0.5 nm wide at the start"),
}
"""By the name of the condition or of the recording."""
