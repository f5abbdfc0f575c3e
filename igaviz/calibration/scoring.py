"""What the checks say of the table: which sick layers they name, and which healthy ones too."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from igaviz.calibration.labels import LABELS, Label
from igaviz.calibration.table import Row
from igaviz.checks import LayerVerdict, Settings, Severity, find_check, judge_layer
from igaviz.checks.silence import MIN_STEP
from igaviz.metrics.data import Measurement

CHOOSING_SEED = 0
"""The runs of this seed, on two chains, may choose thresholds. All others, on two further chains,
test them."""


@dataclass(frozen=True)
class Layer:
    """One layer of one recording at one step, and what the checks say of it."""

    recording: str
    seed: int
    step: int
    number: int
    measurements: tuple[Measurement, ...]
    verdict: LayerVerdict
    last: bool

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
        return {finding.id: finding.severity for finding in self.verdict.findings}

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
        shown = self.verdict.shown
        return any(
            check in shown and self.found.get(check, Severity.ERROR) >= find_check(check).cap
            for check in self.label.sick
        )


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
    last: dict[tuple[str, int], int] = defaultdict(int)
    for row in rows:
        m = row.measurement
        groups[row.recording, row.seed, m.id.step, m.id.layer].append(m)
        last[row.recording, row.seed] = max(last[row.recording, row.seed], m.id.step)
    return [
        Layer(
            recording=recording,
            seed=seed,
            step=step,
            number=number,
            measurements=tuple(found),
            verdict=judge_layer(found, settings),
            last=step == last[recording, seed],
        )
        for (recording, seed, step, number), found in sorted(groups.items())
    ]


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


def heads_that_show(chosen: Iterable[Layer], check: str) -> Iterator[tuple[Layer, float]]:
    """Each layer where `check` was judged, and the share of its heads on which it fires."""
    for layer in chosen:
        if layer.verdict.skipped.get(check):
            continue
        found = [f for f in layer.verdict.findings if f.id == check]
        n_heads = len(layer.verdict.heads)
        yield layer, (len(found[0].heads) if found else 0) / n_heads


def alarms(chosen: Iterable[Layer]) -> Counter[tuple[str, str]]:
    """How many healthy layers each check finds something on, by (check id, severity)."""
    return Counter(
        (check, str(severity))
        for layer in chosen
        if layer.healthy
        for check, severity in layer.found.items()
    )


def is_early(layer: Layer) -> bool:
    """Whether some checks say that it is too early to tell."""
    return layer.step < MIN_STEP
