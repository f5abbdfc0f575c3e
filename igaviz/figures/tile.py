"""The small maps of the grid: one head's attention, or the structure that all heads see."""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt
from matplotlib.text import Text

from igaviz.figures import text, theme
from igaviz.figures.colour import Shades
from igaviz.figures.header import Severity
from igaviz.figures.panels import beyond, grid_lines, outline
from igaviz.figures.view import NO_RESIDUES, Window
from igaviz.metrics.sheet import Sheet, Tile
from igaviz.percent import percent

SMALL = theme.SMALL - 0.6
_TITLE_UP, _LINE_UP = 0.24, 0.07  # inches from the map to the base lines of the words above it
_NEXT_LINE = 0.15
_TALL = 0.76 * SMALL / 72  # inches from a base line to the top of its letters
_ABOVE = 0.54
_ONE_LINE = 2.3  # inches that any verdict has room in
_TICK_ROOM = 0.5  # inches between two ticks, and the least a label needs


def lines_of(side: float) -> int:
    """How many lines the verdict on a map of so many inches takes at most."""
    return 1 if side >= _ONE_LINE else 2


def above(side: float) -> float:
    """Inches above a map of so many inches for its title and its verdict."""
    return _ABOVE + _more(side)


def _more(side: float) -> float:
    """How much farther up words stand where there may be a second line below them."""
    return (lines_of(side) - 1) * _NEXT_LINE


class TilePanel:
    """A small square map with a title and a verdict above it.

    Ticks are on all of them; residue numbers stand below those that are the `lowest` of their
    column and beside the `leftmost` of each row.
    """

    def __init__(
        self,
        page: theme.Page,
        left: float,
        top: float,
        side: float,
        *,
        leftmost: bool,
        lowest: bool,
    ) -> None:
        self.axes = page.axes(left, top, side, side)
        self.inches = side
        self.numbered = lowest, leftmost
        self.image = self.axes.imshow(np.zeros((1, 1)), aspect="auto", interpolation_stage="data")
        (self.breaks,) = self.axes.plot([], [], color=theme.INK, linewidth=0.6, alpha=0.75)
        (self.outline,) = self.axes.plot([], [], color=theme.INK)
        more = _more(side)
        self.title = self._line(_TITLE_UP + more, theme.BODY, "bold", "baseline")
        self.below = self._line(_LINE_UP + more + _TALL, SMALL, "normal", "top")
        self.sentence = self.axes.text(
            0.5, 0.5, "", transform=self.axes.transAxes, ha="center", va="center",
            size=theme.SMALL, color=theme.FAINT, wrap=False,
        )  # fmt: skip

    def _line(self, inches: float, size: float, weight: str, side: str) -> Text:
        return self.axes.annotate(
            "", (0, 1), (0, 72 * inches), xycoords="axes fraction", textcoords="offset points",
            ha="left", va=side, size=size, weight=weight, parse_math=False,
        )  # fmt: skip

    def draw_head(self, tile: Tile, shades: Shades, window: Window) -> None:
        """Draw one head's attention, its verdict above."""
        glyph, ink = theme.VERDICTS[cast(Severity, tile.severity)]
        self._say(f"{glyph} head {tile.head}".strip(), ink)
        self.below.set_text(
            text.fold(_summary(tile, self.inches), self.inches, SMALL, lines_of(self.inches))
        )
        missing = "Attention not recorded." if tile.cells is None else ""
        self._draw(tile.cells, shades, window, missing)

    def draw_structure(self, sheet: Sheet, shades: Shades, window: Window, radius: float) -> None:
        """Draw how far residues are from each other, the same for all heads."""
        self._say("Cα distance", theme.INK)
        self._draw(sheet.distance, shades, window, "")
        cells = len(sheet.distance)
        if cells:
            per_cell = window.size / cells
            x, y = outline(sheet.distance < radius)
            self.outline.set_data((x + 0.5) * per_cell - 0.5, (y + 0.5) * per_cell - 0.5)
            self.outline.set_linewidth(min(0.9, 26 * self.inches / cells))

    def _say(self, title: str, ink: str) -> None:
        self.title.set_text(text.fit(title, self.inches, theme.BODY, bold=True))
        self.title.set_color(ink)
        self.below.set_color(theme.FAINT)

    def _draw(
        self,
        cells: npt.NDArray[np.float32] | None,
        shades: Shades,
        window: Window,
        missing: str,
    ) -> None:
        missing = missing or ("" if window.size else NO_RESIDUES)
        self.sentence.set_text(missing)
        self.image.set_visible(not missing)
        self.breaks.set_data([], [])
        self.outline.set_data([], [])
        if missing or cells is None:
            theme.blank(self.axes)
            return
        edge = window.size - 0.5
        self.image.set_data(shades.drawable(cells))
        self.image.set_extent((-0.5, edge, edge, -0.5))
        self.image.set_cmap(shades.colormap())
        self.image.set_norm(shades.norm())
        pixels = self.inches * theme.DPI
        self.image.set_interpolation("nearest" if len(cells) <= pixels / 2 else "auto")
        self.breaks.set_data(*grid_lines(window.breaks, edge))
        places, numbers = window.ticks(max(2, round(self.inches / _TICK_ROOM)))
        for axis, numbered in zip((self.axes.xaxis, self.axes.yaxis), self.numbered, strict=True):
            theme.set_ticks(axis, places, numbers if numbered else [""] * len(places))
        self.axes.set_xlim(-0.5, edge)
        self.axes.set_ylim(edge, -0.5)


class Ramp:
    """The colour scale of a small map as a line of words above it: its ends, and what is marked."""

    _HIGH, _WIDE, _GAP = 0.088, 0.36, 0.05

    def __init__(self, page: theme.Page, left: float, top: float, room: float) -> None:
        before = text.width("0", SMALL) + self._GAP
        above = top - _LINE_UP - _more(room) - self._HIGH
        self.axes = page.axes(left + before, above, self._WIDE, self._HIGH)
        self.room = room - before - self._WIDE - self._GAP
        theme.blank(self.axes)
        self.image = self.axes.imshow(
            np.linspace(0, 1, 256)[None], extent=(0, 1, 0, 1), aspect="auto", vmin=0, vmax=1
        )
        gap = 72 * self._GAP
        self.low = self._word((0, 0), (-gap, 0), "right")
        self.high = self._word((1, 0), (gap, 0), "left")

    def _word(self, at: tuple[float, float], offset: tuple[float, float], side: str) -> Text:
        return self.axes.annotate(
            "", at, offset, xycoords="axes fraction", textcoords="offset points",
            ha=side, va="baseline", size=SMALL, color=theme.FAINT, parse_math=False,
        )  # fmt: skip

    def update(self, shades: Shades, marked: str) -> None:
        """Show `shades` of lengths in Å and, where there is room, what is `marked` in the map."""
        self.axes.set_visible(shades.total > 0)
        self.image.set_cmap(shades.colormap())
        self.low.set_text(text.decimal(shades.low, 2))
        note = beyond(shades.above, shades.total, "above")
        end = f"{text.decimal(shades.high, 2)} Å" + (f" ({note})" if note else "")
        long = f"{end} · {marked}"
        self.high.set_text(long if text.width(long, SMALL) <= self.room else end)


def _summary(tile: Tile, room: float) -> str:
    """What there is to say of a head, as long as `room` inches allow."""
    if tile.severity not in (None, "healthy"):
        return tile.verdict
    moves = "" if tile.effect is None else percent(tile.effect)
    kind = tile.head_type or ""
    long = f"{kind} · geometry moves {moves}" if kind and moves else kind or moves
    return long if text.width(long, SMALL) <= room else f"{kind} {moves}"
