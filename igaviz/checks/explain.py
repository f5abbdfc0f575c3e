"""What there is to say about one check: the data behind `igaviz explain` and docs/checks.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from igaviz.checks.background import BACKGROUND
from igaviz.checks.check import Check
from igaviz.checks.finding import Severity
from igaviz.checks.silence import SILENCES
from igaviz.checks.table import find_check


@dataclass(frozen=True)
class Explanation:
    """One check in words: what it measures, when it fires, where that comes from, what to do.

    `formula` has the thresholds filled in; `severity` says how bad it can get; `silent` are the
    reasons for which it says nothing; `told_under` are the checks whose consequence it may be.
    """

    id: str
    name: str
    title: str
    meaning: str
    metrics: tuple[str, ...]
    formula: str
    thresholds: Mapping[str, float]
    origin: str
    severity: str
    silent: tuple[str, ...]
    told_under: tuple[str, ...]
    example: str
    remedy: str


def explain(name: str) -> Explanation:
    """All there is to say about the check with this id or name.

    Raises `SelectionError`, naming the nearest, where there is none.
    """
    check = find_check(name)
    background = BACKGROUND[check.id]
    return Explanation(
        id=check.id,
        name=check.name,
        title=check.title,
        meaning=check.meaning,
        metrics=check.metrics,
        formula=check.formula.format(**check.thresholds),
        thresholds=check.thresholds,
        origin=background.origin,
        severity=_severity(check),
        silent=tuple(SILENCES[key].reason for key in check.silences),
        told_under=tuple(str(find_check(other)) for other in check.consequence_of),
        example=background.example,
        remedy=check.remedy,
    )


def _severity(check: Check) -> str:
    if check.scope == "run":
        return "none: a line of information about the run, never a finding"
    if check.invariant:
        return "error wherever it occurs"
    if check.scope == "trend":
        return f"{check.cap}, of the layer as a whole over its steps"
    if check.scope == "item":
        return f"{check.cap}, once per batch item"
    return "by the share of heads" + (
        "" if check.cap == Severity.ERROR else f", {check.cap} at most"
    )
