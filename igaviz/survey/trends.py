"""How metrics went over the steps of a run, kept while rows stream by."""

from __future__ import annotations

from dataclasses import dataclass, field

from igaviz.survey.summary import Row

TREND_METRICS = ("gamma", "geometry_effect", "saturation", "self_mass", "entropy")
MAX_POINTS = 48
"""Points kept of a course, evenly spread: more than a line of text can show."""


@dataclass(frozen=True)
class Trend:
    """How one metric of a layer (mean over heads and items) went over the recorded steps.

    `steps` and `values` are every so many of them, the first and the last included.
    """

    run: str
    phase: str
    layer: int
    metric: str
    steps: tuple[int, ...]
    values: tuple[float, ...]


@dataclass
class _Course:
    """Points that come one by one, thinned so that their number stays bounded."""

    kept: list[tuple[int, float]] = field(default_factory=list)
    last: tuple[int, float] = (0, 0.0)
    count: int = 0
    stride: int = 1

    def add(self, step: int, value: float) -> None:
        self.last = step, value
        if self.count % self.stride == 0:
            if len(self.kept) == MAX_POINTS:
                del self.kept[1::2]
                self.stride *= 2
            self.kept.append(self.last)
        self.count += 1

    @property
    def points(self) -> list[tuple[int, float]]:
        return self.kept if self.kept[-1] == self.last else [*self.kept, self.last]


@dataclass
class Trends:
    """The trends of a few telling metrics, from layers' rows of one run and phase as they come."""

    _courses: dict[tuple[str, str, int, str], _Course] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        """Take a layer's row into account, not a head's; rows come in the order of their steps."""
        if row.head is not None:
            return
        for name in TREND_METRICS:
            value = row.values.get(name)
            if value is not None and not isinstance(value, str):
                key = (row.run, row.phase, row.layer, name)
                self._courses.setdefault(key, _Course()).add(row.step, float(value))

    def found(self) -> tuple[Trend, ...]:
        """The trends so far, of what has three steps at least."""
        return tuple(
            Trend(*key, *zip(*course.points, strict=True))
            for key, course in sorted(self._courses.items())
            if course.count >= 3
        )
