"""Attention against distance, coloured by the geometric bias: panel ⑥ of the overview."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgba
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox

from igaviz.dump.data import Booleans
from igaviz.figures import colour, theme
from igaviz.figures.attention_axis import AttentionAxis
from igaviz.figures.colour import Shades
from igaviz.figures.curves import gapped, marker_size
from igaviz.figures.distance_axis import farthest_shown
from igaviz.figures.panels import BAR_GAP, BAR_WIDTH, ColourBar, Key, Panel, mean_in_words
from igaviz.figures.ticks import value_ticks
from igaviz.figures.view import View, why_no_pairs
from igaviz.metrics.profiles import Density, Profiles
from igaviz.metrics.table import LONG_RANGE

MOST_POINTS = 4000
"""More pairs than this are drawn as an image of counted cells: points would hide each other."""

_CELLS = 60
_FAINTEST = 0.75
_MARGIN = 1.02  # beyond the farthest pair
_FOR_THE_NAME = 0.65
"""Inches beside the colour bar in which its name keeps within the page."""

_FOR_THE_KEY = 3 * Key.ROW + 0.04


class InteractionPanel(Panel):
    """Every pair by distance and attention; medians, the means, the uniform level on top."""

    def __init__(self, page: theme.Page, left: float, top: float, side: float) -> None:
        height = side - _FOR_THE_KEY
        top = top + _FOR_THE_KEY
        super().__init__(page.axes(left, top, side, height), _FOR_THE_KEY)
        axes = self.axes
        axes.set_xlabel("Cα distance (Å)")
        axes.set_ylabel("attention weight")
        self.bar = ColourBar(
            page.axes(left + side + BAR_GAP, top, BAR_WIDTH, height), "geometric bias", "nat"
        )
        self.bar_place = self.bar.axes.get_position()
        self.image = axes.imshow(
            np.zeros((1, 1, 4)), aspect="auto", origin="lower", transform=axes.transAxes, zorder=1
        )  # an image can't be drawn on a logarithmic axis, but on the paper it is linear
        self.near_points = self._points(zorder=1.5)
        self.far_points = self._points(zorder=1.6)
        self.uniform = self.line(color=theme.INK, linestyle=":", linewidth=1.2)
        self.border = self.line(color=theme.LOCAL, linestyle="--", linewidth=1.4)
        self.border.set_transform(axes.get_xaxis_transform())
        self.content = self.line(color=theme.CONTENT, linewidth=2.0)
        self.near_content = self.line(color=theme.CONTENT, linewidth=1.6, linestyle="--")
        median: dict[str, Any] = {
            "color": theme.INK,
            "zorder": 3,
            "linewidth": 1.1,
            "markersize": 4.2,
            "marker": "o",
        }
        self.neighbours = self.line(markerfacecolor=theme.PAPER, **median)
        self.longrange = self.line(**median)
        self.local_mean = self.line(color=theme.LOCAL, linewidth=2.6)
        self.global_mean = self.line(color=theme.DISTANT, linewidth=2.6)
        self.near_content.set_zorder(2.5)  # under the medians
        for line in (self.content, self.local_mean, self.global_mean):
            line.set_zorder(2.5)
            line.set_path_effects([withStroke(linewidth=4.2, foreground=theme.PAPER)])
        self.lines = [
            self.uniform, self.border, self.content, self.near_content,
            self.neighbours, self.longrange, self.local_mean, self.global_mean,
        ]  # fmt: skip
        labels = {
            self.longrange: "median, long-range",
            self.neighbours: f"median, |Δ residue| < {LONG_RANGE}",
            self.content: "",
            self.local_mean: "",
            self.global_mean: "",
            self.border: "",
        }
        self.key = Key(axes, labels)
        self.level = theme.level_label(axes, outside=False)
        self.no_bias = axes.text(
            1.03, 0.5, "", transform=axes.transAxes, rotation=270, va="center",
            size=theme.SMALL, color=theme.FAINT,
        )  # fmt: skip

    def _points(self, zorder: float) -> PathCollection:
        points = self.axes.scatter([], [], s=13, linewidths=0.8, zorder=zorder)
        points.set_rasterized(True)
        return points

    def update(self, profiles: Profiles, view: View) -> None:
        """Draw the pairs of `profiles`, all of them whatever residues `view` shows."""
        attention = profiles.map.attention
        n_pairs = None if attention is None else int(np.count_nonzero(profiles.known_pairs))
        sentence = why_no_pairs("Attention", profiles, n_pairs)
        drawn = self.say("⑥ Local interaction analysis", "", sentence)
        for line in self.lines:
            line.set_data([], [])
        self.level.set_text("")
        self.no_bias.set_text("")
        self.axes.set_facecolor(theme.FIELD if drawn else theme.PAPER)
        self.image.set_visible(False)
        for points in (self.near_points, self.far_points):
            points.set_visible(False)
        self.bar.update(None)
        self.key.set_visible(drawn)
        if not drawn or attention is None:
            return
        axis = AttentionAxis.of(attention, view)
        farthest = farthest_shown(profiles)
        self._draw_pairs(profiles, axis, farthest)
        self._draw_medians(profiles, axis)
        self._draw_means(profiles, axis, farthest)
        self.axes.set_xlim(0, farthest * _MARGIN)
        theme.set_ticks(self.axes.xaxis, *value_ticks(0, farthest))
        axis.set_y(self.axes)

    def _draw_pairs(self, profiles: Profiles, axis: AttentionAxis, farthest: float) -> None:
        attention, bias = profiles.map.attention, profiles.map.geo_bias
        assert attention is not None
        known = profiles.known_pairs
        # far below the axis the bias is often far below all that matters on it
        seen = known & (attention > axis.low)
        shades = None if bias is None else colour.signed(bias[seen])
        self.bar.update(shades)
        self._give_way_to_bar()
        if shades is None:
            self.no_bias.set_text("geometric bias not recorded")
        if np.count_nonzero(known) > MOST_POINTS:
            grid = profiles.density(np.linspace(0, farthest, _CELLS + 1), axis.edges(_CELLS))
            assert grid is not None
            self.image.set_visible(True)
            self.image.set_data(_cell_colours(grid, shades))
            self.image.set_extent((0.0, 1.0 / _MARGIN, *axis.ends()))
            return
        longrange = profiles.pairs.longrange
        self._draw_points(self.near_points, profiles, axis, known & ~longrange, shades)
        self._draw_points(self.far_points, profiles, axis, known & longrange, shades)
        self.near_points.set_facecolor("none")

    def _give_way_to_bar(self) -> None:
        """Make the axes narrower where the numbers of the bar are long, which moves it inwards."""
        inches = max(0.0, self.bar.beside - _FOR_THE_NAME)
        lost = inches * self.axes.figure.dpi / self.axes.figure.bbox.width
        (left, bottom), (right, top) = self.place.min, self.place.max
        self.axes.set_position(Bbox.from_extents(left, bottom, right - lost, top))
        (left, bottom), (right, top) = self.bar_place.min, self.bar_place.max
        self.bar.axes.set_position(Bbox.from_extents(left - lost, bottom, right - lost, top))

    @staticmethod
    def _draw_points(
        points: PathCollection,
        profiles: Profiles,
        axis: AttentionAxis,
        pairs: Booleans,
        shades: Shades | None,
    ) -> None:
        attention, bias = profiles.map.attention, profiles.map.geo_bias
        assert attention is not None
        points.set_visible(True)
        points.set_offsets(
            np.column_stack([profiles.pairs.distance[pairs], axis.clip(attention[pairs])])
        )
        if shades is None or bias is None:
            colours: Any = theme.POINTS
        else:
            colours = shades.colormap()(shades.norm()(shades.drawable(bias[pairs])))
        points.set_facecolor(colours)
        points.set_edgecolor(colours)

    def _draw_medians(self, profiles: Profiles, axis: AttentionAxis) -> None:
        attention, content = profiles.attention_curves, profiles.content_curves
        assert attention is not None
        for line, curve in (
            (self.neighbours, attention.neighbours),
            (self.longrange, attention.longrange),
        ):
            line.set_data(*gapped(curve, axis.clip(curve.median)))
            line.set_markersize(marker_size(curve, 4.2))
        self.key.say(self.content, "① not recorded" if content is None else "medians, softmax of ①")
        if content is not None:
            for line, curve in (
                (self.near_content, content.neighbours),
                (self.content, content.longrange),
            ):
                line.set_data(*gapped(curve, axis.clip(curve.median)))

    def _draw_means(self, profiles: Profiles, axis: AttentionAxis, farthest: float) -> None:
        radius = profiles.pairs.radius
        uniform = 1 / profiles.map.n_residues
        self.uniform.set_data([0, farthest * _MARGIN], [uniform, uniform])
        self.level.set_text("1/N")
        self.level.set_position((0.985, uniform))
        self.border.set_data([radius, radius], [0, 1])
        self.key.say(self.border, f"local: < {radius:g} Å")
        for line, level, name, stretch in (
            (self.local_mean, profiles.local_level, "local", [0, radius]),
            (self.global_mean, profiles.global_level, "global", [radius, farthest]),
        ):
            assert level is not None
            if level.mean is not None:
                line.set_data(stretch, [float(axis.clip(np.array(level.mean)))] * 2)
            self.key.say(line, mean_in_words(name, level))


def _cell_colours(grid: Density, shades: Shades | None) -> npt.NDArray[np.float64]:
    """The colour of each cell [rows, columns, 4]: its mean bias; the fuller, the more opaque."""
    if shades is None:
        colours = np.broadcast_to(to_rgba(theme.POINTS), (*grid.count.shape, 4)).copy()
    else:
        colours = shades.colormap()(shades.norm()(shades.drawable(grid.bias)))
    fullness = np.log1p(grid.count) / np.log1p(grid.count.max())
    colours[..., 3] = np.where(grid.count > 0, _FAINTEST + (1 - _FAINTEST) * fullness, 0.0)
    return colours
