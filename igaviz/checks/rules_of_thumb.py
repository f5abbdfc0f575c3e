"""Rules of thumb that are no checks: a run's numbers against those that its users know.

Read as checks they would condemn every healthy run, so they are one line of information, which
says whose they are. Where geometry does its part, the line begins with that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import NamedTuple

from igaviz.checks.check import Check
from igaviz.checks.layer_verdict import LayerVerdict
from igaviz.checks.messages import frozen
from igaviz.checks.settings import Settings
from igaviz.checks.table import find_check
from igaviz.checks.wording import listed, number, span
from igaviz.percent import percent

GAMMA = find_check("gamma-unusual")
FROZEN = find_check("gamma-frozen")
RATIO = find_check("ratio-unusual")
_EFFECT = find_check("gamma-too-small")

FirstAndLast = tuple[Mapping[int, float], Mapping[int, float]]
"""A layer's γ by head at its first and at its last recorded step."""


class _Number(NamedTuple):
    """A number that users have a rule of thumb for, the rule, and whether it is outside."""

    said: str
    rule: str
    outside: bool


def against_rules_of_thumb(
    layers: Sequence[LayerVerdict],
    gammas: Sequence[FirstAndLast],
    settings: Settings,
    *,
    healthy: bool,
) -> str:
    """What a run's last steps say against the rules of thumb; empty where nothing was recorded.

    `gammas` are those of layers that were recorded over enough steps for γ to move. `healthy` says
    that no check found more than notes in the run. Nothing is called fine where the geometry of a
    layer could not be judged.
    """
    known = list(_known(layers, settings))
    parts = [f"{one.said} (users go by {one.rule})" for one in known]
    change = settings.thresholds_of(FROZEN)["change"]
    if gammas and settings.runs(FROZEN) and all(frozen(*pair, change) for pair in gammas):
        parts.append("γ has not moved over the recorded steps")
    effects = _head_means(layers, "geometry_effect")
    if not effects or not parts:
        return "; ".join(parts)
    effect = median(effects)
    moves = f"moves {percent(effect)} of attention (median)"
    unjudged = sum(_EFFECT.id not in layer.judged for layer in layers)
    if unjudged:
        where = f" in {unjudged} of {len(layers)} layers" if unjudged < len(layers) else ""
        moves += f", which its checks could not judge{where}"
    elif healthy and effect >= settings.thresholds_of(_EFFECT)["effect"]:
        return "; ".join([f"Geometry {moves}{_fine(known)}", *parts[len(known) :]])
    return "; ".join([*parts, f"geometry {moves}"])


def _fine(known: Sequence[_Number]) -> str:
    """That numbers outside the rules of thumb are fine, and whose rules these are."""
    outside = [one for one in known if one.outside]
    if not outside:
        return ""
    said, rules = listed([one.said for one in outside]), listed([one.rule for one in outside])
    if len(outside) == 1:
        return f", so {said} is fine; {rules} is a rule of thumb of users, no check"
    return f", so {said} are fine; {rules} are rules of thumb of users, no checks"


def _known(layers: Sequence[LayerVerdict], settings: Settings) -> Iterator[_Number]:
    gamma = _head_means(layers, "gamma")
    if gamma and settings.runs(GAMMA):
        ends = (min(gamma), max(gamma))
        yield _Number(f"γ {span(gamma)}", *_rule(ends, GAMMA, settings))
    ratios = _head_means(layers, "geometry_ratio")
    if ratios and settings.runs(RATIO):
        middle = median(ratios)
        said = f"median geometry ÷ content {number(middle)}"
        yield _Number(said, *_rule((middle,), RATIO, settings))


def _rule(values: Sequence[float], check: Check, settings: Settings) -> tuple[str, bool]:
    """The rule of thumb of `check`, and whether one of `values` is outside."""
    low, high = (settings.thresholds_of(check)[name] for name in ("low", "high"))
    return f"{number(low)}–{number(high)}", any(not low <= value <= high for value in values)


def _head_means(layers: Sequence[LayerVerdict], metric: str) -> list[float]:
    return [value for layer in layers for value in layer.head_means[metric].values()]
