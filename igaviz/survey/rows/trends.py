"""How metrics went over the steps of a run, and which checks fired when, kept while rows stream."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from igaviz.metrics.over_steps import OF_TRENDS
from igaviz.metrics.resolution import resolved
from igaviz.survey.rows.row import Row

MAX_POINTS = 48
"""Points kept of a course, evenly spread: more than a line of text can show."""

PER_STEPS = 1000
"""The steps that a slope is of."""

MIN_POINTS = 8
MIN_SPAN = 100
"""A line through fewer points, or over fewer optimiser steps, says nothing of 1,000 steps."""


@dataclass(frozen=True)
class Trend:
    """How one metric of a layer (mean over heads and items) went over the recorded steps.

    `steps` and `values` are every so many of them, the first and the last included. `slope` is
    that of the least-squares line through all `count` of them, per 1,000 steps; None below
    `MIN_POINTS` points or `MIN_SPAN` steps from the first to the last.
    """

    run: str
    phase: str
    layer: int
    metric: str
    steps: tuple[int, ...]
    values: tuple[float, ...]
    slope: float | None
    count: int


@dataclass(frozen=True)
class Fired:
    """When a check fired on a layer: its first and last step, and at how many of those judged."""

    run: str
    phase: str
    layer: int
    id: str
    first_step: int
    last_step: int
    steps: int
    judged: int


@dataclass
class _Course:
    """Points that come one by one, thinned so that their number stays bounded; and their line."""

    kept: list[tuple[int, float]] = field(default_factory=list)
    last: tuple[int, float] = (0, 0.0)
    count: int = 0
    stride: int = 1
    mean_step: float = 0.0
    mean_value: float = 0.0
    square: float = 0.0
    product: float = 0.0

    def add(self, step: int, value: float) -> None:
        self.last = step, value
        if self.count % self.stride == 0:
            if len(self.kept) == MAX_POINTS:
                del self.kept[1::2]
                self.stride *= 2
            self.kept.append(self.last)
        self.count += 1
        off = step - self.mean_step
        self.mean_step += off / self.count
        self.mean_value += (value - self.mean_value) / self.count
        self.square += off * (step - self.mean_step)
        self.product += off * (value - self.mean_value)

    def trend(self, line: tuple[str, str], layer: int, metric: str) -> Trend:
        points = self.kept if self.kept[-1] == self.last else [*self.kept, self.last]
        steps, values = zip(*points, strict=True)
        slope = self._slope(steps[-1] - steps[0], resolved(metric, max(map(abs, values))))
        return Trend(*line, layer, metric, steps, values, slope, self.count)

    def _slope(self, span: int, least: float) -> float | None:
        """The slope; 0 where the line changes by less than `least`."""
        if self.count < MIN_POINTS or span < MIN_SPAN:
            return None
        change = self.product / self.square * span
        return 0.0 if abs(change) < least else PER_STEPS * change / span


@dataclass
class _Firing:
    first: int
    last: int
    steps: int = 1


@dataclass
class _Layer:
    """One layer of a time line: the course of each metric, and the checks that fired."""

    courses: dict[str, _Course] = field(default_factory=dict)
    fired: dict[str, _Firing] = field(default_factory=dict)
    judged: int = 0
    items_differ: bool | None = False

    def add(self, row: Row) -> None:
        if row.from_maps:
            self.items_differ = row.items_differ
        for name in OF_TRENDS:
            value = row.values.get(name)
            if value is not None and not isinstance(value, str) and math.isfinite(value):
                self.courses.setdefault(name, _Course()).add(row.step, float(value))
        self.judged += row.shown is not None
        for check in row.shown or ():
            firing = self.fired.get(check)
            if firing is None:
                self.fired[check] = _Firing(row.step, row.step)
            else:
                firing.last = row.step
                firing.steps += 1


@dataclass
class _Line:
    """One run and phase. Rows come in the order of steps."""

    layers: dict[int, _Layer] = field(default_factory=dict)
    with_maps: int = 0
    without_maps: int = 0
    step: int | None = None
    step_has_maps: bool = False

    def add(self, row: Row) -> None:
        if row.layer is not None:
            self.layers.setdefault(row.layer, _Layer()).add(row)
        if row.step != self.step:
            self.step, self.step_has_maps = row.step, row.from_maps
            self.with_maps += row.from_maps
            self.without_maps += not row.from_maps
        elif row.from_maps and not self.step_has_maps:
            self.step_has_maps = True
            self.with_maps += 1
            self.without_maps -= 1


@dataclass
class Trends:
    """The trends of a few telling metrics and of the checks, from layers' rows as they come.

    What is kept grows with runs and layers, not with steps or maps.
    """

    _lines: dict[tuple[str, str], _Line] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        """Take a layer's row into account, not a head's; a run's rows come in order of steps."""
        if row.head is None and row.layer is not None:
            self._lines.setdefault((row.run, row.phase), _Line()).add(row)

    def time_lines(self) -> tuple[tuple[str, str], ...]:
        """The runs and phases of which something is kept."""
        return tuple(self._lines)

    def forget(self, run: str, phase: str) -> None:
        """Free what is kept of a run and phase."""
        self._lines.pop((run, phase), None)

    def steps_without_maps(self, run: str, phase: str) -> int:
        """How many steps of a run and phase have numbers alone."""
        line = self._lines.get((run, phase))
        return 0 if line is None else line.without_maps

    def items_differ(self, run: str, phase: str) -> bool | None:
        """Whether maps of a run and phase are of other batch items at other steps.

        None where that can't be told. What scalars files alone know doesn't count.
        """
        line = self._lines.get((run, phase))
        said = set() if line is None else {layer.items_differ for layer in line.layers.values()}
        return True if True in said else None if None in said else False

    def found(self, run: str | None = None, phase: str | None = None) -> tuple[Trend, ...]:
        """The trends so far, of what has two steps at least, by layer and metric."""
        return tuple(
            course.trend(name, number, metric)
            for name, number, layer in self._chosen(run, phase)
            for metric, course in sorted(layer.courses.items())
            if course.count >= 2
        )

    def fired(self, run: str | None = None, phase: str | None = None) -> tuple[Fired, ...]:
        """The checks that fired so far, by layer and check."""
        return tuple(
            Fired(*name, number, check, at.first, at.last, at.steps, layer.judged)
            for name, number, layer in self._chosen(run, phase)
            for check, at in sorted(layer.fired.items())
        )

    def _chosen(
        self, run: str | None, phase: str | None
    ) -> Iterator[tuple[tuple[str, str], int, _Layer]]:
        for name, line in sorted(self._lines.items()):
            if run in (None, name[0]) and phase in (None, name[1]):
                for number, layer in sorted(line.layers.items()):
                    yield name, number, layer
