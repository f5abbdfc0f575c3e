"""What each recording is known to be: its cause, and the checks that must name it."""

from __future__ import annotations

from dataclasses import dataclass

CHOOSING_SEED = 0
"""The runs of this seed, on the first half of the held-out chains, may choose thresholds. All
others, on the other half, test them."""


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


_STEEP = ("D104", "D107", "D202", "D203", "D204", "D205")
"""What a bias that is too steep may be called: each is a way to see it."""

LABELS = {
    "healthy": Label("γ learned from 0.018 on"),
    "healthy_small": Label("2 layers, 4 heads, 32 features"),
    "healthy_deep": Label("6 layers, 4 heads"),
    "healthy_many_heads": Label("2 layers, 12 heads, 96 features"),
    "healthy_narrow": Label("Gaussians 0.5 nm wide at the start"),
    "gamma_1e-4": Label("γ held at 0.0001", ("D101",), ("D206",)),
    "gamma_5": Label("γ held at 5", ("D104",), _STEEP),
    "gamma_from_1.3": Label("γ learned from 1.3 on", ("D104",), _STEEP),
    "sigma_at_floor": Label("σ at its floor of 0.03 nm", ("D205",), _STEEP),
    "sigma_without_bounds": Label(
        "σ at a floor of 0.001 nm, log-determinant without clamp", ("D205",), _STEEP
    ),
    "subtracted": Label("geometry subtracted, and recorded so", ("D105", "D101"), ("D206",)),
    "cold": Label("temperature of 0.03", ("D203",), _STEEP),
    "sink": Label("the first residue's logit raised by 6 for all queries", ("D208",), ("D206",)),
    "blank": Label("Q, pair bias and γ held at zero", ("D201",), ("D101", "D206")),
    "frozen": Label("all weights but the last frame update frozen", ("D211",), ("D101", "D206")),
    "steep_at_residue": Label(
        "γ held at 10, Gaussians 0.05 nm wide at the residue", ("D202",), _STEEP
    ),
    "gamma_0.003": Label("γ held at 0.003", judged=False),
    "gamma_left_out": Label("recorded attention that γ × overlap never reached", ("D003",)),
    "overlap_recorded": Label("overlap recorded without γ", ("D003",)),
    "dropout": Label("attention recorded after dropout", ("D002",), ("D003",)),
    "sign_forgotten": Label("geometry subtracted, recorded as added", ("D003",), ("D101", "D206")),
    "nm_as_angstrom": Label("nm recorded as Å", ("D004",)),
    "angstrom_as_nm": Label("Å recorded as nm", ("D004",)),
    "bfloat16": Label("autocast to bfloat16"),
    "float16": Label("autocast to float16"),
    **{f"noise_{n}": Label(f"coordinates noised by {n} Å") for n in (1, 4, 20)},
    **{f"size_{n}": Label(f"{n} residues, γ learned") for n in (50, 150, 300, 600)},
    **{
        f"blind_size_{n}": Label(f"{n} residues, γ held at 0.0001", ("D101",), ("D206",))
        for n in (50, 150, 300, 600)
    },
    **{
        f"sick_size_{n}": Label(f"{n} residues, γ held at 5", ("D104",), _STEEP)
        for n in (50, 150, 300, 600)
    },
}
"""By the name of the condition or of the recording."""
