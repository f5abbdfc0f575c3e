"""The axis of attention weights, alike in every figure: log or linear, between robust limits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from igaviz.dump.data import Floats
from igaviz.figures import colour, theme
from igaviz.figures.ticks import value_ticks
from igaviz.figures.view import View
from igaviz.metrics.profiles import Array

_LOG_MARGIN = 1.3
_LINEAR_MARGIN = 0.04


@dataclass(frozen=True)
class AttentionAxis:
    """The scale on which attention weights are drawn: between `low` and `high`, log or linear."""

    low: float
    high: float
    log: bool

    @classmethod
    def of(cls, attention: Floats, view: View) -> AttentionAxis:
        """The scale of a whole map [N, N]."""
        log = view.scale == "log"
        return cls(*colour.attention_limits(attention, log=log), log=log)

    def edges(self, n_bins: int) -> Array:
        """`n_bins` + 1 edges from end to end, evenly spaced on this scale."""
        if self.log:
            return np.geomspace(self.low, self.high, n_bins + 1)
        return np.linspace(self.low, self.high, n_bins + 1)

    def clip(self, values: Floats) -> Array:
        """`values`, those beyond an end moved to it, where they are still seen."""
        return np.clip(values.astype(np.float64), self.low, self.high)

    def ends(self) -> tuple[float, float]:
        """Where on an axis that shows this scale `low` and `high` lie, from 0 to 1."""
        first, last = self._limits()
        low, high = self.low, self.high
        if self.log:
            first, last, low, high = (math.log(value) for value in (first, last, low, high))
        return (low - first) / (last - first), (high - first) / (last - first)

    def set_y(self, axes: Axes) -> None:
        """Make this the vertical axis of `axes`."""
        axes.set_yscale("log" if self.log else "linear")
        axes.set_ylim(*self._limits())
        ticks, labels = self._ticks()
        if self.log:
            labels[0] = f"≤{labels[0]}"  # what lies below is drawn there, see `clip`
        theme.set_ticks(axes.yaxis, ticks, labels)

    def set_x(self, axes: Axes) -> None:
        """Make this the horizontal axis of `axes`."""
        axes.set_xscale("log" if self.log else "linear")
        axes.set_xlim(*self._limits())
        theme.set_ticks(axes.xaxis, *self._ticks())

    def _limits(self) -> tuple[float, float]:
        if self.log:
            return self.low / _LOG_MARGIN, self.high * _LOG_MARGIN
        margin = _LINEAR_MARGIN * (self.high - self.low)
        return self.low - margin, self.high + margin

    def _ticks(self) -> tuple[list[float], list[str]]:
        return value_ticks(self.low, self.high, log=self.log)
