"""What is judged over the steps of a layer: whether it is getting sick, whether it learns at all.

Both compare the same batch items only. Of each step two numbers are kept, of the first and the
last the sketches of their maps, so memory grows neither with the steps nor with the maps' size.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from statistics import fmean

import numpy as np

from igaviz.checks import messages
from igaviz.checks.check import Check
from igaviz.checks.finding import Finding, Further
from igaviz.checks.layer_verdict import LayerVerdict
from igaviz.checks.settings import Settings
from igaviz.checks.silence import MIN_STEP, SILENCES
from igaviz.checks.table import find_check
from igaviz.format import PROBE_PHASE
from igaviz.metrics.inputs import SAME, Sameness
from igaviz.metrics.sketch import Sketch, moved
from igaviz.metrics.trend import average_ranks

MAX_STEPS = 256
"""Steps whose numbers are kept: of more, the first, the last and a fair sample of the rest."""

GETTING_SICK = find_check("getting-sick")
NOTHING_MOVES = find_check("nothing-moves")
_FEW_STEPS = "too few recorded steps"
_PROBE = "the probe has the same at each step, see --phase probe"
_SICK_ALREADY = frozenset(
    find_check(name).id for name in ("softmax-saturated", "diagonal-collapse")
)
"""The ids of the checks on the numbers that grow where a layer is getting sick."""

_Sketches = Mapping[tuple[int, int, int], Sketch]


@dataclass
class Course:
    """How a layer went over the steps of a run and phase; steps come in any order.

    `items` says whether every step had the same batch items.
    """

    means: dict[int, Mapping[str, float]] = field(default_factory=dict)
    items: Sameness = field(default_factory=Sameness)
    first: tuple[int, _Sketches] | None = None
    last: tuple[int, _Sketches] | None = None
    steps: int = 0

    def add(self, verdict: LayerVerdict) -> None:
        """Take one step of the layer into account."""
        step = verdict.step
        self.steps += 1
        self.means[step] = verdict.layer_means
        if len(self.means) > MAX_STEPS:
            del self.means[max(sorted(self.means)[1:-1], key=_lot)]
        self.items.add(verdict.inputs, fixed=verdict.phase == PROBE_PHASE)
        if self.first is None or step < self.first[0]:
            self.first = step, verdict.sketches
        if self.last is None or step > self.last[0]:
            self.last = step, verdict.sketches

    def moved(self) -> float | None:
        """How far the maps moved from the first to the last step, on average; None if unknown."""
        if self.first is None or self.last is None:
            return None
        before, after = self.first[1], self.last[1]
        shares = [
            share
            for key in before.keys() & after.keys()
            if (share := moved(before[key], after[key])) is not None
        ]
        return fmean(shares) if shares else None


def _lot(step: int) -> int:
    """What a step draws. The lowest stay: a sample that is the same in any order of steps."""
    return zlib.crc32(step.to_bytes(8, "little"))


def trend_findings(course: Course, layer: LayerVerdict, settings: Settings) -> Iterator[Finding]:
    """What the selected checks on trends say of `layer`, which is the last step of `course`."""
    if layer.step < MIN_STEP or course.items.alike != SAME:
        return
    if settings.runs(GETTING_SICK) and not _SICK_ALREADY & layer.shown:
        yield from _getting_sick(course, layer, settings)
    if settings.runs(NOTHING_MOVES):
        yield from _nothing_moves(course, layer, settings)


def unjudged_trends(
    course: Course, layer: LayerVerdict, settings: Settings, *, probed: bool
) -> Iterator[tuple[str, str]]:
    """The selected checks on trends that can't judge `layer` (as above), by id, and why.

    `probed` says that its run has a probe, which they could judge where items are what differs.
    """
    unlike = _unlike(course)
    if unlike and probed and layer.phase != PROBE_PHASE:
        unlike = f"{unlike}: {_PROBE}"
    why = SILENCES["early"].reason if layer.step < MIN_STEP else unlike
    if settings.runs(GETTING_SICK):
        few = len(course.means) < _least_points(settings)
        if reason := why or (_FEW_STEPS if few else ""):
            yield GETTING_SICK.id, reason
    if settings.runs(NOTHING_MOVES):
        unknown = "no map to compare with" if course.moved() is None else ""
        if reason := why or (_FEW_STEPS if _too_short(course, layer, settings) else unknown):
            yield NOTHING_MOVES.id, reason


def _unlike(course: Course) -> str:
    """Why the steps of a course can't be compared; empty where they can."""
    alike = course.items.alike
    return "items differ between steps" if alike.differ else alike.why


def _least_points(settings: Settings) -> float:
    return max(3, settings.thresholds_of(GETTING_SICK)["steps"])


def _too_short(course: Course, layer: LayerVerdict, settings: Settings) -> bool:
    """Whether a layer was recorded at too few steps, or over too few, to say that nothing moves."""
    t = settings.thresholds_of(NOTHING_MOVES)
    assert course.first is not None
    return course.steps < t["steps"] or layer.step - course.first[0] < t["optimiser_steps"]


def _getting_sick(course: Course, layer: LayerVerdict, settings: Settings) -> Iterator[Finding]:
    t = settings.thresholds_of(GETTING_SICK)
    for metric in GETTING_SICK.metrics:
        points = [(s, v[metric]) for s, v in sorted(course.means.items()) if metric in v]
        if len(points) < _least_points(settings):
            continue
        values = np.array([value for _, value in points])
        third = len(points) // 3
        before, now = float(values[:third].mean()), float(values[-third:].mean())
        if not (now > t["level"] and now >= t["growth"] * before):
            continue
        (ranks,) = average_ranks(values[None])
        correlation = float(np.corrcoef(np.arange(len(ranks)), ranks)[0, 1])
        if correlation >= t["correlation"]:
            message = messages.getting_sick(metric, points[0][0], before, points[-1][0], now)
            also = (Further("correlation with step", correlation, t["correlation"]),)
            number = Further(metric, now, t["level"])
            yield _finding(GETTING_SICK, layer, number, also, message)
            return


def _nothing_moves(course: Course, layer: LayerVerdict, settings: Settings) -> Iterator[Finding]:
    assert course.first is not None
    first = course.first[0]
    share = None if _too_short(course, layer, settings) else course.moved()
    t = settings.thresholds_of(NOTHING_MOVES)
    if share is not None and share < t["moved"]:
        message = messages.nothing_moves(first, layer.step, share)
        number = Further(NOTHING_MOVES.metrics[0], share, t["moved"])
        yield _finding(NOTHING_MOVES, layer, number, (), message)


def _finding(
    check: Check,
    layer: LayerVerdict,
    number: Further,
    also: tuple[Further, ...],
    message: str,
) -> Finding:
    return Finding(
        id=check.id,
        name=check.name,
        severity=check.cap,
        run=layer.run,
        phase=layer.phase,
        step=layer.step,
        rank=None,
        batch=None,
        layer=layer.layer,
        head=None,
        heads=tuple(layer.heads),
        worst_head=None,
        maps=layer.maps,
        of=layer.maps,
        metric=number.metric,
        value=number.value,
        threshold=number.threshold,
        also=also,
        message=message,
        remedy=check.remedy,
    )
