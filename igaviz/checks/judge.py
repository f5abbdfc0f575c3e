"""One layer at one step, judged once: severity, verdicts and findings are all asked of that."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from igaviz.checks.cases import (
    Case,
    Judgement,
    judge_maps,
    layer_cases,
    narrowed,
    standing,
    standing_on,
)
from igaviz.checks.finding import Severity, Verdict
from igaviz.checks.layer_findings import layer_findings, map_findings
from igaviz.checks.layer_verdict import HEAD_MEANS, LAYER_MEANS, LayerVerdict
from igaviz.checks.settings import Settings
from igaviz.checks.telling import ASIDE
from igaviz.checks.verdicts import geometry_judged, verdict_on
from igaviz.format import MapId
from igaviz.metrics.data import Measurement
from igaviz.metrics.inputs import inputs_of


def judge_layer(measurements: Sequence[Measurement], settings: Settings) -> JudgedLayer:
    """One layer at one step, judged from all its ranks, batch items and heads.

    `measurements` are those of one (run, phase, step, layer).
    """
    judgements = judge_maps(measurements, settings)
    return JudgedLayer(judgements, layer_cases(judgements, settings), settings)


@dataclass(frozen=True, eq=False)
class JudgedLayer:
    """What the checks decided on each map of a layer, and the selected ones that the layer shows.

    `judge_layer` makes it. What is asked of it is derived from that: nothing is judged again.
    """

    judgements: Sequence[Judgement]
    cases: Sequence[Case]
    settings: Settings

    @property
    def shown(self) -> frozenset[str]:
        """The ids of the checks that the layer shows, those told under another included."""
        return frozenset(case.check.id for case in self.cases)

    @property
    def severity(self) -> Severity | None:
        """How bad the layer is; None where it isn't sick and geometry wasn't judged."""
        worst = max((case.severity for case in self.cases), default=Severity.HEALTHY)
        judged = any(map(geometry_judged, self.judgements))
        return worst if judged or worst >= Severity.WARNING else None

    def head_verdicts(self) -> dict[int, Verdict]:
        """The worst check that each head shows; what is said of an item leaves its heads alone."""
        by_head: dict[int, list[Judgement]] = defaultdict(list)
        for judgement in self.judgements:
            by_head[judgement.measurement.id.head].append(judgement)
        verdicts = {}
        for head, maps in sorted(by_head.items()):
            shown = [c for c in self.cases if c.check.scope != "item" and head in c.heads]
            found = standing([(case.severity, case.check) for case in shown])
            verdicts[head] = verdict_on(maps, found, self.settings)
        return verdicts

    def map_verdicts(self) -> dict[MapId, Verdict]:
        """The worst check that fired on each map, with the severity that it has on the layer.

        Where a check fired on a map, but on too few items for its head to show it, it is a note.
        """
        verdicts = {}
        for judgement in self.judgements:
            fired = standing_on(judgement, self.cases, self.settings)
            found = [(severity, check) for severity, check in fired if check.id not in ASIDE]
            verdicts[judgement.measurement.id] = verdict_on([judgement], found, self.settings)
        return verdicts

    def verdict(self, told: Collection[MapId] | None = None) -> LayerVerdict:
        """All that a diagnosis keeps of the layer, which has one map at least.

        Where not all of its maps were asked for, `told` names those that were, one at least: the
        verdict tells of these alone, each finding with the severity that it has on the layer.
        """
        asked = self if told is None else self._only(told)
        cases = self.cases
        if len(asked.judgements) < len(self.judgements):
            cases = narrowed(cases, asked.judgements)
        measurements = [judgement.measurement for judgement in self.judgements]
        shown = [judgement.measurement for judgement in asked.judgements]
        first = measurements[0].id
        return LayerVerdict(
            run=first.run,
            phase=first.phase,
            step=first.step,
            layer=first.layer,
            of_heads=len({m.id.head for m in measurements}),
            items=len({(m.id.rank, m.id.batch) for m in shown}),
            maps=len(shown),
            findings=tuple(
                layer_findings(cases, asked.judgements, self.settings, of_maps=len(measurements))
            ),
            by_map=tuple(map_findings(self.cases, asked.judgements, self.settings)),
            judged=frozenset(check for j in asked.judgements for check in j.outcomes),
            shown=self.shown,
            heads=asked.head_verdicts(),
            of_maps=asked.map_verdicts(),
            skipped=asked._skipped(),
            head_means={metric: _head_means(shown, metric) for metric in HEAD_MEANS},
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

    def _only(self, told: Collection[MapId]) -> JudgedLayer:
        """The layer with those of its maps that are `told` of; it shows what all of them show."""
        return replace(self, judgements=[j for j in self.judgements if j.measurement.id in told])

    def _skipped(self) -> Counter[tuple[str, str]]:
        """How many maps a selected check could not judge, by (check id, reason)."""
        return Counter(
            (check.id, reason)
            for judgement in self.judgements
            for check in self.settings.checks
            if (reason := judgement.not_judged(check))
        )


def _head_means(measurements: Iterable[Measurement], metric: str) -> dict[int, float]:
    """The mean of a metric over the maps of each head that have a number."""
    values: dict[int, list[float]] = defaultdict(list)
    for m in measurements:
        value = m.number(metric)
        if value is not None:
            values[m.id.head].append(value)
    return {head: sum(found) / len(found) for head, found in sorted(values.items())}
