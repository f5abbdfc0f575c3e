"""The pieces that the figures are put together from: a map with its colour bar, and the words."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon
from matplotlib.spines import Spine
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from igaviz.dump.data import Booleans, Floats
from igaviz.figures import text, theme
from igaviz.figures.colour import Shades
from igaviz.figures.ticks import axis_name
from igaviz.figures.view import Window
from igaviz.metrics.profiles import Level
from igaviz.percent import percent_of

FEW_MARKS = 60
"""Up to so many non-finite cells are marked one by one, to be seen where cells are tiny."""

_CRISP = 300
"""Up to so many residues a cell is drawn as a square; beyond, cells smaller than a pixel blend."""

_LETTERS = 12  # of a sentence, to an inch
_APART = 0.12  # inches between a title and its aside

BAR_GAP = 0.08
BAR_WIDTH = 0.13
_NAME_BESIDE_BAR = 0.56


class Panel:
    """Axes with a title above, an aside to its right, and room for a plain sentence.

    `between` inches are kept free between the title and the axes, for a key.
    """

    def __init__(self, axes: Axes, between: float = 0.0) -> None:
        self.axes = axes
        self._open_sides: list[Spine] | None = None
        self.place = axes.get_position()
        self.width = axes.bbox.width / theme.DPI
        up = 6 + 72 * between
        above: dict[str, Any] = {
            "xycoords": "axes fraction",
            "textcoords": "offset points",
            "va": "baseline",
            "parse_math": False,
        }
        self.title: Text = axes.annotate(
            "", (0, 1), (0, up), ha="left", size=theme.TITLE, weight="bold", **above
        )
        self.aside: Text = axes.annotate(
            "", (1, 1), (0, up), ha="right", size=theme.SMALL, color=theme.FAINT, **above
        )
        self.sentence = axes.text(
            0.5, 0.5, "", transform=axes.transAxes, ha="center", va="center",
            size=theme.BODY, color=theme.FAINT, linespacing=1.5, zorder=20,
        )  # fmt: skip

    def line(self, **style: object) -> Line2D:
        """A new line in the panel, without data."""
        (line,) = self.axes.plot([], [], **style)  # type: ignore[arg-type]
        return line

    def say(self, title: str, aside: str = "", sentence: str = "") -> bool:
        """Set the words; with a `sentence` instead of data, axes and aside are left empty.

        Returns whether there is data to draw.
        """
        aside = "" if sentence else aside
        self.title.set_text(title)
        taken = text.width(title, theme.TITLE, bold=True) + _APART
        self.aside.set_text(text.fit(aside, self.width - taken, theme.SMALL))
        self.sentence.set_text(textwrap.fill(sentence, int(self.width * _LETTERS)))
        for axis in (self.axes.xaxis, self.axes.yaxis):
            axis.label.set_visible(not sentence)
        self._close_frame(bool(sentence))
        if sentence:
            theme.blank(self.axes)
            self.give_way(())
        return not sentence

    def give_way(self, labels: Sequence[str], *, right: Axes | None = None) -> None:
        """Make the axes narrower where tick `labels` are long, so that none runs into their name.

        The labels are those of the vertical axis, or of the axes `right` that lie on these.
        """
        named = right or self.axes
        inches = theme.beside(labels)
        lost = (inches - theme.LABEL_BESIDE) * named.figure.dpi / named.figure.bbox.width
        (left, bottom), (end, top) = self.place.min, self.place.max  # which rounding leaves alone
        ends = (left, end - lost) if right else (left + lost, end)
        place = Bbox.from_extents(ends[0], bottom, ends[1], top)
        for axes in filter(None, (self.axes, right)):
            axes.set_position(place)
            theme.put_name(axes, inches if axes is named else theme.LABEL_BESIDE)

    def _close_frame(self, closed: bool) -> None:
        """Draw all four sides around a sentence, or those that the panel has with data."""
        if self._open_sides is None:
            sides = self.axes.spines.values()
            self._open_sides = [side for side in sides if not side.get_visible()]
        for side in self._open_sides:
            side.set_visible(closed)


class Key:
    """A legend in two columns above axes, where it hides no data; its words change by map."""

    ROW = 0.172
    """Inches that a row takes."""

    def __init__(self, axes: Axes, labels: Mapping[Any, str]) -> None:
        self.handles: list[Artist] = list(labels)
        self.legend = axes.legend(
            handles=self.handles,
            labels=list(labels.values()),
            loc="lower left",
            bbox_to_anchor=(0.0, 1.0),
            ncols=2,
            fontsize=theme.SMALL - 0.5,
            frameon=False,
            borderpad=0.0,
            borderaxespad=0.35,
            handlelength=1.6,
            handletextpad=0.6,
            labelspacing=0.3,
            columnspacing=1.3,
        )

    def say(self, handle: Artist, label: str) -> None:
        """Set the words beside `handle`."""
        self.legend.get_texts()[self.handles.index(handle)].set_text(label)

    def set_visible(self, visible: bool) -> None:
        """Show the legend, or don't."""
        self.legend.set_visible(visible)


class ColourBar:
    """A colour scale beside a panel: ticks, what lies beyond its ends, and one marked level.

    `title` stands beside it, with `unit` and the power of ten of its ticks, so many inches
    `beside`; without a title that stands above.
    """

    _STEPS = 256

    def __init__(self, axes: Axes, title: str = "", unit: str = "") -> None:
        self.axes = axes
        axes.yaxis.set_label_position("right")
        self.title, self.unit = title, unit
        self.beside = _NAME_BESIDE_BAR
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.xaxis.set_visible(False)
        axes.yaxis.tick_right()
        ramp = np.linspace(0, 1, self._STEPS)[:, None]
        self.image = axes.imshow(
            ramp, extent=(0, 1, 0, 1), origin="lower", aspect="auto", vmin=0, vmax=1,
            interpolation="nearest",
        )  # fmt: skip
        ends: dict[str, Any] = {
            "closed": True,
            "clip_on": False,
            "edgecolor": theme.FAINT,
            "linewidth": 0.8,
        }
        self.over = Polygon([(0, 1), (1, 1), (0.5, 1.035)], **ends)
        self.under = Polygon([(0, 0), (1, 0), (0.5, -0.035)], **ends)
        axes.add_patch(self.over)
        axes.add_patch(self.under)
        beside: dict[str, Any] = {
            "clip_on": False,
            "size": theme.SMALL - 1,
            "color": theme.FAINT,
            "ha": "left",
        }
        self.above = axes.text(0.0, 1.045, "", va="bottom", **beside)
        self.below = axes.text(-0.2, -0.085, "", va="top", **beside)
        (self.level,) = axes.plot([], [], color=theme.INK, linewidth=1.4, solid_capstyle="butt")

    def update(self, shades: Shades | None, level: float | None = None) -> None:
        """Show `shades`, with a line across at `level`; nothing for None and for no values."""
        self.axes.set_visible(shades is not None and shades.total > 0)
        self.beside = _NAME_BESIDE_BAR
        if shades is None:
            return
        colormap = shades.colormap()
        self.image.set_cmap(colormap)
        self.over.set_visible(shades.above > 0)
        self.over.set_facecolor(colormap(1.0))
        self.under.set_visible(shades.below > 0)
        self.under.set_facecolor(colormap(0.0))
        above = beyond(shades.above, shades.total, "above")
        self.below.set_text(beyond(shades.below, shades.total, "below"))
        norm = shades.norm()
        values, labels, power = shades.ticks()
        if self.title:
            name = axis_name(self.title, power, self.unit)
            self.axes.set_ylabel(name, rotation=270, va="bottom")
            self.beside = theme.beside(labels, _NAME_BESIDE_BAR)
            theme.put_name(self.axes, self.beside)
        elif power:
            above = f"{above}\n× {power}".strip()
        self.above.set_text(above)
        theme.set_ticks(self.axes.yaxis, [float(norm(value)) for value in values], labels)
        self.level.set_data([], [])
        if level is not None and shades.low < level < shades.high:
            self.level.set_data([0, 1], [norm(level)] * 2)


class MapPanel(Panel):
    """A square map of residues against residues, with its colour bar.

    Only the `leftmost` of a row has residue numbers along its vertical axis.
    """

    def __init__(
        self, page: theme.Page, left: float, top: float, side: float, *, leftmost: bool = True
    ) -> None:
        super().__init__(page.axes(left, top, side, side))
        self.leftmost = leftmost
        self.bar = ColourBar(page.axes(left + side + BAR_GAP, top, BAR_WIDTH, side))
        self.image: AxesImage = self.axes.imshow(
            np.zeros((1, 1)), aspect="auto", interpolation_stage="data", zorder=1
        )
        self.breaks = self.line(color=theme.INK, linewidth=0.7, alpha=0.75, zorder=3)
        self.outline = self.line(color=theme.INK, linewidth=0.9, zorder=4)
        self.marks = self.line(
            linestyle="none", marker="s", markersize=3.2, markeredgewidth=0.5,
            markerfacecolor=theme.NON_FINITE, markeredgecolor=theme.INK, zorder=5,
        )  # fmt: skip

    def update(
        self,
        values: Floats,
        shades: Shades,
        window: Window,
        *,
        level: float | None = None,
        around: Booleans | None = None,
    ) -> None:
        """Draw `values` [M, M] of the residues in `window`.

        `level` is marked on the colour bar; a line goes around the pairs that `around` holds.
        """
        edge = window.size - 0.5
        self.image.set_visible(True)
        self.image.set_data(shades.drawable(values))
        self.image.set_interpolation("nearest" if window.size <= _CRISP else "auto")
        self.image.set_extent((-0.5, edge, edge, -0.5))
        self.image.set_cmap(shades.colormap())
        self.image.set_norm(shades.norm())
        self.bar.update(shades, level)
        self.breaks.set_data(*grid_lines(window.breaks, edge))
        border = ((), ()) if around is None else outline(around)
        self.outline.set_data(border[0], border[1])
        self.outline.set_linewidth(1.0 if window.size <= _CRISP else 0.6)
        self.marks.set_data(*_few_places(~np.isfinite(values)))
        places, numbers = window.ticks(6)
        theme.set_ticks(self.axes.xaxis, places, numbers)
        # a row of maps has the same residues: said once, they leave room for the colour bars
        theme.set_ticks(self.axes.yaxis, places, numbers if self.leftmost else [""] * len(places))
        self.axes.set_xlim(-0.5, edge)
        self.axes.set_ylim(edge, -0.5)

    def clear(self) -> None:
        """Draw no map and no colour bar."""
        self.image.set_visible(False)
        self.bar.update(None)
        for line in (self.breaks, self.outline, self.marks):
            line.set_data([], [])


def mean_in_words(name: str, level: Level) -> str:
    """The line of a legend about the mean attention of a group of pairs."""
    return f"no {name} pair" if level.mean is None else f"{name} mean {text.decimal(level.mean)}"


def beyond(count: int, total: int, word: str) -> str:
    """A note on what is cut off: in per cent, or as a number where that would say nothing."""
    if not count:
        return ""
    return f"{count:,} {word}" if count < 0.001 * total else f"{percent_of(count, total)} {word}"


def grid_lines(places: npt.NDArray[np.float64], edge: float) -> tuple[Floats, Floats]:
    """Lines right across a square map at `places`, both ways, as one line with gaps."""
    along = np.tile([-0.5, edge, np.nan], len(places))
    across = np.repeat(places, 3)
    return np.concatenate([along, across]), np.concatenate([across, along])


def outline(inside: Booleans) -> tuple[Floats, Floats]:
    """The border between the cells of a map that are `inside` and the others, with gaps.

    It runs along the cells' own edges, so that it says of every cell on which side it is.
    """
    rows, columns = np.nonzero(inside[1:] != inside[:-1])
    horizontal = np.stack([columns - 0.5, columns + 0.5, np.full(len(columns), np.nan)], axis=1)
    level = np.repeat(rows + 0.5, 3)
    rows, columns = np.nonzero(inside[:, 1:] != inside[:, :-1])
    vertical = np.stack([rows - 0.5, rows + 0.5, np.full(len(rows), np.nan)], axis=1)
    upright = np.repeat(columns + 0.5, 3)
    return (
        np.concatenate([horizontal.ravel(), upright]),
        np.concatenate([level, vertical.ravel()]),
    )


def _few_places(bad: Booleans) -> tuple[Sequence[float], Sequence[float]]:
    if not 0 < np.count_nonzero(bad) <= FEW_MARKS:
        return [], []
    rows, columns = np.nonzero(bad)
    return columns.tolist(), rows.tolist()
