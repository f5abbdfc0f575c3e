"""The grid: all heads of a layer as small attention maps, the sheet to open first."""

from __future__ import annotations

import math
from collections import Counter
from typing import ClassVar, cast

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.text import Text

from igaviz.figures import colour, text, theme
from igaviz.figures.colour import Shades
from igaviz.figures.header import HEIGHT, Header, Severity
from igaviz.figures.panels import BAR_WIDTH, ColourBar, grid_lines
from igaviz.figures.view import NO_RESIDUES, View, Window
from igaviz.format import DEFAULT_PHASE
from igaviz.metrics.heads import HEAD_TYPES
from igaviz.metrics.sheet import CLOSE, Sheet, Tile

QUESTION = "Which heads are worth a closer look?"

_WIDTH = 13.4
_MARGIN = 0.3
_GAP = 0.22
_ABOVE = 0.54
_SMALL = theme.SMALL - 0.6
_BAR_ROOM = 0.95
_LARGEST = 3.4
_MOST_COLUMNS = 8
_LANDSCAPE = 1.9  # the shape of a sheet that suits a screen best


class GridFigure:
    """The figure for so many heads, built once and drawn anew with each `update`."""

    question: ClassVar[str] = QUESTION

    def __init__(self, n_heads: int) -> None:
        columns, rows = _arrange(n_heads + 1)  # the structure comes first
        across = _WIDTH - 2 * _MARGIN - _BAR_ROOM
        side = min((across + _GAP) / columns - _GAP, _LARGEST)
        height = HEIGHT + rows * (_ABOVE + side) + _GAP + theme.CAPTION_ROOM
        page = theme.Page(_WIDTH, height)
        self.figure = page.figure
        self.header = Header(page)
        places = [
            (
                _MARGIN + (slot % columns) * (side + _GAP),
                HEIGHT + (slot // columns) * (_ABOVE + side) + _ABOVE,
            )
            for slot in range(n_heads + 1)
        ]
        panels = [TilePanel(page.axes(x, y, side, side)) for x, y in places]
        self.structure, self.tiles = panels[0], panels[1:]
        end = _MARGIN + min(columns, n_heads + 1) * (side + _GAP)
        self.bar = ColourBar(page.axes(end, HEIGHT + _ABOVE, BAR_WIDTH, side))

    def update(
        self, subject: Sheet, /, view: View, verdict: str = "", severity: Severity = None
    ) -> None:
        """Draw `subject` as `view` wants it; nothing stays of what was drawn before."""
        window = Window.of(subject.structure, view)
        self.header.say(*_words(subject, window), verdict, severity)
        shades = _shades(subject, view)
        self.structure.draw_structure(subject, window)
        for panel, tile in zip(self.tiles, subject.tiles, strict=True):
            panel.draw_head(tile, shades, window)
        self.bar.update(shades, 1 / max(subject.structure.n_residues, 1))


class TilePanel:
    """A small square map with two lines above it and no ticks."""

    def __init__(self, axes: Axes) -> None:
        self.axes = axes
        self.inches = axes.bbox.width / theme.DPI
        theme.blank(axes)
        self.image = axes.imshow(np.zeros((1, 1)), aspect="auto", interpolation_stage="data")
        (self.breaks,) = axes.plot([], [], color=theme.INK, linewidth=0.6, alpha=0.75)
        self.title = self._line(0.24, theme.BODY, "bold")
        self.below = self._line(0.07, _SMALL, "normal")
        self.sentence = axes.text(
            0.5, 0.5, "", transform=axes.transAxes, ha="center", va="center",
            size=theme.SMALL, color=theme.FAINT, wrap=False,
        )  # fmt: skip

    def _line(self, inches: float, size: float, weight: str) -> Text:
        return self.axes.annotate(
            "", (0, 1), (0, 72 * inches), xycoords="axes fraction", textcoords="offset points",
            ha="left", va="baseline", size=size, weight=weight, parse_math=False,
        )  # fmt: skip

    def draw_head(self, tile: Tile, shades: Shades, window: Window) -> None:
        """Draw one head's attention, its verdict above."""
        glyph, ink = theme.VERDICTS[_severity(tile)]
        self._say(f"{glyph} head {tile.head}".strip(), _summary(tile, self.inches), ink)
        missing = "Attention not recorded." if tile.cells is None else ""
        self._draw(tile.cells, shades, window, missing)

    def draw_structure(self, sheet: Sheet, window: Window) -> None:
        """Draw how near residues are in space, the same for all heads."""
        self._say("Cα distance", f"0 (strong) to {CLOSE:g} Å", theme.INK)
        self._draw(sheet.closeness, Shades("Blues_r", -CLOSE, 0.0), window, "")

    def _say(self, title: str, below: str, ink: str) -> None:
        self.title.set_text(text.fit(title, self.inches, theme.BODY, bold=True))
        self.title.set_color(ink)
        self.below.set_text(text.fit(below, self.inches, _SMALL))
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
        self.axes.set_xlim(-0.5, edge)
        self.axes.set_ylim(edge, -0.5)


def _arrange(n: int) -> tuple[int, int]:
    """Columns and rows for `n` maps: few empty places, and a sheet wider than it is high."""

    def badness(columns: int) -> float:
        rows = math.ceil(n / columns)
        empty = 1 - n / (columns * rows)
        return empty + 0.4 * abs(math.log(columns / rows / _LANDSCAPE))

    columns = min(range(1, min(n, _MOST_COLUMNS) + 1), key=badness)
    return columns, math.ceil(n / columns)


def _shades(sheet: Sheet, view: View) -> Shades:
    """One scale for all heads, so that they can be compared."""
    n = sheet.structure.n_residues
    log = view.scale == "log"
    high = min(max(sheet.top, 10.0 / max(n, 1)), 1.0)
    low = colour.ATTENTION_FLOOR if log else 0.0
    return Shades("Reds", low, high, log=log, total=sum(t.cells is not None for t in sheet.tiles))


def _severity(tile: Tile) -> Severity:
    return cast(Severity, tile.severity)


def _summary(tile: Tile, room: float) -> str:
    """What there is to say of a head, as long as `room` inches allow."""
    if tile.severity not in (None, "healthy"):
        return tile.verdict
    moves = "" if tile.effect is None else _percent(tile.effect)
    kind = tile.head_type or ""
    long = f"{kind} · geometry moves {moves}" if kind and moves else kind or moves
    return long if text.width(long, _SMALL) <= room else f"{kind} {moves}"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share >= 0.001 else "< 0.1 %"


def _words(sheet: Sheet, window: Window) -> tuple[str, str, str]:
    """Head line, details and caption."""
    structure, n = sheet.structure, len(sheet.tiles)
    item = structure.name or f"item {sheet.id.batch}"
    heads = f"{n} head{'' if n == 1 else 's'}"
    found = Counter(tile.head_type for tile in sheet.tiles)
    types = ", ".join(f"{found[kind]} {kind}" for kind in HEAD_TYPES if found[kind])
    size = structure.n_residues
    details = [
        f"step {sheet.id.step:,}",
        "" if sheet.id.phase == DEFAULT_PHASE else f"phase {sheet.id.phase}",
        f"{size} residue{'' if size == 1 else 's'}",
        "" if window.whole or not window.size else f"{window.size} of them shown",
        types,
    ]
    caption = (
        f"{QUESTION} Attention of all heads on one scale, queries from top to bottom; the line on "
        "it is 1/N. Per cent: the share of its attention that geometry moves."
    )
    bad = sum(tile.nonfinite for tile in sheet.tiles)
    if bad:
        caption += f" Yellow: {bad:,} values are not finite."
    return f"Layer {sheet.id.layer} · {heads} · {item}", " · ".join(filter(None, details)), caption
