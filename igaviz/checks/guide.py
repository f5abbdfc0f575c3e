"""Rules of thumb that are no checks: a run's numbers against those that its users know.

Read as checks they would condemn every healthy run, so they are one line of information.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from igaviz.checks.check import Check
from igaviz.checks.judge import LayerVerdict
from igaviz.checks.messages import frozen
from igaviz.checks.settings import Settings
from igaviz.checks.table import find_check
from igaviz.checks.wording import number, percent, span

GAMMA = find_check("gamma-unusual")
FROZEN = find_check("gamma-frozen")
RATIO = find_check("ratio-unusual")
_EFFECT = find_check("gamma-too-small")

FirstAndLast = tuple[Mapping[int, float], Mapping[int, float]]
"""A layer's γ by head at its first and at its last recorded step."""


def against_rules_of_thumb(
    layers: Sequence[LayerVerdict],
    gammas: Sequence[FirstAndLast],
    settings: Settings,
    *,
    healthy: bool,
) -> str:
    """What a run's last steps say against the rules of thumb; empty where nothing was recorded.

    `gammas` are those of layers that were recorded over enough steps for γ to move. `healthy` says
    that no check found more than notes in the run.
    """
    parts, outside = [], False
    gamma = _head_means(layers, "gamma")
    if gamma and settings.runs(GAMMA):
        outside |= _outside(min(gamma), GAMMA, settings) or _outside(max(gamma), GAMMA, settings)
        parts.append(f"γ {span(gamma)}, {_within(outside, GAMMA, settings)}")
    change = settings.thresholds_of(FROZEN)["change"]
    if gammas and settings.runs(FROZEN) and all(frozen(*pair, change) for pair in gammas):
        parts.append("γ has not moved over the recorded steps")
    ratios = _head_means(layers, "geometry_ratio")
    if ratios and settings.runs(RATIO):
        middle = median(ratios)
        off = _outside(middle, RATIO, settings)
        outside |= off
        parts.append(
            f"geometry ÷ content {number(middle)} (median), {_within(off, RATIO, settings)}"
        )
    effects = _head_means(layers, "geometry_effect")
    if effects and parts:
        effect = median(effects)
        fine = healthy and outside and effect >= settings.thresholds_of(_EFFECT)["effect"]
        parts.append(
            f"geometry moves {percent(effect)} of attention{', so this is fine' if fine else ''}"
        )
    return "; ".join(parts)


def _head_means(layers: Sequence[LayerVerdict], metric: str) -> list[float]:
    return [value for layer in layers for value in layer.head_means[metric].values()]


def _outside(value: float, check: Check, settings: Settings) -> bool:
    thresholds = settings.thresholds_of(check)
    return not thresholds["low"] <= value <= thresholds["high"]


def _within(outside: bool, check: Check, settings: Settings) -> str:
    thresholds = settings.thresholds_of(check)
    words = "outside" if outside else "within"
    return f"{words} the rule of thumb of {thresholds['low']}–{thresholds['high']}"
