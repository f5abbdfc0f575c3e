"""From the verdicts on layers, in any order, to the diagnosis of whole runs.

Only the last step of each run and phase is kept whole. Of earlier steps there remains one finding
per layer and check, so that memory does not grow with the number of steps. Trends over steps
belong here too: γ's first value is kept per layer for that.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from igaviz.checks import messages
from igaviz.checks.finding import (
    DamagedPiece,
    Diagnosis,
    Finding,
    Information,
    LayerRow,
    LookedAt,
    Severity,
    Silent,
    Skipped,
)
from igaviz.checks.layer_verdict import LayerVerdict
from igaviz.checks.rules_of_thumb import FROZEN, against_rules_of_thumb
from igaviz.checks.settings import Settings
from igaviz.checks.table import CHECKS, find_check
from igaviz.checks.telling import telling
from igaviz.checks.trends import Course, trend_findings, unjudged_trends
from igaviz.checks.wording import counted

MAX_BY_MAP = 1000
"""Maps that fired are listed up to here, the worst first."""

_GAMMA = find_check("gamma-too-small")
_STEEP = ("D104", "D107", "D204")
"""The ids of the checks that find geometry too steep, which γ may be the cause of."""

_TRENDS = frozenset(check.id for check in CHECKS if check.scope == "trend")
_TABLE_ORDER = {check.id: position for position, check in enumerate(CHECKS)}

_Place = tuple[int | None, str]
"""A layer (None: an item as a whole) and the id of a check."""


@dataclass
class _Past:
    """What one check found on one layer at steps that were not the last."""

    steps: set[int]
    worst: Finding

    def add(self, finding: Finding) -> None:
        self.steps.add(finding.step)
        self.worst = max(self.worst, finding, key=_badness)


@dataclass
class _Timeline:
    """One run and phase: the layers of its last step, and what remains of the steps before."""

    maps: int = 0
    steps: set[int] = field(default_factory=set)
    layers: list[LayerVerdict] = field(default_factory=list)
    past: dict[_Place, _Past] = field(default_factory=dict)
    first_gamma: dict[int, tuple[int, Mapping[int, float]]] = field(default_factory=dict)
    courses: dict[int, Course] = field(default_factory=lambda: defaultdict(Course))

    @property
    def last_step(self) -> int:
        return self.layers[0].step

    def add(self, verdict: LayerVerdict) -> None:
        self.maps += verdict.maps
        self.steps.add(verdict.step)
        if self.layers and verdict.step < self.last_step:
            self._retire(verdict)
        else:
            if self.layers and verdict.step > self.last_step:
                for layer in self.layers:
                    self._retire(layer)
                self.layers.clear()
            self.layers.append(verdict)
        self.courses[verdict.layer].add(verdict)
        gamma = verdict.head_means["gamma"]
        known = self.first_gamma.get(verdict.layer)
        if gamma and (known is None or verdict.step < known[0]):
            self.first_gamma[verdict.layer] = verdict.step, gamma

    def _retire(self, verdict: LayerVerdict) -> None:
        for finding in verdict.findings:
            place = finding.layer, finding.id
            if place in self.past:
                self.past[place].add(finding)
            else:
                self.past[place] = _Past({finding.step}, finding)

    def earlier_gamma(self, layer: int | None) -> tuple[int, Mapping[int, float]] | None:
        """The first step before the last at which the layer's γ was recorded, and its values."""
        first = None if layer is None else self.first_gamma.get(layer)
        return first if first is not None and first[0] < self.last_step else None

    def findings(self, settings: Settings) -> Iterator[Finding]:
        """What was found at the last step, each item's findings once."""
        items: dict[tuple[int | None, int | None, str], Finding] = {}
        for layer in sorted(self.layers, key=lambda verdict: verdict.layer):
            for finding in (
                *layer.findings,
                *trend_findings(self.courses[layer.layer], layer, settings),
            ):
                if finding.layer is not None:
                    yield self._with_gamma(finding, layer, settings)
                    continue
                key = finding.rank, finding.batch, finding.id
                known = items.get(key)
                items[key] = finding if known is None else _merged(known, finding)
        yield from items.values()

    def _with_gamma(self, finding: Finding, layer: LayerVerdict, settings: Settings) -> Finding:
        earlier = self.earlier_gamma(finding.layer)
        if finding.id not in (_GAMMA.id, *_STEEP) or earlier is None:
            return finding
        (first_step, first), last = earlier, layer.head_means["gamma"]
        if finding.id in _STEEP:
            said = messages.gamma_grew(first_step, first, last, finding.heads)
        else:
            t = settings.thresholds_of(FROZEN)
            said = messages.gamma_moved((first_step, layer.step), first, last, t)
        return replace(finding, message=f"{finding.message} {said}".rstrip())

    def unjudged(
        self, settings: Settings, probed: Collection[str]
    ) -> Iterator[tuple[int, dict[str, set[str]]]]:
        """The maps of each layer at the last step, and the checks that judged none, with reasons.

        Checks on trends are among them. Runs of the names `probed` have a probe.
        """
        for layer in self.layers:
            why: dict[str, set[str]] = defaultdict(set)
            for check, reason in layer.skipped:
                if check not in layer.judged:
                    why[check].add(reason)
            course, has_probe = self.courses[layer.layer], layer.run in probed
            for check, reason in unjudged_trends(course, layer, settings, probed=has_probe):
                why[check].add(reason)
            yield layer.maps, why

    def history(self) -> Iterator[Finding]:
        """What was found at earlier steps only: one note per layer and check."""
        now: set[_Place] = {(v.layer, check) for v in self.layers for check in v.shown}
        now |= {(finding.layer, finding.id) for v in self.layers for finding in v.findings}
        for place, past in self.past.items():
            if place not in now:
                yield _as_history(past, self.last_step)

    def looked_at(self) -> LookedAt:
        first = self.layers[0]
        return LookedAt(
            run=first.run,
            phase=first.phase,
            maps=self.maps,
            steps=len(self.steps),
            first_step=min(self.steps),
            last_step=self.last_step,
            layers=len(self.layers),
            heads=max(len(layer.heads) for layer in self.layers),
            of_heads=max(layer.of_heads for layer in self.layers),
            items=max(layer.items for layer in self.layers),
        )

    def rows(self) -> Iterator[LayerRow]:
        for v in self.layers:
            yield LayerRow(v.run, v.phase, v.step, v.layer, v.maps, tuple(v.heads.items()))


def conclude(
    verdicts: Iterable[LayerVerdict],
    settings: Settings,
    damaged: Iterable[DamagedPiece] = (),
    *,
    probed: Collection[str] = (),
) -> Diagnosis:
    """The diagnosis that `verdicts`, streamed in any order, come to.

    Findings and verdict come from the last step of each run and phase. `damaged` is read when
    `verdicts` are through, so it may grow while they are computed. `probed` are the names of runs
    that have a probe, whichever phases were chosen.
    """
    timelines: dict[tuple[str, str], _Timeline] = defaultdict(_Timeline)
    skipped: Counter[tuple[str, str]] = Counter()
    maps = 0
    for verdict in verdicts:
        timelines[verdict.run, verdict.phase].add(verdict)
        skipped.update(verdict.skipped)
        maps += verdict.maps
    findings = sorted(
        (f for t in timelines.values() for f in t.findings(settings)), key=_worst_first
    )
    by_map = [f for t in timelines.values() for layer in t.layers for f in layer.by_map]
    by_map += [finding for finding in findings if finding.layer is None]
    unjudged = [layer for t in timelines.values() for layer in t.unjudged(settings, probed)]
    for layer_maps, why in unjudged:
        for check in _TRENDS & why.keys():
            skipped.update({(check, reason): layer_maps for reason in why[check]})
    return Diagnosis(
        verdict=max((finding.severity for finding in findings), default=Severity.HEALTHY),
        maps=maps,
        findings=tuple(findings),
        history=tuple(
            sorted((f for t in timelines.values() for f in t.history()), key=_worst_first)
        ),
        skipped=tuple(
            Skipped(check, reason, count)
            for (check, reason), count in sorted(
                skipped.items(), key=lambda entry: (_TABLE_ORDER[entry[0][0]], entry[0][1])
            )
        ),
        damaged=tuple(damaged),
        information=tuple(_information(timelines, findings, settings)),
        layers=tuple(sorted(row for t in timelines.values() for row in t.rows())),
        looked_at=tuple(sorted(t.looked_at() for t in timelines.values())),
        checks=tuple(check.id for check in CHECKS if check.scope != "run" and settings.runs(check)),
        silent=tuple(_silent([why for _, why in unjudged])),
        by_map=tuple(heapq.nsmallest(MAX_BY_MAP, by_map, key=_worst_first)),
        by_map_left_out=max(0, len(by_map) - MAX_BY_MAP),
    )


def _silent(unjudged: Sequence[Mapping[str, set[str]]]) -> Iterator[Silent]:
    """The checks that judged no map of some layers, from each layer's, in the table's order."""
    for check in CHECKS:
        reasons = Counter(
            reason for why in unjudged if check.id in why for reason in sorted(why[check.id])
        )
        if reasons:
            said = tuple(reason for reason, _ in reasons.most_common())
            yield Silent(check.id, said, sum(check.id in w for w in unjudged), len(unjudged))


def _information(
    timelines: Mapping[tuple[str, str], _Timeline],
    findings: Iterable[Finding],
    settings: Settings,
) -> Iterator[Information]:
    """One line per run: γ and the ratio against rules of thumb, and what they mean."""
    sick = {finding.run for finding in findings if finding.severity > Severity.NOTE}
    long = settings.thresholds_of(FROZEN)["steps"]
    for run in sorted({run for run, _ in timelines}):
        of_run = [timeline for (name, _), timeline in timelines.items() if name == run]
        gammas = [
            (earlier[1], layer.head_means["gamma"])
            for timeline in of_run
            for layer in timeline.layers
            if (earlier := timeline.earlier_gamma(layer.layer)) is not None
            and layer.step - earlier[0] >= long
        ]
        layers = [layer for timeline in of_run for layer in timeline.layers]
        message = against_rules_of_thumb(layers, gammas, settings, healthy=run not in sick)
        if message:
            yield Information(run, message)


def _badness(finding: Finding) -> tuple[float, ...]:
    """What orders findings of one check on one layer, whatever order they come in: worst last."""
    item = -(finding.rank or 0), -(finding.batch or 0)
    return finding.severity, finding.maps / max(finding.of, 1), finding.step, *item


def _worst_first(finding: Finding) -> tuple[object, ...]:
    place = (finding.layer, finding.rank, finding.batch, finding.head)
    return (
        -finding.severity,
        finding.run,
        finding.phase,
        telling(finding.id),
        tuple(-1 if number is None else number for number in place),
    )


def _merged(one: Finding, other: Finding) -> Finding:
    heads = tuple(sorted({*one.heads, *other.heads}))
    return replace(one, heads=heads, maps=one.maps + other.maps, of=one.of + other.of)


def _as_history(past: _Past, last_step: int) -> Finding:
    first, last = min(past.steps), max(past.steps)
    when = (
        f"At step {first:,}"
        if first == last
        else f"At {counted(len(past.steps), 'recorded step')} from {first:,} to {last:,}"
    )
    message = f"{when}, no longer at {last_step:,}: {past.worst.message}"
    return replace(past.worst, severity=Severity.NOTE, message=message)
