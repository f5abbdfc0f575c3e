"""What is said of a layer: each case as a finding, in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from igaviz.checks.cases import Case, Judgement, cause_of, standing_on
from igaviz.checks.finding import Finding, Further
from igaviz.checks.messages import Evidence
from igaviz.checks.settings import Settings
from igaviz.checks.severity import FEW_MAPS
from igaviz.checks.table import find_check
from igaviz.checks.wording import counted
from igaviz.metrics.table import capital

_UNIT = find_check("unit-suspect")


def layer_findings(
    cases: Sequence[Case], judgements: Sequence[Judgement], settings: Settings, *, of_maps: int
) -> list[Finding]:
    """One finding per case of a layer; a consequence is told in its cause's message.

    `judgements` are those of the maps that are told of. The layer was judged from `of_maps`.
    """
    told: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        cause = cause_of(case, cases)
        if cause is not None:
            told[cause.check.id].append(case)
    consequences = {case.check.id for below in told.values() for case in below}
    findings = []
    for case in cases:
        if case.check.id not in consequences:
            sentences = [_say(case, settings, cases)]
            for below in told[case.check.id]:
                sentences.append(
                    f"With it comes {below.check}: {_say(below, settings, cases, brief=True)}"
                )
            sentences.append(_where(case, judgements, of_maps))
            findings.append(_finding(case, " ".join(filter(None, sentences))))
    return findings


def map_findings(
    cases: Sequence[Case], judgements: Sequence[Judgement], settings: Settings
) -> list[Finding]:
    """A finding for each check that stands on each map, of a layer that shows `cases`.

    What is said of an item is said once, in `layer_findings`.
    """
    findings = []
    for judgement in judgements:
        m = judgement.measurement
        for severity, check in standing_on(judgement, cases, settings):
            if check.scope != "item":
                fired = ((m, judgement.outcomes[check.id]),)
                case = Case(check, severity, (m.id.head,), fired, of=1)
                findings.append(_finding(case, _say(case, settings, cases)))
    return findings


def _finding(case: Case, message: str) -> Finding:
    """`case` as a finding that says `message`; its numbers are those of the worst map."""
    worst, outcome = case.fired[0]
    first, *others = outcome.conditions
    items = {(m.id.rank, m.id.batch) for m, _ in case.fired}
    of_item = case.check.scope == "item"
    head = case.heads[0] if len(case.heads) == 1 and not of_item else None
    one_item = len(items) == 1 and (of_item or head is not None)
    return Finding(
        id=case.check.id,
        name=case.check.name,
        severity=case.severity,
        run=worst.id.run,
        phase=worst.id.phase,
        step=worst.id.step,
        rank=worst.id.rank if one_item else None,
        batch=worst.id.batch if one_item else None,
        layer=None if of_item else worst.id.layer,
        head=head,
        heads=case.heads,
        worst_head=None if of_item else worst.id.head,
        maps=len(case.fired),
        of=case.of,
        metric=first.metric,
        value=first.value,
        threshold=first.threshold,
        also=tuple(Further(c.metric, c.value, c.threshold) for c in others),
        message=message,
        remedy=case.check.remedy,
    )


def _say(case: Case, settings: Settings, cases: Sequence[Case], *, brief: bool = False) -> str:
    """What `case` says, of a layer that shows `cases`."""
    if case.check.say is None:
        raise TypeError(f"{case.check} has a rule but no words")
    thresholds = settings.thresholds_of(case.check)
    return case.check.say(Evidence(case.fired, thresholds, brief, _wrong_unit(case, cases)))


def _wrong_unit(case: Case, cases: Sequence[Case]) -> bool:
    """Whether the unit of length is suspect on the item of the worst map of `case`."""
    worst = case.fired[0][0].id
    items = [other.fired[0][0].id for other in cases if other.check == _UNIT]
    return (worst.rank, worst.batch) in {(item.rank, item.batch) for item in items}


def _where(case: Case, judgements: Sequence[Judgement], of_maps: int) -> str:
    """Which map is the worst, and from how few maps or heads a layer's finding speaks."""
    identities = [judgement.measurement.id for judgement in judgements]
    worst = case.fired[0][0]
    parts = []
    if case.check.scope == "item":
        parts.append(f"item {worst.id.batch}" + (f", {worst.item}" if worst.item else ""))
    elif len(case.fired) > 1:
        place = f"worst on head {worst.id.head}"
        if len({(i.rank, i.batch) for i in identities}) > 1:
            place += f" of item {worst.id.batch}" + (f", {worst.item}" if worst.item else "")
        if len({i.rank for i in identities}) > 1:
            place += f", rank {worst.id.rank}"
        parts.append(place)
    if case.check.scope != "item" and of_maps < FEW_MAPS:
        parts.append(f"from {counted(of_maps, 'map')}")
    if case.check.scope != "item" and not case.check.invariant:
        if case.of_heads == 1:
            parts.append("one head alone can't tell a peculiar head from a sick layer")
        elif len({i.head for i in identities}) < case.of_heads:
            parts.append(
                f"judged by all {case.of_heads} heads of the layer, {case.showing} of which show it"
            )
    return f"{capital('; '.join(parts))}." if parts else ""
