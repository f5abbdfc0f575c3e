"""Type, colour and spacing of every figure, in one place; nothing is ever set globally.

Lengths on the page are inches, sizes of type points. Every figure is laid out by hand: axes are
placed once, in inches, so that no layout engine has to draw it twice.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import AbstractPathEffect, withStroke
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

DPI = 150
FONT = "DejaVu Sans"  # comes with matplotlib: the same picture on every machine

HEADLINE = 15.0
VERDICT = 13.2
TITLE = 11.5
BODY = 10.2
SMALL = 9.3

LABEL_BELOW = 0.29
LABEL_BESIDE = 0.5
"""Inches from the axes to the label of the horizontal and of the vertical one."""

TITLE_ROOM = 0.33
AXIS_ROOM = 0.56
CAPTION_ROOM = 0.34
"""Inches above a panel for its title, below it for ticks and label, below all for the caption."""

INK = "#1b1f24"
FAINT = "#626b78"
RULE = "#dfe3e8"
PAPER = "#ffffff"

ATTENTION = "#00805a"
BIAS = "#1f5fae"
CONTENT = "#7d7d7d"
QUERY = "#c4161c"
LOCAL = "#e58a00"
DISTANT = "#4f6d8f"
NON_FINITE = "#ffc400"

VERDICTS = {
    "healthy": ("✔", "#00704e"),
    "note": ("◆", "#2b62a8"),
    "warning": ("▲", "#a85400"),
    "error": ("✖", "#b0122b"),
    None: ("", INK),
}
"""Glyph and colour of a verdict by severity: the glyph alone says it where there is no colour."""

_RC = {
    **{
        name: value
        for name, value in matplotlib.rcParamsDefault.items()
        if not name.startswith(("backend", "toolbar", "webagg", "interactive", "datapath"))
    },
    "font.family": FONT,
    "font.size": BODY,
    "text.color": INK,
    "text.parse_math": False,
    "text.hinting": "none",  # a seventh of the time of a figure, and truer shapes at 150 dpi
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.8,
    "legend.fontsize": SMALL,
    "svg.fonttype": "none",
    "svg.hashsalt": "igaviz",
    "pdf.fonttype": 42,
}

HALO: list[AbstractPathEffect] = [withStroke(linewidth=3.0, foreground=PAPER)]
"""What lifts words off the data under them."""

_STYLE_LOCK = threading.RLock()


@contextmanager
def style() -> Iterator[None]:
    """A context in which matplotlib's settings are igaviz's, whatever the user's are.

    The settings are global to a process, so only one thread at a time is let in; afterwards they
    are what they were.
    """
    with _STYLE_LOCK, matplotlib.rc_context(_RC):
        yield


class Page:
    """A new figure of `width` × `height` inches on which axes are placed in inches."""

    def __init__(self, width: float, height: float) -> None:
        self.width = width
        self.height = height
        self.figure = Figure(figsize=(width, height), dpi=DPI, facecolor=PAPER)
        FigureCanvasAgg(self.figure)

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """New axes whose upper left corner is `left`, `top` inches from the page's."""
        bottom = self.height - top - height
        axes = self.figure.add_axes(
            (
                left / self.width,
                bottom / self.height,
                width / self.width,
                height / self.height,
            )
        )
        axes.tick_params(
            which="both",
            labelsize=SMALL,
            labelfontfamily=FONT,
            color=FAINT,
            labelcolor=INK,
            length=3.2,
            width=0.8,
            pad=3,
        )
        # a label without a place of its own is measured against all tick labels at each draw
        axes.xaxis.set_label_coords(0.5, -LABEL_BELOW / height)
        axes.yaxis.set_label_coords(-LABEL_BESIDE / width, 0.5)
        return axes

    def x(self, inches: float) -> float:
        """The figure coordinate of a place `inches` from the left edge."""
        return inches / self.width

    def y(self, inches: float) -> float:
        """The figure coordinate of a place `inches` from the upper edge."""
        return 1.0 - inches / self.height


def set_ticks(axis: Axis, positions: list[float], labels: list[str]) -> None:
    """Put exactly these ticks on `axis`, with labels as plain text and no minor ticks."""
    axis.set_major_locator(FixedLocator(positions))
    axis.set_major_formatter(FixedFormatter(labels))
    axis.set_minor_locator(NullLocator())


def blank(axes: Axes) -> None:
    """Leave `axes` without ticks, at limits that are always the same.

    Even limits that nothing is drawn at show: they give the frame's lines their direction.
    """
    axes.set(xscale="linear", yscale="linear", xlim=(0, 1), ylim=(0, 1))
    set_ticks(axes.xaxis, [], [])
    set_ticks(axes.yaxis, [], [])


def level_label(axes: Axes, *, outside: bool) -> Text:
    """Room for a word on a horizontal level, at or beyond the right end of `axes`.

    Its `x` is a fraction of the axes, its `y` a value.
    """
    where = (1.012, "left", "center") if outside else (0.985, "right", "bottom")
    return axes.text(
        where[0], 0, "", transform=axes.get_yaxis_transform(), ha=where[1], va=where[2],
        size=SMALL - 1, color=INK, zorder=6, path_effects=HALO,
    )  # fmt: skip


def plain(axes: Axes) -> None:
    """Take the upper and right spines off and lay a faint horizontal grid under the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=RULE, linewidth=0.8)
