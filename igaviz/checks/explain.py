"""What there is to say about one check or metric: the data behind `igaviz explain`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from igaviz.checks.background import BACKGROUND
from igaviz.checks.check import Check
from igaviz.checks.finding import Severity
from igaviz.checks.silence import SILENCES
from igaviz.checks.table import CHECKS, find_check
from igaviz.checks.wording import raised
from igaviz.errors import SelectionError
from igaviz.metrics.formulas import FORMULAS
from igaviz.metrics.table import METRICS


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


@dataclass(frozen=True)
class MetricExplanation:
    """One metric in words: what it means, its formula, what it can be, and who uses it.

    `unit` is "" for a pure number. `terms` are what must be recorded for it, none where it takes
    whatever was; `checks` are those that look at it.
    """

    name: str
    title: str
    unit: str
    meaning: str
    formula: str
    range: str
    terms: tuple[str, ...]
    checks: tuple[str, ...]


_METRICS = {metric.name: metric for metric in METRICS}


def explain(name: str) -> Explanation | MetricExplanation:
    """All there is to say about the check with this id or name, or the metric with this name.

    Raises `SelectionError`, saying what there is, where it is neither.
    """
    if _metric_name(name) in _METRICS:
        return explain_metric(name)
    try:
        return explain_check(name)
    except SelectionError as error:
        near = difflib.get_close_matches(_metric_name(name), _METRICS, n=1)
        hint = f"did you mean the metric {near[0]}? igaviz explain lists all" if near else None
        raise SelectionError(f"no check and no metric {name!r}", hint=hint or error.hint) from None


def explain_metric(name: str) -> MetricExplanation:
    """All there is to say about the metric with this name. Raises `SelectionError`."""
    metric = _METRICS.get(_metric_name(name))
    if metric is None:
        raise SelectionError(f"no metric {name!r}", hint=f"there are {', '.join(_METRICS)}")
    formula = FORMULAS[metric.name]
    return MetricExplanation(
        name=metric.name,
        title=metric.title,
        unit=metric.unit,
        meaning=metric.means,
        formula=formula.text,
        range=formula.range,
        terms=formula.terms,
        checks=tuple(str(check) for check in CHECKS if metric.name in check.metrics),
    )


def _metric_name(text: str) -> str:
    return text.strip().lower().replace("-", "_")


def explain_check(name: str) -> Explanation:
    """All there is to say about the check with this id or name.

    Raises `SelectionError`, naming those like it, where there is none.
    """
    check = find_check(name)
    background = BACKGROUND[check.id]
    return Explanation(
        id=check.id,
        name=check.name,
        title=check.title,
        meaning=check.meaning,
        metrics=check.metrics,
        formula=_formula(check),
        thresholds=check.thresholds,
        origin=background.origin,
        severity=_severity(check),
        silent=tuple(SILENCES[key].reason for key in check.silences),
        told_under=tuple(str(find_check(other)) for other in check.consequence_of),
        example=background.example,
        remedy=check.remedy,
    )


def _formula(check: Check) -> str:
    """When the check fires, with its thresholds as all numbers are said."""
    return re.sub(r"(?<=\d)%", " %", raised(check.formula.format(**check.thresholds)))


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
