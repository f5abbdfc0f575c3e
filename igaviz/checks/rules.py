"""The checks themselves: small pure functions from one map's numbers and thresholds to an outcome.

A rule answers in three values. It fires, it doesn't, or it can't tell because a number that it
needs has no value: then it says why, so that silence is never taken for health.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from igaviz.metrics.data import Measurement
from igaviz.metrics.table import BEYOND

CA_STEP = 3.8
"""Å between the Cα of consecutive residues."""


class Condition(NamedTuple):
    """A metric against its threshold; `excess` is how far beyond it is, relative to it.

    `excess` is positive where the condition holds, and None where the metric has no value.
    """

    metric: str
    value: float | None
    threshold: float
    excess: float | None


class Outcome(NamedTuple):
    """What a rule decided: whether it fired, by how much, and the numbers that it decided by.

    `left_out` says what of the map it could not judge, where that is a part only.
    """

    fired: bool
    excess: float
    conditions: tuple[Condition, ...]
    left_out: str = ""


class Unjudged(NamedTuple):
    """A rule that could not decide, and why."""

    reason: str


Thresholds = Mapping[str, float]
Rule = Callable[[Measurement, Thresholds], Outcome | Unjudged]


def non_finite(m: Measurement, t: Thresholds) -> Outcome | Unjudged:
    """Any number of the map is NaN or infinite."""
    return _every(m, _above(m, "nonfinite", t["count"]))


def rows_not_normalised(m: Measurement, t: Thresholds) -> Outcome | Unjudged:
    """Rows of the attention don't sum to 1 within what its type can do."""
    return _every(m, _above(m, "row_sum_error", t[m.attention_dtype]))


def terms_disagree(m: Measurement, t: Thresholds) -> Outcome | Unjudged:
    """softmax(S + G) isn't the recorded attention on more than a few rows."""
    replay = m.replay
    if replay is None:
        return Unjudged("no row has all of attention, logits_before and geo_bias, finite")
    coarse = f"logits too large to replay in {m.compute_dtype}"
    if replay.judged_rows == 0:
        return Unjudged(coarse)
    share = _condition(
        "failed_row_share", replay.failed_rows / replay.judged_rows, t["rows"], above=True
    )
    error = Condition("replay_error", replay.error, replay.tolerance, None)
    excess = share.excess or 0.0
    left_out = f"{coarse} in some rows; the others are judged" if replay.coarse_rows else ""
    return Outcome(excess > 0, excess, (share, error), left_out)


def unit_suspect(m: Measurement, t: Thresholds) -> Outcome | Unjudged:
    """Consecutive Cα are ten times too far apart, or ten times too close."""
    step = m.ca_step if m.reference_step is None else m.reference_step
    if step is None or not math.isfinite(step):
        return Unjudged("no residues follow each other in sequence")
    mistaken = 10 * CA_STEP if step > CA_STEP else CA_STEP / 10
    # Noise of the right size has that median too, but not all its steps are alike.
    alike = m.step_spread is None or m.step_spread <= t["spread"]
    fired = alike and abs(step / mistaken - 1) <= t["within"]
    return Outcome(fired, 0.0, (Condition("ca_step", step, mistaken, 0.0),))


def mask_in_logits(m: Measurement, t: Thresholds) -> Outcome | Unjudged:
    """A mask stands inside the logits as a large negative number, or hides whole keys."""
    share = 0.0 if m.mask is None else m.mask.pairs / m.n_residues**2
    return _every(m, _condition("masked_share", share, max(t["share"], 0.0), above=True))


def coordinates_missing(m: Measurement, t: Thresholds) -> Outcome | Unjudged:
    """Residues have no finite coordinates, or all lie on one point: distances are not known."""
    found = m.unplaced
    missing = 0 if found is None else m.n_residues if found.no_extent else found.missing
    threshold = max(t["residues"], 0.0)
    return _every(m, _condition("residues_without_place", missing, threshold, above=True))


def residues_on_one_point(m: Measurement, t: Thresholds) -> Outcome | Unjudged:
    """Some residues lie on one point with others, and so count as touching."""
    piled = 0 if m.unplaced is None else m.unplaced.piled
    threshold = max(t["residues"], 0.0)
    return _every(m, _condition("residues_on_one_point", piled, threshold, above=True))


def gamma_too_small(m: Measurement, t: Thresholds) -> Outcome | Unjudged:
    """Geometry moves hardly any attention, and its bias hardly tells near residues apart.

    In a young layer, a bias that falls with distance as it did before training may still grow: it
    has to be flatter than that.
    """
    trend = m.number("bias_trend")
    may_grow = m.id.step < t["young"] and (trend is None or trend < t["trend"])
    return _every(
        m,
        _below(m, "geometry_effect", t["effect"]),
        _below(m, "geo_bias_std_near", t["young_spread" if may_grow else "spread"]),
    )


def bias_flat(m: Measurement, t: Thresholds) -> Outcome | Unjudged:
    """The bias is the same for all near residues."""
    return _every(m, _below(m, "geo_bias_std_near", t["spread"]))


def geometry_dominates(m: Measurement, t: Thresholds) -> Outcome | Unjudged:
    """Near residues are told apart by geometry many times more than by content."""
    return _every(m, _above(m, "geometry_ratio_near", t["ratio"]))


def geometry_inverted(m: Measurement, t: Thresholds) -> Outcome | Unjudged:
    """The bias is lower at neighbours than elsewhere, and rises with distance."""
    return _every(
        m,
        _below(m, "neighbour_shift", t["shift"]),
        _above(m, "bias_trend", t["trend"]),
    )


def geometry_too_short(m: Measurement, t: Thresholds) -> Outcome | Unjudged:
    """The bias has fallen off before the next residue but one, and attention goes by it.

    Where logits are missing nobody can tell what attention goes by: then the bias decides alone.
    """
    short = _below(m, "geo_range", t["range"])
    effect = _above(m, "geometry_effect", t["effect"])
    return _every(m, short) if effect.excess is None else _every(m, short, effect)


def attention_uniform(m: Measurement, t: Thresholds) -> Outcome | Unjudged:
    """Attention is uniform over keys, in space too."""
    return _every(
        m,
        _below(m, "uniform_kl", t["kl"]),
        _below(m, "local_enrichment", t["enrichment"]),
    )


def diagonal_collapse(m: Measurement, t: Thresholds) -> Outcome | Unjudged:
    """Residues attend to themselves."""
    return _every(m, _above(m, "self_mass", t["mass"]))


def softmax_saturated(m: Measurement, t: Thresholds) -> Outcome | Unjudged:
    """Queries give all their attention to one key."""
    return _every(m, _above(m, "saturation", t["share"]))


def bias_explodes(m: Measurement, t: Thresholds) -> Outcome | Unjudged:
    """The bias differs among near residues by more than any content can make up for."""
    return _every(m, _above(m, "geo_bias_std_near", t["spread"]))


def sigma_collapse(m: Measurement, t: Thresholds) -> Outcome | Unjudged:
    """Most axis lengths are at their floor, or the Gaussians have no volume left."""
    at_floor = _condition("sigma_floor_share", m.sigma_floor_share, t["floor"], above=True)
    volume = _condition("log_det_min", m.log_det_min, t["log_det"], above=False)
    known = [condition for condition in (at_floor, volume) if condition.excess is not None]
    if not known:
        return Unjudged(
            "σ not recorded: neither sigma_floor_share nor log_det_min, which layers without "
            "Gaussians don't have"
        )
    excess = max(condition.excess or 0.0 for condition in known)
    return Outcome(excess > 0, excess, (at_floor, volume))


def no_locality(m: Measurement, t: Thresholds) -> Outcome | Unjudged:
    """Neighbours in space get no more attention than blind attention would give them."""
    return _every(m, _below(m, "local_enrichment", t["enrichment"]))


def attention_sink(m: Measurement, t: Thresholds) -> Outcome | Unjudged:
    """One key takes a large share of every query's attention."""
    return _every(m, _above(m, "sink", max(t["share"], t["keys"] / max(m.n_residues, 1))))


def heads_redundant(m: Measurement, t: Thresholds) -> Outcome | Unjudged:
    """Another head of the item attends alike."""
    closest = _condition("twin_cosine", m.twin_cosine, t["cosine"], above=True)
    if closest.excess is None:
        return Unjudged(_why_alone(m))
    return Outcome(closest.excess > 0, closest.excess, (closest,))


def _why_alone(m: Measurement) -> str:
    """Why a map can't be compared with those of other heads, or that there are none."""
    if m.sketch is not None:
        return "no other head's map to compare with"
    if m.number("entropy") is None:
        return _why_missing(m, "entropy")
    if m.mask is not None and m.mask.keys:
        return "maps with padding are not compared with each other"
    return "maps with rows that are left out are not compared with each other"


def _below(m: Measurement, metric: str, threshold: float) -> Condition:
    return _condition(metric, _value(m, metric), threshold, above=False)


def _above(m: Measurement, metric: str, threshold: float) -> Condition:
    return _condition(metric, _value(m, metric), threshold, above=True)


def _value(m: Measurement, metric: str) -> float | None:
    """The metric as a number; a range that goes `beyond` all distances is infinite."""
    value = m.values.get(metric)
    if isinstance(value, str):
        return math.inf if value == BEYOND else None
    return None if value is None else float(value)


def _condition(metric: str, value: float | None, threshold: float, *, above: bool) -> Condition:
    if value is None or math.isnan(value):
        return Condition(metric, None, threshold, None)
    excess = (value - threshold if above else threshold - value) / (abs(threshold) or 1.0)
    return Condition(metric, value, threshold, excess)


def _every(m: Measurement, *conditions: Condition) -> Outcome | Unjudged:
    """Fires where every condition holds; one that fails decides, whatever has no value."""
    missing = None
    for condition in conditions:
        if condition.excess is None:
            missing = missing or condition
        elif condition.excess <= 0:
            return Outcome(False, 0.0, conditions)
    if missing is not None:
        return Unjudged(_why_missing(m, missing.metric))
    return Outcome(True, conditions[0].excess or 0.0, conditions)


def _why_missing(m: Measurement, metric: str) -> str:
    """The reason that was given; one that speaks of the metric as "it" needs the name."""
    why = m.reasons.get(metric, "it has no value")
    return f"{metric}: {why}" if why.startswith("it ") else why
