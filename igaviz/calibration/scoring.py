"""What the checks say of the table: which sick layers they name, and which healthy ones too."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from igaviz.calibration.labels import CHOOSING_SEED, LABELS, Label
from igaviz.calibration.table import Row
from igaviz.checks import CHECKS, LayerVerdict, Settings, Severity, find_check, judge_layer
from igaviz.checks.finding import Finding
from igaviz.checks.trends import Course, trend_findings
from igaviz.metrics.data import Measurement


@dataclass(frozen=True)
class Layer:
    """One layer of one recording at one step, and what the checks say of it.

    `showing` counts the heads that show each check, by check id.
    """

    recording: str
    seed: int
    step: int
    number: int
    measurements: tuple[Measurement, ...]
    verdict: LayerVerdict
    showing: Mapping[str, int]
    last: bool
    course: Course
    trends: tuple[Finding, ...]

    @property
    def label(self) -> Label:
        """What is known of it."""
        return LABELS[self.recording]

    @property
    def testing(self) -> bool:
        """Whether no threshold was chosen on it."""
        return self.seed != CHOOSING_SEED

    @property
    def found(self) -> dict[str, Severity]:
        """The severity of each finding, by check id."""
        findings = (*self.verdict.findings, *self.trends)
        return {finding.id: finding.severity for finding in findings}

    @property
    def healthy(self) -> bool:
        """Whether nothing may be found here."""
        return self.label.judged and not self.label.sick

    @property
    def sick(self) -> bool:
        """Whether its sickness must be named here: at the end of a run."""
        return bool(self.label.sick) and self.last

    @property
    def named(self) -> bool:
        """Whether one of the checks that must name it does, as loudly as it can."""
        return any(self.named_by(check) for check in self.label.sick)

    def named_by(self, check: str) -> bool:
        """Whether the check with this id names it as loudly as it can, or another explains it."""
        shown = self.verdict.shown | {finding.id for finding in self.trends}
        return check in shown and self.found.get(check, Severity.ERROR) >= find_check(check).cap


@dataclass(frozen=True)
class Score:
    """Counts of layers: `named` of `sick`; `errors` and `warnings` on `healthy`."""

    sick: int
    named: int
    healthy: int
    errors: int
    warnings: int


def layers(rows: Iterable[Row], settings: Settings = Settings()) -> list[Layer]:  # noqa: B008
    """The layers of the table, judged by the checks as they are now."""
    groups: dict[tuple[str, int, int, int], list[Measurement]] = defaultdict(list)
    for row in rows:
        m = row.measurement
        groups[row.recording, row.seed, m.id.layer, m.id.step].append(m)
    verdicts: dict[tuple[str, int, int, int], LayerVerdict] = {}
    showing: dict[tuple[str, int, int, int], Mapping[str, int]] = {}
    courses: dict[tuple[str, int, int], Course] = defaultdict(Course)
    for place, found in groups.items():
        judged = judge_layer(found, settings)
        verdicts[place] = judged.verdict()
        showing[place] = {case.check.id: len(case.heads) for case in judged.cases}
        courses[place[:3]].add(verdicts[place])
    known = []
    for place, found in sorted(groups.items()):
        recording, seed, number, step = place
        verdict, course = verdicts[place], courses[place[:3]]
        last = step == max(course.means)
        trends = tuple(trend_findings(course, verdict, settings)) if last else ()
        known.append(
            Layer(
                *(recording, seed, step, number, tuple(found)),
                *(verdict, showing[place], last, course, trends),
            )
        )
    return known


def score(chosen: Iterable[Layer]) -> Score:
    """How many sick layers are named, and how many healthy ones are called sick."""
    known = list(chosen)
    sick = [layer for layer in known if layer.sick]
    worst = [
        max(layer.found.values(), default=Severity.HEALTHY) for layer in known if layer.healthy
    ]
    return Score(
        sick=len(sick),
        named=sum(layer.named for layer in sick),
        healthy=len(worst),
        errors=worst.count(Severity.ERROR),
        warnings=worst.count(Severity.WARNING),
    )


def by_recording(chosen: Iterable[Layer]) -> Mapping[str, Score]:
    """The score of each recording."""
    groups: dict[str, list[Layer]] = defaultdict(list)
    for layer in chosen:
        groups[layer.recording].append(layer)
    return {name: score(groups[name]) for name in LABELS if name in groups}


@dataclass(frozen=True)
class CheckScore:
    """Of one check: the sick layers that it stands for, and what it says of healthy ones.

    `alone` of them are named by the check itself, `named` by it or another that stands for the
    same cause.
    """

    check: str
    sick: int
    alone: int
    named: int
    errors: int
    warnings: int
    notes: int


def by_check(chosen: Iterable[Layer]) -> list[CheckScore]:
    """The score of each check that finds something."""
    known = list(chosen)
    said = alarms(known)
    scores = []
    for check in CHECKS:
        if check.scope == "run":
            continue
        sick = [layer for layer in known if layer.sick and check.id in layer.label.sick]
        scores.append(
            CheckScore(
                check=check.id,
                sick=len(sick),
                alone=sum(layer.named_by(check.id) for layer in sick),
                named=sum(layer.named for layer in sick),
                errors=said[check.id, Severity.ERROR],
                warnings=said[check.id, Severity.WARNING],
                notes=said[check.id, Severity.NOTE],
            )
        )
    return scores


def share_that_shows(layer: Layer, checks: Iterable[str]) -> float:
    """The largest share of a layer's heads that show one of `checks`, or what it tells of it."""
    heads = [layer.showing.get(check, 0) for check in checks]
    return max(heads, default=0) / len(layer.verdict.heads)


def alarms(chosen: Iterable[Layer]) -> Counter[tuple[str, Severity]]:
    """How many healthy layers each check finds something on, by (check id, severity)."""
    return Counter(
        (check, severity)
        for layer in chosen
        if layer.healthy
        for check, severity in layer.found.items()
    )
