"""The checks of attention itself, whatever makes it: D201 to D211."""

from __future__ import annotations

from igaviz.checks import messages, rules
from igaviz.checks.check import Check
from igaviz.checks.finding import Severity

_GEOMETRY = ("small", "flow", "noise")

OF_ATTENTION: tuple[Check, ...] = (
    Check(
        id="D201",
        name="attention-uniform",
        title="attention is uniform",
        cap=Severity.ERROR,
        scope="map",
        metrics=("uniform_kl", "local_enrichment"),
        thresholds={"kl": 0.01, "enrichment": 1.15},
        formula="uniform_kl < {kl:g} and local_enrichment < {enrichment:g}",
        meaning="Attention has no structure at all: every residue averages over the protein.",
        remedy="Check that Q, K and γ get gradients, and that the temperature is not too high.",
        rule=rules.attention_uniform,
        say=messages.attention_uniform,
        silences=("small", "early"),
    ),
    Check(
        id="D202",
        name="diagonal-collapse",
        title="attention collapsed onto the diagonal",
        cap=Severity.ERROR,
        scope="map",
        metrics=("self_mass",),
        thresholds={"mass": 0.5},
        formula="self_mass > {mass:g}",
        meaning="Each residue sees only itself.",
        remedy="If γ is too large: start it smaller. If the spread before γ is too large: check "
        "the unit of the coordinates, bound σ of Gaussians from below, offsets of points from "
        "above. If content is the cause: a norm on Q and K, or a higher temperature.",
        rule=rules.diagonal_collapse,
        say=messages.diagonal_collapse,
        silences=_GEOMETRY,
    ),
    Check(
        id="D203",
        name="softmax-saturated",
        title="attention is one-hot",
        cap=Severity.ERROR,
        scope="map",
        metrics=("saturation", "content_saturation"),
        thresholds={"share": 0.3},
        formula="saturation > {share:g}",
        meaning="One-hot attention: gradients vanish through the softmax, and losses spike.",
        remedy="Tame the term that does it: for geometry a smaller γ or a smaller spread before "
        "it (of Gaussians a wider σ), for content a norm on Q and K or a smaller scale.",
        rule=rules.softmax_saturated,
        say=messages.softmax_saturated,
        silences=_GEOMETRY,
        consequence_of=("D104", "D202"),
    ),
    Check(
        id="D204",
        name="bias-explodes",
        title="geometric bias explodes",
        cap=Severity.ERROR,
        scope="map",
        metrics=("geo_bias_std_near",),
        thresholds={"spread": 8.0},
        formula="geo_bias_std_near > {spread:g}",
        meaning="The bias is so steep that no content can make up for it.",
        remedy="If γ is too large: start it smaller. If the spread before γ is too large: check "
        "the unit of the coordinates, scale by 1/√P; bound σ of Gaussians from below and clamp "
        "the log-determinant, bound offsets of points from above.",
        rule=rules.bias_explodes,
        say=messages.bias_explodes,
        silences=_GEOMETRY,
    ),
    Check(
        id="D205",
        name="sigma-collapse",
        title="σ has collapsed",
        cap=Severity.ERROR,
        scope="map",
        metrics=("sigma_floor_share", "log_det_min"),
        thresholds={"floor": 0.5, "log_det": -17.0},
        formula="sigma_floor_share > {floor:g} or log_det_min < {log_det:g} in ln nm⁶ (add "
        "13.8 for ln Å⁶)",
        meaning="The Gaussians have shrunk to points: geometry sees only residues on top of each "
        "other.",
        remedy="Raise the floor of σ, regularise its logarithm, or lower its learning rate.",
        rule=rules.sigma_collapse,
        say=messages.sigma_collapse,
        silences=_GEOMETRY,
    ),
    Check(
        id="D206",
        name="no-locality",
        title="blind to space",
        cap=Severity.WARNING,
        scope="layer",
        metrics=("local_enrichment",),
        thresholds={"enrichment": 1.1, "heads": 0.6},
        formula="local_enrichment < {enrichment:g}, in at least {heads:.0%} of the heads",
        meaning="Content and geometry both ignore space.",
        remedy="See whether geometry has an effect at all (gamma-too-small), and whether the "
        "layer's input still tells residues apart.",
        rule=rules.no_locality,
        say=messages.no_locality,
        silences=(*_GEOMETRY, "early"),
        consequence_of=("D105",),
    ),
    Check(
        id="D207",
        name="ratio-unusual",
        title="ratio outside the rule of thumb",
        cap=Severity.NOTE,
        scope="run",
        metrics=("geometry_ratio",),
        thresholds={"low": 2.0, "high": 5.0},
        formula="geometry_ratio outside {low:g}–{high:g}",
        meaning="A rule of thumb says 2–5. The ratio grows with the protein, and seven in ten "
        "maps of a healthy run lie outside.",
        remedy="Nothing, unless gamma-too-small or geometry-dominates speaks.",
    ),
    Check(
        id="D208",
        name="attention-sink",
        title="one key draws everything",
        cap=Severity.WARNING,
        scope="map",
        metrics=("sink",),
        thresholds={"share": 0.2, "keys": 10.0},
        formula="sink > {share:g}, and > {keys:g} ÷ N",
        meaning="One key draws attention from all queries, whatever they ask for.",
        remedy="Look at that residue: an end of the chain or a residue that should be masked. A "
        "sink that training uses as a way to attend to nothing can be given a null key.",
        rule=rules.attention_sink,
        say=messages.attention_sink,
        silences=("small",),
    ),
    Check(
        id="D209",
        name="heads-redundant",
        title="heads attend alike",
        cap=Severity.NOTE,
        scope="map",
        metrics=("twin_cosine",),
        thresholds={"cosine": 0.98},
        formula="the cosine with another head's map, both less the uniform map, > {cosine:g}",
        meaning="Two heads or more do the same: capacity that is not used.",
        remedy="Nothing in a young network. Later: fewer heads, or a look at whether their "
        "projections were initialised alike.",
        rule=rules.heads_redundant,
        say=messages.heads_redundant,
        silences=("small", "early"),
        consequence_of=("D201", "D202"),
    ),
    Check(
        id="D210",
        name="getting-sick",
        title="attention is getting sick",
        cap=Severity.WARNING,
        scope="trend",
        metrics=("saturation", "self_mass"),
        thresholds={"steps": 6, "correlation": 0.8, "growth": 2.0, "level": 0.2},
        formula="over {steps:g} or more recorded steps of the same items the layer's mean of "
        "saturation or self_mass has a rank correlation of {correlation:g} or more with the step, "
        "and its last third is at least {growth:g} times the first and over {level:g}, while "
        "diagonal-collapse and softmax-saturated do not fire",
        meaning="Attention narrows step by step: it will be one-hot, or on the diagonal.",
        remedy="Look at what grows (γ, the spread before it, the scale of Q and K) before it "
        "saturates.",
        silences=("early",),
    ),
    Check(
        id="D211",
        name="nothing-moves",
        title="attention does not learn",
        cap=Severity.WARNING,
        scope="trend",
        metrics=("attention",),
        thresholds={"steps": 3, "optimiser_steps": 500, "moved": 0.05},
        formula="over {steps:g} or more recorded steps and {optimiser_steps:g} optimiser steps, "
        "root of the summed squares of A_last − A_first ÷ that of A less the uniform map "
        "< {moved:g} on the same items",
        meaning="The layer doesn't learn: it is frozen, or gets no gradient.",
        remedy="Check that the optimiser holds the layer's parameters, that they require "
        "gradients, and that the output they feed is used.",
        silences=("early",),
    ),
)
