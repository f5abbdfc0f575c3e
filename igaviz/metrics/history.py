"""How the heads of each layer went over the steps of a run: medians, ranges, and sick spans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from igaviz.metrics.data import Value
from igaviz.metrics.over_steps import OF_TRAJECTORY
from igaviz.metrics.profiles import Array
from igaviz.metrics.table import METRICS, Metric

SICK: Final = ("warning", "error")
"""The severities whose spans are marked."""


@dataclass(frozen=True)
class Moment:
    """One layer at one step: the numbers of its heads, and what the checks say of it.

    `values` holds one mapping per head, which speaks of all its batch items: maps and scalars
    files say the same then. `from_maps` says whether maps were measured for it, of one head at
    least, or it comes from a scalars file. `severity` is None where they can't judge it.
    """

    layer: int
    step: int
    values: Sequence[Mapping[str, Value]]
    from_maps: bool
    severity: str | None = "healthy"


@dataclass(frozen=True)
class Span:
    """A stretch of steps over which a layer was as sick as `severity` says.

    It reaches half-way to the steps before and after it at which the layer wasn't.
    """

    first: float
    last: float
    severity: str


@dataclass(frozen=True, eq=False)
class Track:
    """One layer over its steps [T], ascending; each metric's median and range over its heads.

    `median`, `low` and `high` [T] go by metric and are NaN where no head has a number.
    `severities` [T] are the checks', None where these didn't judge, and `spans` the stretches over
    which they are sick.
    """

    layer: int
    steps: npt.NDArray[np.int64]
    from_maps: npt.NDArray[np.bool_]
    median: Mapping[str, Array]
    low: Mapping[str, Array]
    high: Mapping[str, Array]
    severities: tuple[str | None, ...]
    spans: tuple[Span, ...]


@dataclass(frozen=True, eq=False)
class History:
    """One run and phase as one time line, layer by layer.

    `recorded` steps were there, `drawn` of them are in the tracks. `items_differ` says whether
    batch items differ from step to step, so that a change may be theirs, None where that can't be
    told; `items` names those whose maps were measured. `heads` are those that it is of, in any
    layer, as far as that is known.
    """

    run: str
    phase: str
    metrics: tuple[Metric, ...]
    tracks: tuple[Track, ...]
    recorded: int
    drawn: int
    items_differ: bool | None
    items: tuple[str, ...] = ()
    heads: tuple[int, ...] = ()

    @property
    def extent(self) -> tuple[int, int]:
        """The first and the last step; (0, 0) without any."""
        steps = [step for track in self.tracks for step in track.steps[[0, -1]].tolist()]
        return (min(steps), max(steps)) if steps else (0, 0)


@dataclass
class _Growing:
    steps: list[int] = field(default_factory=list)
    from_maps: list[bool] = field(default_factory=list)
    severities: list[str | None] = field(default_factory=list)
    numbers: dict[str, list[tuple[float, float, float]]] = field(default_factory=dict)


def tracks_of(
    moments: Iterable[Moment], metrics: Sequence[str] = OF_TRAJECTORY
) -> tuple[Track, ...]:
    """The tracks of `moments`, by layer; each moment is reduced at once, so that they may stream.

    The moments of a layer come in the order of their steps, one for each.
    """
    growing: dict[int, _Growing] = {}
    for moment in moments:
        track = growing.setdefault(moment.layer, _Growing())
        track.steps.append(moment.step)
        track.from_maps.append(moment.from_maps)
        track.severities.append(moment.severity)
        for name in metrics:
            track.numbers.setdefault(name, []).append(_spread(moment.values, name))
    return tuple(_track(layer, track) for layer, track in sorted(growing.items()))


def telling(metric: str | None) -> tuple[Metric, ...]:
    """The metric of that name; of None those of `OF_TRAJECTORY`.

    Raises `KeyError` for none of that name.
    """
    by_name = {known.name: known for known in METRICS}
    return tuple(by_name[name] for name in (OF_TRAJECTORY if metric is None else (metric,)))


def _spread(values: Sequence[Mapping[str, Value]], name: str) -> tuple[float, float, float]:
    """The median, the smallest and the largest of the numbers that there are."""
    found = [value.get(name) for value in values]
    numbers = [float(v) for v in found if v is not None and not isinstance(v, str)]
    if not numbers:
        return float("nan"), float("nan"), float("nan")
    return float(np.median(numbers)), min(numbers), max(numbers)


def _track(layer: int, track: _Growing) -> Track:
    numbers = {name: np.array(found, dtype=np.float64) for name, found in track.numbers.items()}
    return Track(
        layer=layer,
        steps=np.array(track.steps, dtype=np.int64),
        from_maps=np.array(track.from_maps, dtype=bool),
        median={name: found[:, 0] for name, found in numbers.items()},
        low={name: found[:, 1] for name, found in numbers.items()},
        high={name: found[:, 2] for name, found in numbers.items()},
        severities=tuple(track.severities),
        spans=tuple(_spans(track.steps, track.severities)),
    )


def _spans(steps: Sequence[int], severities: Sequence[str | None]) -> Iterable[Span]:
    start = 0
    for k in range(1, len(steps) + 1):
        severity = severities[start]
        if k < len(steps) and severities[k] == severity:
            continue
        if severity in SICK:
            before = steps[max(start - 1, 0)]
            after = steps[min(k, len(steps) - 1)]
            yield Span((before + steps[start]) / 2, (steps[k - 1] + after) / 2, severity)
        start = k
