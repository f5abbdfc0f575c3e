"""The grid: all heads of a layer as small attention maps, the sheet to open first."""

from __future__ import annotations

import math
from collections import Counter
from typing import ClassVar

import numpy as np

from igaviz.figures import colour, theme
from igaviz.figures.colour import Shades
from igaviz.figures.header import HEIGHT, Header, Severity
from igaviz.figures.panels import BAR_WIDTH, ColourBar
from igaviz.figures.tile import Ramp, TilePanel, above
from igaviz.figures.view import View, Window
from igaviz.format import DEFAULT_PHASE
from igaviz.metrics.distance import distances
from igaviz.metrics.heads import HEAD_TYPES
from igaviz.metrics.sheet import Sheet

QUESTION = "Which heads are worth a closer look?"

_WIDTH, _HIGH = 13.4, 8.9
_LEFT = 0.73
_GAP = 0.22
_BAR_ROOM = 1.0
_SMALLEST = 1.4  # of a map's side, whatever that makes of the page's height
_MOST_COLUMNS = 8
_LANDSCAPE = 2.1  # the shape of a sheet that suits a screen best


class GridFigure:
    """The figure for so many heads, built once and drawn anew with each `update`."""

    question: ClassVar[str] = QUESTION

    def __init__(self, n_heads: int) -> None:
        n_maps = n_heads + 1  # the structure comes first
        columns, rows = _arrange(n_maps)
        side = _side(columns, rows)
        words = above(side)
        row = words + side + _GAP
        end = _LEFT + columns * (side + _GAP)
        page = theme.Page(
            end + _BAR_ROOM, HEIGHT + rows * row - _GAP + theme.AXIS_ROOM + theme.CAPTION_ROOM
        )
        self.figure = page.figure
        self.header = Header(page)
        panels = [
            TilePanel(
                page,
                _LEFT + (slot % columns) * (side + _GAP),
                HEIGHT + (slot // columns) * row + words,
                side,
                leftmost=slot % columns == 0,
                lowest=slot + columns >= n_maps,
            )
            for slot in range(n_maps)
        ]
        self.structure, self.tiles = panels[0], panels[1:]
        corner = panels[(rows - 1) * columns].axes
        corner.set_xlabel("key residue")
        corner.set_ylabel("query residue")
        self.ramp = Ramp(page, _LEFT, HEIGHT + words, side)
        self.bar = ColourBar(page.axes(end, HEIGHT + words, BAR_WIDTH, side), "attention weight")

    def update(
        self, subject: Sheet, /, view: View, verdict: str = "", severity: Severity = None
    ) -> None:
        """Draw `subject` as `view` wants it; nothing stays of what was drawn before."""
        window = Window.of(subject.structure, view)
        self.header.say(*_words(subject, window), verdict, severity)
        lengths = colour.lengths(distances(subject.structure.ca))
        self.structure.draw_structure(subject, lengths, window, view.radius)
        self.ramp.update(lengths, f"line: {view.radius:g} Å")
        shades = _shades(subject, view)
        for panel, tile in zip(self.tiles, subject.tiles, strict=True):
            panel.draw_head(tile, shades, window)
        self.bar.update(shades, 1 / max(subject.structure.n_residues, 1))


def _arrange(n: int) -> tuple[int, int]:
    """Columns and rows for `n` maps: few empty places, and a sheet wider than it is high."""

    def badness(columns: int) -> float:
        rows = math.ceil(n / columns)
        empty = 1 - n / (columns * rows)
        return empty + 0.4 * abs(math.log(columns / rows / _LANDSCAPE))

    columns = min(range(1, min(n, _MOST_COLUMNS) + 1), key=badness)
    return columns, math.ceil(n / columns)


def _side(columns: int, rows: int) -> float:
    """Inches along a map: as large as a page that fits a screen allows."""
    across = (_WIDTH - _LEFT - _BAR_ROOM) / columns - _GAP
    row = (_HIGH - HEIGHT - theme.AXIS_ROOM - theme.CAPTION_ROOM + _GAP) / rows - _GAP
    return min(across, max(row - above(across), _SMALLEST))


def _shades(sheet: Sheet, view: View) -> Shades:
    """One scale for all heads, so that they can be compared."""
    n = sheet.structure.n_residues
    log = view.scale == "log"
    high = min(max(sheet.top, 10.0 / max(n, 1)), 1.0)
    low = colour.ATTENTION_FLOOR if log else 0.0
    drawn = [tile.cells.ravel() for tile in sheet.tiles if tile.cells is not None]
    cells = np.concatenate(drawn) if drawn else np.empty(0, np.float32)
    return colour.counted(cells, Shades("Reds", low, high, log=log))


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
        f"{QUESTION} All heads are on one scale (line: 1/N). Per cent: the share of a head's "
        "attention that geometry moves."
    )
    bad = sum(tile.nonfinite for tile in sheet.tiles)
    if bad:
        caption += f" Yellow: {bad:,} values are not finite."
    return f"Layer {sheet.id.layer} · {heads} · {item}", " · ".join(filter(None, details)), caption
