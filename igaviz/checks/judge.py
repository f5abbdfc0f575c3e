"""The verdict on one layer at one step, and on each of its maps."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from igaviz.checks.cases import (
    Case,
    Judgement,
    Ranked,
    cause_of,
    judge_maps,
    layer_cases,
    narrowed,
    standing,
)
from igaviz.checks.finding import (
    GEOMETRY_NOT_JUDGED,
    HEALTHY,
    NOT_JUDGED,
    Finding,
    Further,
    Severity,
    Verdict,
)
from igaviz.checks.messages import Evidence
from igaviz.checks.settings import Settings
from igaviz.checks.severity import FEW_MAPS
from igaviz.checks.table import CHECKS, find_check
from igaviz.checks.telling import telling
from igaviz.checks.wording import counted
from igaviz.format import MapId
from igaviz.metrics.data import Measurement
from igaviz.metrics.inputs import Inputs, inputs_of
from igaviz.metrics.sketch import Sketch

HEAD_MEANS = ("gamma", "geometry_effect", "geometry_ratio")
"""Metrics of which a layer's verdict keeps each head's mean: the information on γ needs them."""

LAYER_MEANS = ("saturation", "self_mass")
"""Metrics of which it keeps the mean over all heads: trends need them."""

_GEOMETRY = find_check("gamma-too-small")
_UNIT = find_check("unit-suspect")
_ASIDE = (find_check("mask-in-logits"), find_check("coordinates-missing"))
"""Said of an item, and of no map: its numbers are right."""
_SICKNESSES = tuple(
    check for check in CHECKS if check.scope in ("map", "layer") and not check.invariant
)


@dataclass(frozen=True)
class LayerVerdict:
    """All that a diagnosis keeps of one layer at one step; small, and safe to send to a process.

    A layer is judged from all of its heads, `of_heads` of them, and told of may be some: what
    follows is of these, where it doesn't say that it is of the layer. `items` counts the batch
    items of all ranks. `findings` go by layer, `by_map` are the maps that fired, each as a finding.
    `judged` are the ids of the checks that decided on one map at least, selected or not. `shown`
    are the ids of all checks that the layer shows, those told under another included. `heads` holds
    each head's verdict, `of_maps` each map's, `skipped` counts maps by (check id, reason),
    `head_means` holds the mean over items of a few metrics, by metric and head, `layer_means` that
    of others over the layer. `inputs` are the batch items. `sketches` stand for the maps of the
    layer, by (rank, batch item, head): what trends over steps compare.
    """

    run: str
    phase: str
    step: int
    layer: int
    of_heads: int
    items: int
    maps: int
    findings: tuple[Finding, ...]
    by_map: tuple[Finding, ...]
    judged: frozenset[str]
    shown: frozenset[str]
    heads: Mapping[int, Verdict]
    of_maps: Mapping[MapId, Verdict]
    skipped: Mapping[tuple[str, str], int]
    head_means: Mapping[str, Mapping[int, float]]
    layer_means: Mapping[str, float]
    inputs: Inputs
    sketches: Mapping[tuple[int, int, int], Sketch]

    @property
    def verdict(self) -> Verdict:
        """The worst of the heads' verdicts."""
        return worst(self.heads.values())

    @property
    def of_items(self) -> tuple[Finding, ...]:
        """What is said of items as a whole, and makes their numbers doubtful."""
        aside = {check.id for check in _ASIDE}
        return tuple(f for f in self.findings if f.layer is None and f.id not in aside)


def judge_layer(
    measurements: Sequence[Measurement],
    settings: Settings,
    told: Collection[MapId] | None = None,
) -> LayerVerdict:
    """The verdict on one layer at one step, from all its ranks, batch items and heads.

    `measurements` are those of one (run, phase, step, layer), one at least. Where not all of them
    were asked for, `told` names those that were, one at least: the verdict tells of these alone,
    each finding with the severity that it has on the layer.
    """
    judged = judge_maps(measurements, settings)
    of_layer = layer_cases(judged, settings)
    judgements = [j for j in judged if told is None or j.measurement.id in told]
    cases = of_layer if len(judgements) == len(judged) else narrowed(of_layer, judgements)
    skipped = Counter(
        (check.id, reason)
        for judgement in judgements
        for check in settings.checks
        if (reason := judgement.not_judged(check))
    )
    asked = [judgement.measurement for judgement in judgements]
    first = measurements[0].id
    return LayerVerdict(
        run=first.run,
        phase=first.phase,
        step=first.step,
        layer=first.layer,
        of_heads=len({m.id.head for m in measurements}),
        items=len({(m.id.rank, m.id.batch) for m in asked}),
        maps=len(judgements),
        findings=tuple(_findings(cases, judgements, settings, of_maps=len(judged))),
        by_map=tuple(_map_findings(of_layer, judgements, settings)),
        judged=frozenset(check for judgement in judgements for check in judgement.outcomes),
        shown=frozenset(case.check.id for case in of_layer),
        heads=_head_verdicts(of_layer, judgements, settings),
        of_maps=verdicts_of(judgements, of_layer, settings),
        skipped=skipped,
        head_means={metric: _head_means(asked, metric) for metric in HEAD_MEANS},
        layer_means={
            metric: fmean(means.values())
            for metric in LAYER_MEANS
            if (means := _head_means(measurements, metric))
        },
        inputs=inputs_of(measurements),
        sketches={
            (m.id.rank, m.id.batch, m.id.head): m.sketch
            for m in measurements
            if m.sketch is not None
        },
    )


def layer_severity(measurements: Sequence[Measurement], settings: Settings) -> Severity | None:
    """How bad one layer at one step is; None where it isn't sick and geometry wasn't judged.

    `measurements` are all of its ranks, batch items and heads.
    """
    judged = judge_maps(measurements, settings)
    cases = layer_cases(judged, settings)
    worst = max((case.severity for case in cases), default=Severity.HEALTHY)
    sick = worst >= Severity.WARNING
    if sick or any(_GEOMETRY.id in judgement.outcomes for judgement in judged):
        return worst
    return None


def head_verdicts(measurements: Sequence[Measurement], settings: Settings) -> dict[int, Verdict]:
    """The verdict on each head of one layer at one step: `heads` of `judge_layer`, sooner.

    `measurements` are those of one (run, phase, step, layer), one at least.
    """
    judgements = judge_maps(measurements, settings)
    return _head_verdicts(layer_cases(judgements, settings), judgements, settings)


def map_verdicts(measurements: Sequence[Measurement], settings: Settings) -> dict[MapId, Verdict]:
    """The verdict on each map: the worst check that fired on it, with its layer's severity.

    Where a check fired on a map, but on too few items for its head to show it, it is a note. The
    measurements may be of any layers; those of a layer must come with all its recorded heads.
    """
    layers: dict[tuple[str, str, int, int], list[Measurement]] = defaultdict(list)
    for m in measurements:
        layers[m.id.run, m.id.phase, m.id.step, m.id.layer].append(m)
    verdicts: dict[MapId, Verdict] = {}
    for layer in layers.values():
        judgements = judge_maps(layer, settings)
        verdicts.update(verdicts_of(judgements, layer_cases(judgements, settings), settings))
    return {m.id: verdicts[m.id] for m in measurements}


def verdicts_of(
    judgements: Sequence[Judgement], cases: Sequence[Case], settings: Settings
) -> dict[MapId, Verdict]:
    """The verdict on each map of one layer, which shows `cases`."""
    severities = _severities(cases)
    return {
        judgement.measurement.id: _worst(
            [
                (severity, check)
                for severity, check in _fired(judgement, severities, settings)
                if check not in _ASIDE
            ]
        )
        or _health(judgement, settings)
        for judgement in judgements
    }


def _findings(
    cases: Sequence[Case], judgements: Sequence[Judgement], settings: Settings, *, of_maps: int
) -> list[Finding]:
    """One finding per case; a consequence is told in its cause's message.

    The layer was judged from `of_maps`.
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
            findings.append(_finding(case, " ".join(filter(None, sentences)), settings))
    return findings


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
    said = "; ".join(parts)
    return f"{said[:1].upper()}{said[1:]}." if said else ""


def _finding(case: Case, message: str, settings: Settings) -> Finding:
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
        value=first.value,
        threshold=first.threshold,
        also=tuple(Further(c.metric, c.value, c.threshold) for c in others),
        message=message,
        remedy=case.check.remedy,
    )


def _map_findings(
    cases: Sequence[Case], judgements: Sequence[Judgement], settings: Settings
) -> list[Finding]:
    severities = _severities(cases)
    findings = []
    for judgement in judgements:
        m = judgement.measurement
        for severity, check in _fired(judgement, severities, settings):
            if check.scope != "item":  # said once per item, in `findings`
                fired = ((m, judgement.outcomes[check.id]),)
                case = Case(check, severity, (m.id.head,), fired, of=1)
                findings.append(_finding(case, _say(case, settings, cases), settings))
    return findings


def _head_verdicts(
    cases: Sequence[Case], judgements: Sequence[Judgement], settings: Settings
) -> dict[int, Verdict]:
    """The worst check that each head shows; what is said of an item leaves its heads alone."""
    by_head: dict[int, list[Judgement]] = defaultdict(list)
    for judgement in judgements:
        by_head[judgement.measurement.id.head].append(judgement)
    severities = _severities(cases)
    verdicts = {}
    for head, maps in sorted(by_head.items()):
        shown = [c.check for c in cases if c.check.scope != "item" and head in c.heads]
        ranked = standing([(severities[check.id], check) for check in shown])
        health = min((_health(judgement, settings) for judgement in maps), key=_HEALTHS.index)
        verdicts[head] = _worst(ranked) or health
    return verdicts


def _severities(cases: Iterable[Case]) -> dict[str, Severity]:
    return {case.check.id: case.severity for case in cases}


def _fired(
    judgement: Judgement, severities: Mapping[str, Severity], settings: Settings
) -> list[Ranked]:
    """The selected checks that stand on one map, with the severity that each has here."""
    return standing(
        [
            (severities.get(check.id, Severity.NOTE), check)
            for check in settings.checks
            if judgement.fired(check) and (check.id in severities or check.scope != "layer")
        ]
    )


def _worst(fired: Sequence[Ranked]) -> Verdict | None:
    """The verdict of the worst check, the most telling one among equals; None for none."""
    if not fired:
        return None
    return worst(Verdict(severity, check.id, check.title) for severity, check in fired)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of `verdicts`, among equals the one whose check is the most telling.

    Where nothing fired, it is the one of which the most could be judged.
    """

    def key(verdict: Verdict) -> tuple[int, ...]:
        judged = -_HEALTHS.index(verdict) if verdict in _HEALTHS else 0
        return *badness(verdict), judged

    return max(verdicts, key=key, default=NOT_JUDGED)


def verdict_of(finding: Finding) -> Verdict:
    """The verdict that a finding is, of whatever it speaks."""
    return Verdict(finding.severity, finding.id, find_check(finding.id).title)


def badness(verdict: Verdict) -> tuple[int, int]:
    """Orders verdicts: by severity, among equals by how telling their checks are."""
    return verdict.severity, -telling(verdict.check)


_HEALTHS = (HEALTHY, GEOMETRY_NOT_JUDGED, NOT_JUDGED)


def _health(judgement: Judgement, settings: Settings) -> Verdict:
    """The verdict on a map on which nothing fired: how much of it could be judged.

    Whatever the others could: where no selected check judged it, nobody did.
    """
    if not any(check.id in judgement.outcomes for check in settings.checks):
        return NOT_JUDGED
    if _GEOMETRY.id in judgement.outcomes:
        return HEALTHY
    if any(check.id in judgement.outcomes for check in _SICKNESSES):
        return GEOMETRY_NOT_JUDGED
    return NOT_JUDGED


def _head_means(measurements: Sequence[Measurement], metric: str) -> dict[int, float]:
    values: dict[int, list[float]] = defaultdict(list)
    for m in measurements:
        value = m.number(metric)
        if value is not None:
            values[m.id.head].append(value)
    return {head: sum(found) / len(found) for head, found in sorted(values.items())}
