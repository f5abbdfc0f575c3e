"""A quantity over distance: medians and bands, for both curve panels of the statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from igaviz.figures import colour, text, theme
from igaviz.figures.attention_axis import AttentionAxis
from igaviz.figures.distance_axis import farthest_shown
from igaviz.figures.panels import Key, Panel
from igaviz.figures.ticks import axis_name, scaled_ticks, value_ticks
from igaviz.figures.view import View, why_no_pairs
from igaviz.metrics.profiles import Array, Curve, Curves, Profiles
from igaviz.metrics.table import BEYOND, LONG_RANGE

FOR_THE_KEY = 3 * Key.ROW + 0.04
"""Inches between title and axes, in all panels of the statistics."""

_FULL = 0.34
_PALE = 0.15
_SPREAD = "median, 10–90 %"
_BIAS_MARGIN = 0.06
_MEAN = "mean of all pairs"
_WITHOUT = "no geometry"  # softmax of the logits before
_MANY_BINS = 60


class CurvesPanel(Panel):
    """Medians and bands by distance of sequence neighbours and of long-range pairs."""

    def __init__(self, axes: Axes, ink: str, unit: str) -> None:
        super().__init__(axes, FOR_THE_KEY)
        theme.plain(axes)
        axes.set_xlabel("Cα distance (Å, 1 Å bins)")
        axes.set_ylabel(unit)
        self.near_band = self._band(ink, _PALE)
        self.far_band = self._band(ink, _FULL)
        self.radius = self.line(color=theme.LOCAL, linestyle="--", linewidth=1.4)
        self.radius.set_transform(axes.get_xaxis_transform())
        self.mean = self.line(color=theme.INK, linewidth=1.3, linestyle=(0, (5, 2)))
        median: dict[str, Any] = {"color": ink, "linewidth": 1.3, "marker": "o", "markersize": 4.4}
        self.far = self.line(**median)
        self.near = self.line(markerfacecolor=theme.PAPER, **median)

    def _band(self, ink: str, opacity: float) -> PolyCollection:
        shapes = PolyCollection([], facecolor=ink, alpha=opacity, linewidth=0, zorder=1.5)
        self.axes.add_collection(shapes, autolim=False)
        return shapes

    def draw(
        self,
        curves: Curves,
        key: Key,
        profiles: Profiles,
        farthest: float,
        limits: AttentionAxis | None = None,
    ) -> None:
        """Draw `curves` of `profiles` up to `farthest` Å, what is beyond `limits` at their ends."""
        radius = profiles.pairs.radius
        clip = limits.clip if limits else _as_is
        for line, curve, name in (
            (self.far, curves.longrange, "long-range"),
            (self.near, curves.neighbours, f"|Δ residue| < {LONG_RANGE}"),
        ):
            line.set_data(*gapped(curve, clip(curve.median)))
            line.set_markersize(marker_size(curves.everything, 4.4))
            key.say(line, f"{name} (n = {int(curve.count.sum()):,})")
        self.mean.set_data(*gapped(curves.everything, clip(curves.everything.mean)))
        self.near_band.set_verts(band(curves.neighbours, clip))
        self.far_band.set_verts(band(curves.longrange, clip))
        self.radius.set_data([radius, radius], [0, 1])
        key.say(self.radius, f"local: < {radius:g} Å")
        self.axes.set_xlim(0, farthest)
        theme.set_ticks(self.axes.xaxis, *value_ticks(0, farthest))

    def clear(self) -> None:
        """Draw nothing."""
        for line in self.axes.lines:
            line.set_data([], [])
        for shapes in (self.near_band, self.far_band):
            shapes.set_verts([])


class AttentionCurvesPanel(CurvesPanel):
    """Attention by distance, with what content alone would give, and the uniform level."""

    def __init__(self, axes: Axes) -> None:
        super().__init__(axes, theme.ATTENTION, "attention weight")
        # wide, to be seen on both sides of a curve that is the same
        self.content = self.line(color=theme.CONTENT, linewidth=3.4, alpha=0.75, zorder=1.8)
        self.near_content = self.line(
            color=theme.CONTENT, linewidth=2.8, alpha=0.75, linestyle="--", zorder=1.8
        )
        self.uniform = self.line(color=theme.INK, linestyle=":", linewidth=1.4)
        self.level = theme.level_label(axes, outside=True)
        handles = {self.far: "", self.near: "", self.radius: "", self.mean: _MEAN, self.content: ""}
        self.key = Key(axes, handles)

    def update(self, profiles: Profiles, view: View) -> None:
        """Draw the attention of `profiles`."""
        curves, attention = profiles.attention_curves, profiles.map.attention
        self.clear()
        self.level.set_text("")
        drawn = self.say("Attention by distance", _SPREAD, _empty("Attention", profiles, curves))
        self.key.set_visible(drawn)
        if not drawn or curves is None or attention is None:
            return
        axis = AttentionAxis.of(attention, view)
        farthest = farthest_shown(profiles)
        self.draw(curves, self.key, profiles, farthest, axis)
        content = profiles.content_curves
        self.key.say(self.content, _WITHOUT if content is not None else "no logits recorded")
        if content is not None:
            for line, curve in (
                (self.near_content, content.neighbours),
                (self.content, content.longrange),
            ):
                line.set_data(*gapped(curve, axis.clip(curve.median)))
        level = 1 / profiles.map.n_residues
        self.uniform.set_data([0, farthest], [level, level])
        self.level.set_text("1/N")
        self.level.set_y(level)
        axis.set_y(self.axes)


class BiasCurvesPanel(CurvesPanel):
    """The geometric bias by distance, as stored, and how far it reaches."""

    def __init__(self, axes: Axes) -> None:
        super().__init__(axes, theme.BIAS, "geometric bias (nat)")
        self.reach = self.line(color=theme.QUERY, linestyle="-.", linewidth=1.6)
        self.reach.set_transform(axes.get_xaxis_transform())
        handles = {self.far: "", self.near: "", self.radius: "", self.mean: _MEAN, self.reach: ""}
        self.key = Key(axes, handles)

    def update(self, profiles: Profiles) -> None:
        """Draw the geometric bias of `profiles`."""
        curves, subtracted = profiles.bias_curves, profiles.map.geo_bias_sign == -1
        self.clear()
        title = "Bias by distance" + (", sign −1" if subtracted else "")
        aside = "" if subtracted else _SPREAD  # there is no room for both
        drawn = self.say(title, aside, _empty("Geometric bias", profiles, curves))
        self.key.set_visible(drawn)
        if not drawn or curves is None:
            return
        farthest = farthest_shown(profiles)
        self.draw(curves, self.key, profiles, farthest)
        reach = profiles.geo_range
        if isinstance(reach, float):
            self.reach.set_data([reach, reach], [0, 1])
        self.key.say(self.reach, _reach_in_words(reach))
        self._fit_y(curves, farthest)

    def _fit_y(self, curves: Curves, farthest: float) -> None:
        drawn = [
            part[curve.bins < farthest]
            for curve in (curves.neighbours, curves.longrange)
            for part in (curve.low, curve.high)
        ]
        low, high = colour.robust_limits(np.concatenate(drawn))
        margin = _BIAS_MARGIN * (high - low) or 1.0
        low, high = low - margin, high + margin
        ticks, labels, power = scaled_ticks(low, high)
        self.axes.set_ylim(low, high)
        self.axes.set_ylabel(axis_name("geometric bias", power, "nat"))
        theme.set_ticks(self.axes.yaxis, ticks, labels)
        self.give_way(labels)


def _reach_in_words(reach: float | str | None) -> str:
    if reach is None:
        return "geo_range has no value"
    if reach == BEYOND:
        return "geo_range: beyond"
    assert isinstance(reach, float)
    return f"geo_range {text.decimal(reach)} Å"


def _empty(name: str, profiles: Profiles, curves: Curves | None) -> str:
    n_bins = None if curves is None else len(curves.everything.bins)
    return why_no_pairs(name, profiles, n_bins)


def _as_is(values: Array) -> Array:
    return values


def marker_size(curve: Curve, full: float) -> float:
    """How large the marks of a curve are: smaller where they would run into one another."""
    return full if len(curve.bins) <= _MANY_BINS else 0.6 * full


def gapped(curve: Curve, values: Array) -> tuple[Array, Array]:
    """The middles of all bins from the first to the last, and `values` there, NaN in empty bins."""
    if not len(curve.bins):
        return np.empty(0), np.empty(0)
    first = curve.bins[0]
    every = np.arange(first, curve.bins[-1] + 1)
    filled = np.full(len(every), np.nan)
    filled[curve.bins - first] = values
    return every + 0.5, filled


def band(curve: Curve, clip: Callable[[Array], Array]) -> list[npt.NDArray[np.float64]]:
    """The band of `curve` as polygons, one for each run of bins without a gap.

    A run ends at the outer edges of its bins, so that a lone bin is seen as well.
    """
    low, high = clip(curve.low), clip(curve.high)
    polygons = []
    for run in np.split(np.arange(len(curve.bins)), np.flatnonzero(np.diff(curve.bins) > 1) + 1):
        if not len(run):
            continue
        bins = curve.bins[run]
        across = np.concatenate([bins[:1], bins + 0.5, bins[-1:] + 1.0])
        along = np.concatenate([run[:1], run, run[-1:]])
        lower = np.column_stack([across, low[along]])
        upper = np.column_stack([across, high[along]])
        polygons.append(np.concatenate([lower, upper[::-1]]))
    return polygons
