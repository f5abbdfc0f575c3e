"""The numbers of every head of a run over its steps, as arrays: what an interactive page shows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from igaviz.metrics.data import Value
from igaviz.metrics.table import BEYOND, METRICS

Floats = npt.NDArray[np.float32]

NAMES: Final = tuple(metric.name for metric in METRICS)

WIDE: Final = 100.0
"""Positive numbers whose largest is that many times their least are told apart by decades."""

_LARGEST: Final = float(np.finfo(np.float32).max)

DEEPEST: Final = 1e8
"""A log scale begins no further below its end: what is less is 0 to whoever looks at it."""

_EDGES: Final = (1.0, 99.0)
"""Percentiles between which a scale runs, so that one outlier doesn't flatten it."""


class AtLast(NamedTuple):
    """What `heads` heads have of a metric at `step`: their median, the least and the largest."""

    step: int
    heads: int
    median: float
    least: float
    largest: float


@dataclass(frozen=True, eq=False)
class Course:
    """The numbers of the heads of one run and phase over its steps [T], ascending.

    `numbers` [T, L, H] go by metric, in the order of `METRICS`, for those that have a value
    anywhere: NaN is no value, infinity the word `beyond`. `from_maps` [T] says where maps were
    measured; else the numbers are those of a scalars file, as they are of heads without a map.
    """

    steps: npt.NDArray[np.int64]
    from_maps: npt.NDArray[np.bool_]
    layers: tuple[int, ...]
    heads: tuple[int, ...]
    numbers: Mapping[str, Floats]

    def by_layer(self, metric: str) -> Floats:
        """The median of each layer's heads [T, L]; NaN where none has a number."""
        return _median(self._of(metric))

    def of_run(self, metric: str) -> Floats:
        """The median of all heads [T]; NaN where none has a number."""
        return _median(self._of(metric).reshape(len(self.steps), -1))

    def last(self, metric: str) -> float:
        """The last number of `of_run`; NaN where it has none."""
        found = self.at_last(metric)
        return math.nan if found is None else found.median

    def at_last(self, metric: str) -> AtLast | None:
        """The median and the range over all heads at the last step that has numbers, if any."""
        finite = np.isfinite(self._of(metric)).any(axis=(1, 2))
        if not finite.any():
            return None
        place = int(np.flatnonzero(finite)[-1])
        found = self._of(metric)[place]
        known = found[np.isfinite(found)]
        middle = float(self.of_run(metric)[place])
        ends = float(known.min()), float(known.max())
        return AtLast(int(self.steps[place]), len(known), middle, *ends)

    def _of(self, metric: str) -> Floats:
        shape = len(self.steps), len(self.layers), len(self.heads)
        return self.numbers.get(metric, np.full(shape, np.nan, np.float32))


@dataclass
class CourseBuilder:
    """Takes the layers of a run step by step, in any order, and makes them a `Course`."""

    _found: dict[tuple[int, int, bool], tuple[tuple[int, ...], Floats]] = field(
        default_factory=dict
    )

    def add(
        self, step: int, layer: int, heads: Mapping[int, Mapping[str, Value]], *, from_maps: bool
    ) -> None:
        """Take what one layer's heads say at a step: their metrics, by head.

        Of a layer at a step some heads may have maps, and others come from a scalars file.
        """
        rows = [[_coded(values.get(name)) for name in NAMES] for values in heads.values()]
        numbers = np.array(rows, np.float32).reshape(len(heads), len(NAMES))
        self._found[step, layer, from_maps] = tuple(heads), numbers

    def course(self) -> Course:
        """All that was taken."""
        steps = sorted({step for step, _, _ in self._found})
        layers = sorted({layer for _, layer, _ in self._found})
        heads = sorted({head for there, _ in self._found.values() for head in there})
        numbers = np.full(
            (len(NAMES), len(steps), len(layers), len(heads)), np.nan, dtype=np.float32
        )
        from_maps = np.zeros(len(steps), dtype=bool)
        at = {step: place for place, step in enumerate(steps)}
        row = {layer: place for place, layer in enumerate(layers)}
        column = {head: place for place, head in enumerate(heads)}
        for (step, layer, mapped), (there, found) in self._found.items():
            from_maps[at[step]] |= mapped
            numbers[:, at[step], row[layer], [column[head] for head in there]] = found.T
        return Course(
            steps=np.array(steps, dtype=np.int64),
            from_maps=from_maps,
            layers=tuple(layers),
            heads=tuple(heads),
            numbers={
                name: found
                for name, found in zip(NAMES, numbers, strict=True)
                if not np.isnan(found).all()
            },
        )


@dataclass(frozen=True)
class Scale:
    """The range over which a metric is coloured; `log` by decades, else evenly."""

    low: float
    high: float
    log: bool


def scale_of(arrays: Iterable[Floats]) -> Scale:
    """One scale for all numbers of a metric: its 1st to its 99th percentile.

    It begins at 0 where all are of one sign and is centred on 0 where they are of both. Wide
    positive ones are on a log scale; shares, which end at 1, never are.
    """
    pieces = [found[np.isfinite(found)] for found in arrays]
    values = np.concatenate(pieces) if pieces else np.empty(0, np.float32)
    if not len(values):
        return Scale(0.0, 1.0, log=False)
    low, high = (float(edge) for edge in np.percentile(values, _EDGES))
    if low > 0 and high > 1 and high / low >= WIDE and values.min() >= 0:
        return Scale(max(low, high / DEEPEST), high, log=True)
    if low < 0 < high:
        reach = max(-low, high)
        return Scale(-reach, reach, log=False)
    if low >= 0:
        return Scale(0.0, high or 1.0, log=False)
    return Scale(low, 0.0, log=False)


def _coded(value: Value) -> float:
    if type(value) is float and -_LARGEST <= value <= _LARGEST:
        return value
    if value == BEYOND:
        return math.inf
    if value is None or isinstance(value, str) or not math.isfinite(value):
        return math.nan
    return min(max(float(value), -_LARGEST), _LARGEST)


def _median(values: Floats) -> Floats:
    """The median of what is finite along the last axis; NaN without any."""
    finite = np.isfinite(values)
    empty = ~finite.any(axis=-1)
    known = np.where(finite, values, np.nan)
    known[empty] = 0.0
    median = np.nanmedian(known, axis=-1).astype(np.float32)
    median[empty] = np.nan
    return median
