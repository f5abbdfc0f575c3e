"""The checks of whether attention uses geometry, and how: D101 to D107."""

from __future__ import annotations

from igaviz.checks import messages, rules
from igaviz.checks.check import Check
from igaviz.checks.finding import Severity

_GEOMETRY = ("small", "flow", "noise")

OF_GEOMETRY: tuple[Check, ...] = (
    Check(
        id="D101",
        name="gamma-too-small",
        title="geometry has no say",
        cap=Severity.ERROR,
        scope="map",
        metrics=("geometry_effect", "geo_bias_std_near", "bias_trend", "gamma"),
        thresholds={
            "effect": 0.08,
            "spread": 0.05,
            "young": 1000,
            "young_spread": 0.015,
            "trend": -0.8,
        },
        formula="geometry_effect < {effect:g} and geo_bias_std_near < {spread:g}; below {young:g} "
        "optimiser steps < {young_spread:g} where the bias falls with distance (bias_trend < "
        "{trend:g})",
        meaning="γ × spread of the bias is too small for geometry to move attention. γ alone "
        "proves nothing: small γ with a wide spread is healthy.",
        remedy="If γ is too small: start it larger, give it its own learning rate, check that it "
        "gets a gradient. If the spread before γ is too small: check the unit of the coordinates, "
        "what the term is divided by and the widths of Gaussians.",
        rule=rules.gamma_too_small,
        say=messages.gamma_too_small,
        silences=(*_GEOMETRY, "early"),
        consequence_of=("D105",),
    ),
    Check(
        id="D102",
        name="gamma-unusual",
        title="γ outside the rule of thumb",
        cap=Severity.NOTE,
        scope="run",
        metrics=("gamma",),
        thresholds={"low": 0.5, "high": 2.0},
        formula="γ outside {low:g}–{high:g}",
        meaning="A rule of thumb says 0.5–2.0. Healthy networks of the reference layer learned "
        "0.018–0.025: what counts is the effect that geometry has.",
        remedy="Nothing, unless gamma-too-small or geometry-dominates speaks.",
    ),
    Check(
        id="D103",
        name="bias-flat",
        title="bias is flat",
        cap=Severity.WARNING,
        scope="map",
        metrics=("geo_bias_std_near",),
        thresholds={"spread": 0.015},
        formula="geo_bias_std_near < {spread:g}, and gamma-too-small does not fire",
        meaning="The bias doesn't tell near pairs apart, though geometry moves attention farther "
        "out.",
        remedy="Look at what γ multiplies: coordinates in too large a unit make all distances "
        "small, and Gaussians far wider than these overlap with everything alike.",
        rule=rules.bias_flat,
        say=messages.bias_flat,
        silences=(*_GEOMETRY, "early"),
        unless=("D101",),
    ),
    Check(
        id="D104",
        name="geometry-dominates",
        title="geometry drowns content",
        cap=Severity.ERROR,
        scope="map",
        metrics=("geometry_ratio_near", "content_effect"),
        thresholds={"ratio": 5.0},
        formula="geometry_ratio_near > {ratio:g}",
        meaning="Geometry drowns content (Q·K + pair bias): only the nearest residues are left, "
        "and learning slows.",
        remedy="If γ is too large: start it smaller. If the spread before γ is too large: check "
        "the unit of the coordinates, and that the term is scaled by 1/√P and not normalised to "
        "unit variance; bound σ of Gaussians from below, offsets of points from above. If "
        "content is too weak: look at the scale and the gradients of Q and K.",
        rule=rules.geometry_dominates,
        say=messages.geometry_dominates,
        silences=(*_GEOMETRY, "early"),
    ),
    Check(
        id="D105",
        name="geometry-inverted",
        title="geometry is inverted",
        cap=Severity.ERROR,
        scope="map",
        metrics=("neighbour_shift", "bias_trend"),
        thresholds={"shift": 0.0, "trend": 0.3},
        formula="neighbour_shift < {shift:g} and bias_trend > {trend:g}",
        meaning="Geometry drives attention away from neighbours.",
        remedy="Add what is largest at neighbours, as an overlap of Gaussians is; subtract what "
        "grows with distance. Where the layer subtracts `geo_bias`, record `geo_bias_sign = -1`.",
        rule=rules.geometry_inverted,
        say=messages.geometry_inverted,
        silences=_GEOMETRY,
    ),
    Check(
        id="D106",
        name="gamma-frozen",
        title="γ does not move",
        cap=Severity.NOTE,
        scope="run",
        metrics=("gamma",),
        thresholds={"change": 0.01, "steps": 200},
        formula="no head's γ changes by over {change:.0%} over {steps:g} or more optimiser steps",
        meaning="γ moves slowly in healthy runs too: by about 1 % in the first 50 steps.",
        remedy="Nothing, unless gamma-too-small speaks: then check that γ gets a gradient.",
    ),
    Check(
        id="D107",
        name="geometry-too-short",
        title="geometry reaches too short",
        cap=Severity.ERROR,
        scope="map",
        metrics=("geo_range", "geometry_effect"),
        thresholds={"range": 6.0, "effect": 0.8},
        formula="geo_range < {range:g} Å and geometry_effect > {effect:g}, where that is known",
        meaning="Geometry decides, and reaches no further than the next residue: γ is too large, "
        "or what it multiplies is too steep, as Gaussians with σ at its floor are.",
        remedy="If γ is too large: start it smaller. If the spread before γ is too large: check "
        "the unit of the coordinates and the offsets of points; of Gaussians look at σ "
        "(sigma-collapse, where it is recorded), and widen it at the start.",
        rule=rules.geometry_too_short,
        say=messages.geometry_too_short,
        silences=_GEOMETRY,
    ),
)
