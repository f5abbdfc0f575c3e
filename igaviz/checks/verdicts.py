"""Verdicts: which of several is the worst, and how much could be judged where nothing fired."""

from __future__ import annotations

from collections.abc import Iterable

from igaviz.checks.cases import Judgement, Ranked
from igaviz.checks.finding import GEOMETRY_NOT_JUDGED, HEALTHY, NOT_JUDGED, Finding, Verdict
from igaviz.checks.settings import Settings
from igaviz.checks.table import CHECKS, find_check
from igaviz.checks.telling import telling

_GEOMETRY = find_check("gamma-too-small")
_SICKNESSES = tuple(
    check for check in CHECKS if check.scope in ("map", "layer") and not check.invariant
)
_HEALTHS = (HEALTHY, GEOMETRY_NOT_JUDGED, NOT_JUDGED)


def badness(verdict: Verdict) -> tuple[int, int]:
    """Orders verdicts: by severity, among equals by how telling their checks are."""
    return verdict.severity, -telling(verdict.check)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of `verdicts`, among equals the one whose check is the most telling.

    Where nothing fired, it is the one of which the most could be judged; of none at all it is
    `NOT_JUDGED`.
    """

    def key(verdict: Verdict) -> tuple[int, ...]:
        judged = -_HEALTHS.index(verdict) if verdict in _HEALTHS else 0
        return *badness(verdict), judged

    return max(verdicts, key=key, default=NOT_JUDGED)


def verdict_of(finding: Finding) -> Verdict:
    """The verdict that a finding is, of whatever it speaks."""
    return Verdict(finding.severity, finding.id, find_check(finding.id).title)


def verdict_on(
    judgements: Iterable[Judgement], found: Iterable[Ranked], settings: Settings
) -> Verdict:
    """The verdict on the maps of `judgements`, of which `found` are the checks that stand.

    Where there are none, it says how much could be judged, of the map of which that is the most.
    """
    return worst(
        [
            *(Verdict(severity, check.id, check.title) for severity, check in found),
            *(_health(judgement, settings) for judgement in judgements),
        ]
    )


def geometry_judged(judgement: Judgement) -> bool:
    """Whether what geometry moves could be judged on a map."""
    return _GEOMETRY.id in judgement.outcomes


def _health(judgement: Judgement, settings: Settings) -> Verdict:
    """The verdict on a map on which nothing fired: how much of it could be judged.

    Whatever the others could: where no selected check judged it, nobody did.
    """
    if not any(check.id in judgement.outcomes for check in settings.checks):
        return NOT_JUDGED
    if geometry_judged(judgement):
        return HEALTHY
    if any(check.id in judgement.outcomes for check in _SICKNESSES):
        return GEOMETRY_NOT_JUDGED
    return NOT_JUDGED
