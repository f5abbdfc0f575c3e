"""One query's row of a map along the chain: a panel of the attention profiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.collections import PolyCollection

from igaviz.dump.data import Booleans, Floats
from igaviz.figures import colour, text, theme
from igaviz.figures.panels import Panel
from igaviz.figures.ticks import axis_name, scaled_ticks
from igaviz.figures.view import Window
from igaviz.metrics.profiles import Array, Profiles, Row
from igaviz.percent import percent

FULL = 0.5
PALE = 0.2
"""How opaque the bands of local keys are: far from the query in sequence, and near to it."""

_FEW = 60
"""Up to so many residues each is marked on the lines."""

_MANY = 300
"""Beyond so many residues the bias is a thin line: it jumps from each to the next."""

_ALONE = 3.0
"""A query's attention to itself sets no limit where it is this many times any other's."""

_MARGIN = 1.08
_APART = 0.62  # inches from a number of a residue to the next, at least
_TAIL = 1.0  # the lowest bias of a row may be as far off as all others are spread


class QueryPanel(Panel):
    """One query: its attention filled, its geometric bias on an axis to the right.

    The axes are `width` × `height` inches, with `left` and `top` beside and above them.
    """

    def __init__(
        self, page: theme.Page, left: float, top: float, width: float, height: float
    ) -> None:
        place = (left, top, width, height)
        super().__init__(page.axes(*place))
        axes = self.axes
        axes.set_xlabel("key residue")
        axes.set_ylabel("attention weight", color=theme.ATTENTION)
        axes.tick_params(axis="y", labelcolor=theme.ATTENTION)
        self.right = page.axes(*place)
        self.right.patch.set_visible(False)
        self.right.xaxis.set_visible(False)
        self.right.yaxis.tick_right()
        self.right.yaxis.set_label_position("right")
        self.right.tick_params(axis="y", labelcolor=theme.BIAS)
        for spines in (axes.spines, self.right.spines):
            spines["top"].set_visible(False)
        across = axes.get_xaxis_transform()
        bands: dict[str, Any] = {
            "facecolor": theme.LOCAL,
            "linewidth": 0,
            "transform": across,
            "zorder": 0.5,
        }
        self.far_bands = PolyCollection([], alpha=FULL, **bands)
        self.near_bands = PolyCollection([], alpha=PALE, **bands)
        self.fill = PolyCollection([], facecolor=theme.ATTENTION, alpha=0.4, linewidth=0, zorder=2)
        for shapes in (self.far_bands, self.near_bands, self.fill):
            axes.add_collection(shapes, autolim=False)
        self.breaks = self.line(color=theme.INK, linewidth=0.8, transform=across)
        self.gaps = self.line(color=theme.FAINT, linewidth=0.7, linestyle=":", transform=across)
        dots: dict[str, Any] = {"marker": "o", "markersize": 0.0}
        self.attention = self.line(color=theme.ATTENTION, linewidth=2.0, **dots)
        # thin and on top, to be seen where geometry changes nothing
        self.content = self.line(color=theme.CONTENT, linewidth=1.0, zorder=3, **dots)
        (self.bias,) = self.right.plot(
            [], [], color=theme.BIAS, linewidth=1.4, linestyle=(0, (4, 2)), **dots
        )
        self.query = self.line(
            color=theme.QUERY, linewidth=1.5, linestyle="--", transform=across, zorder=4
        )
        self.own = axes.text(
            0, 0, "", transform=across, va="top", size=theme.SMALL, color=theme.ATTENTION, zorder=5
        )
        self.own.set_path_effects(theme.HALO)
        self.lines = [
            self.breaks, self.gaps, self.content, self.attention, self.bias, self.query
        ]  # fmt: skip

    def update(self, row: Row, profiles: Profiles, window: Window) -> None:
        """Draw `row` over the residues in `window`."""
        self.clear()
        terms = (row.attention, row.content, row.bias)
        missing = "Neither attention nor logits recorded."
        sentence = missing if all(term is None for term in terms) else ""
        if not self.say(_title(row, window), _aside(row, window), sentence):
            return
        self._draw_frame(row, window)
        self._draw_attention(row, window)
        self._draw_bias(row, profiles.map.geo_bias_sign, window)

    def clear(self) -> None:
        """Draw nothing."""
        for line in self.lines:
            line.set_data([], [])
        for shapes in (self.far_bands, self.near_bands, self.fill):
            shapes.set_verts([])
        self.own.set_text("")
        theme.blank(self.right)
        self._name_right("", theme.BIAS)
        self.give_way((), right=self.right)

    def _name_right(self, words: str, ink: str) -> None:
        self.right.set_ylabel(words, color=ink, rotation=270, va="bottom")

    def _draw_frame(self, row: Row, window: Window) -> None:
        edge = window.size - 0.5
        self.axes.set_xlim(-0.5, edge)
        self.right.set_xlim(-0.5, edge)
        theme.set_ticks(self.axes.xaxis, *window.ticks(round(self.width / _APART)))
        self.breaks.set_data(*_uprights(window.breaks))
        self.gaps.set_data(*_uprights(window.gaps))
        self.far_bands.set_verts(_bands(row.longrange[window.positions]))
        self.near_bands.set_verts(_bands(row.neighbours[window.positions]))
        place = window.place(row.query)
        if place is not None:
            self.query.set_data([place, place], [0, 1])
        for line in (self.content, self.attention, self.bias):
            line.set_markersize(2.6 if window.size <= _FEW else 0.0)
        self.bias.set_linewidth(1.4 if window.size <= _MANY else 0.8)

    def _draw_attention(self, row: Row, window: Window) -> None:
        top = _top(row, window)
        ticks, labels, power = scaled_ticks(0, top * _MARGIN)
        self.axes.set_ylim(0, top * _MARGIN)
        self.axes.set_ylabel(axis_name("attention weight", power))
        theme.set_ticks(self.axes.yaxis, ticks, labels)
        if row.content is not None:
            self.content.set_data(*_broken(row.content, window))
        if row.attention is None:
            return
        self._note_own(row, window, top)
        x, y = _broken(row.attention, window)
        self.attention.set_data(x, y)
        self.fill.set_verts(_areas(x, y))

    def _note_own(self, row: Row, window: Window, top: float) -> None:
        """Say how high the query's own weight is where it is higher than the axis."""
        place = window.place(row.query)
        if row.attention is None or place is None or not row.attention[row.query] > top * _MARGIN:
            return
        left = place < window.size / 2
        aside = max(0.008 * window.size, 1.1) * (1 if left else -1)
        self.own.set_position((place + aside, 0.98))
        self.own.set_horizontalalignment("left" if left else "right")
        self.own.set_text(f"↑ {text.decimal(float(row.attention[row.query]), 2)}")

    def _draw_bias(self, row: Row, sign: int, window: Window) -> None:
        if row.bias is None:
            self._name_right("geometric bias not recorded", theme.FAINT)
            return
        shown = row.bias[window.positions]
        low, high = colour.robust_limits(shown, slack=_TAIL)
        if low == high:
            low, high = low - 1.0, high + 1.0
        margin = 0.05 * (high - low)
        low, high = low - margin, high + margin
        self.right.set_ylim(low, high)
        ticks, labels, power = scaled_ticks(low, high)
        theme.set_ticks(self.right.yaxis, ticks, labels)
        finite = shown[np.isfinite(shown)]
        beyond = int(np.count_nonzero((finite < low) | (finite > high)))
        unit = "nat" if sign == 1 else "nat, sign −1"
        unit = f"{unit}; {beyond} beyond" if beyond else unit
        self._name_right(axis_name("geometric bias", power, unit), theme.BIAS)
        self.give_way(labels, right=self.right)
        self.bias.set_data(*_broken(row.bias, window))


def _title(row: Row, window: Window) -> str:
    structure = window.structure
    title = f"Query {window.label_of(row.query)}"
    sequence = structure.sequence or ""
    if len(sequence) != structure.n_residues or not text.clean(sequence[row.query]):
        return title
    return f"{title} ({text.clean(sequence[row.query])})"


def _aside(row: Row, window: Window) -> str:
    parts = []
    if window.place(row.query) is None:
        parts.append("outside the view")
    if row.attention is None:
        parts.append("attention not recorded")
    elif row.local_mass is None or not np.isfinite(row.attention[row.query]):
        parts.append("no attention: padding, or not finite")
    else:
        own = float(row.attention[row.query])
        parts.append(f"local keys {percent(row.local_mass)}, itself {percent(own)}")
    return " · ".join(parts)


def _top(row: Row, window: Window) -> float:
    """The largest weight that is shown, without the query's own where that stands alone."""
    terms = [term[window.positions] for term in (row.attention, row.content) if term is not None]
    if not terms:
        return 1.0
    highest = np.where(np.isfinite(terms), terms, 0.0).max(axis=0)
    itself = window.positions == row.query
    own = float(highest[itself].max(initial=0.0))
    others = float(highest[~itself].max(initial=0.0))
    alone = others > 0 and own > _ALONE * others
    return (others if alone else max(own, others)) or 1.0


def _broken(values: Floats, window: Window) -> tuple[Array, Array]:
    """Places and `values` of the residues shown, with a NaN between two chains."""
    shown = values[window.positions].astype(np.float64)
    y = np.where(np.isfinite(shown), shown, np.nan)
    x = np.arange(window.size, dtype=np.float64)
    breaks = np.ceil(window.breaks).astype(int)
    return np.insert(x, breaks, window.breaks), np.insert(y, breaks, np.nan)


def _areas(x: Array, y: Array) -> list[npt.NDArray[np.float64]]:
    """Polygons between 0 and the line, one for each stretch without a NaN."""
    known = np.isfinite(y)
    return [
        np.column_stack(
            [
                np.concatenate([x[first : first + 1], x[first:end], x[end - 1 : end]]),
                np.concatenate([[0.0], y[first:end], [0.0]]),
            ]
        )
        for first, end in _stretches(known)
    ]


def _bands(inside: Booleans) -> list[npt.NDArray[np.float64]]:
    """Rectangles of full height over the stretches of residues that are `inside`."""
    return [
        np.array([(first, 0), (end, 0), (end, 1), (first, 1)]) - (0.5, 0.0)
        for first, end in _stretches(inside)
    ]


def _stretches(inside: Booleans) -> list[tuple[int, int]]:
    """First and one past the last position of each stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]])))
    return [(int(first), int(end)) for first, end in edges.reshape(-1, 2)]


def _uprights(places: Array) -> tuple[Array, Array]:
    """Lines of full height at `places`, as one line with gaps."""
    return np.repeat(places, 3), np.tile([0.0, 1.0, np.nan], len(places))
