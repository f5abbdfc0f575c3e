"""The checks, as one table: everything that text, JSON, figures and docs know about a check."""

from __future__ import annotations

import difflib

from igaviz.checks import messages, rules
from igaviz.checks.check import Check
from igaviz.checks.finding import Severity
from igaviz.errors import SelectionError
from igaviz.metrics.replay import COARSE

_GEOMETRY = ("small", "flow", "noise")

CHECKS: tuple[Check, ...] = (
    Check(
        id="D001",
        name="non-finite",
        title="numbers are broken",
        cap=Severity.ERROR,
        scope="map",
        invariant=True,
        metrics=("nonfinite",),
        thresholds={"count": 0},
        formula="nonfinite > {count:g}",
        meaning="The layer's numbers are broken: NaN or infinity in logits, bias or weights.",
        remedy="Look at σ and the log-determinant of the covariances first, then at the learning "
        "rate and at what runs in half precision.",
        rule=rules.non_finite,
        say=messages.non_finite,
    ),
    Check(
        id="D002",
        name="rows-not-normalised",
        title="rows do not sum to 1",
        cap=Severity.ERROR,
        scope="map",
        invariant=True,
        metrics=("row_sum_error",),
        thresholds={"float32": 1e-4, "float16": 2e-3, "bfloat16": 6e-3},
        formula="row_sum_error > {float32:g} in float32, {float16:g} in float16, {bfloat16:g} in "
        "bfloat16 (the type of the attention)",
        meaning="What was recorded as attention is not a softmax over keys.",
        remedy="Record the weights before dropout; don't cut the map after the softmax; check "
        "that the last axis is the key.",
        rule=rules.rows_not_normalised,
        say=messages.rows_not_normalised,
        silences=("derived",),
    ),
    Check(
        id="D003",
        name="terms-disagree",
        title="terms do not make the attention",
        cap=Severity.ERROR,
        scope="map",
        invariant=True,
        metrics=("failed_row_share", "replay_error"),
        thresholds={"rows": 0.05},
        formula="more than {rows:.0%} of the judged rows differ from softmax(S + G) by more than "
        f"their tolerance; a row whose tolerance exceeds {COARSE:g} is not judged",
        meaning="The recorded terms don't make the recorded attention: γ is not applied, a term "
        "is missing, or a sign is wrong. Nothing that is said about geometry can be trusted.",
        remedy="Compare what is recorded with what the layer adds up: every term, γ applied, the "
        "sign as `geo_bias_sign` says, before the softmax.",
        rule=rules.terms_disagree,
        say=messages.terms_disagree,
        silences=("derived",),
    ),
    Check(
        id="D004",
        name="unit-suspect",
        title="unit of length is suspect",
        cap=Severity.WARNING,
        scope="item",
        metrics=("ca_step",),
        thresholds={"within": 0.1, "spread": 0.3},
        formula="median distance of consecutive Cα within {within:.0%} of 38 or 0.38 Å, and the "
        "distance between its quartiles {spread:g} of it at most",
        meaning="Å were recorded as nm or the reverse: every distance is off by a factor of ten.",
        remedy="Give the recorder the unit of the coordinates that the layer receives; layers of "
        "the AlphaFold family get Å ÷ 10, which is nanometer.",
        rule=rules.unit_suspect,
        say=messages.unit_suspect,
        silences=("noised",),
    ),
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
        remedy="Where γ is what is small: start it larger, give it its own learning rate, check "
        "that it gets a gradient. Where the spread is: look at the widths of the Gaussians and at "
        "what the overlap is divided by.",
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
        remedy="Look at the widths of the Gaussians: far wider than the distances between "
        "residues, they overlap with everything alike.",
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
        remedy="Start γ smaller; bound σ from below; check that the overlap is scaled by 1/√P and "
        "not normalised to unit variance.",
        rule=rules.geometry_dominates,
        say=messages.geometry_dominates,
        silences=_GEOMETRY,
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
        remedy="Add the overlap instead of subtracting it; where the layer does subtract it, "
        "record `geo_bias_sign = -1`.",
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
        metrics=("geo_range",),
        thresholds={"range": 6.0},
        formula="geo_range < {range:g} Å",
        meaning="Geometry reaches no further than the next residue: σ is at its floor, or γ is "
        "too large.",
        remedy="Look at σ (sigma-collapse, where it is recorded); widen it at the start, or start "
        "γ smaller.",
        rule=rules.geometry_too_short,
        say=messages.geometry_too_short,
        silences=_GEOMETRY,
    ),
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
        remedy="The bias is too steep, γ too large, or the temperature too low: start γ smaller, "
        "bound σ from below.",
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
        remedy="Tame the term that does it: for geometry a smaller γ or a wider σ, for content a "
        "norm on Q and K or a smaller scale.",
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
        remedy="Bound σ from below, clamp the log-determinant, scale by 1/√P, start γ small.",
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
        remedy="Look at what grows (γ, σ that shrinks, the scale of Q and K) before it saturates.",
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
"""In the order of their ids: invariants of a sound recording, geometry, attention."""

_BY_ID = {check.id: check for check in CHECKS}
_BY_NAME = {check.name: check for check in CHECKS}


def find_check(name: str) -> Check:
    """The check with this id or name, in any case; raises `SelectionError` with the nearest."""
    wanted = name.strip()
    check = _BY_ID.get(wanted.upper()) or _BY_NAME.get(wanted.lower())
    if check is not None:
        return check
    known = {key.lower(): found for key, found in (_BY_ID | _BY_NAME).items()}
    near = difflib.get_close_matches(wanted.lower(), known, n=1, cutoff=0.5)
    hint = (
        f"did you mean {known[near[0]].name} ({known[near[0]].id})?"
        if near
        else f"checks go by id or name: {CHECKS[0].id} to {CHECKS[-1].id}"
    )
    raise SelectionError(f"no check {name!r}", hint=hint)
