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
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

DPI = 150
FONT = "DejaVu Sans"  # comes with matplotlib: the same picture on every machine

HEADLINE = 17.0
VERDICT = 15.0
TITLE = 13.0
BODY = 11.5
SMALL = 10.5

INK = "#1b1f24"
FAINT = "#626b78"
RULE = "#dfe3e8"
PAPER = "#ffffff"

ATTENTION = "#00805a"
BIAS = "#1f5fae"
CONTENT = "#8c8c8c"
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
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.8,
    "legend.fontsize": SMALL,
    "svg.fonttype": "none",
    "svg.hashsalt": "igaviz",
    "pdf.fonttype": 42,
}

_STYLE_LOCK = threading.RLock()


@contextmanager
def style() -> Iterator[None]:
    """A context in which matplotlib's settings are igaviz's, whatever the user's are.

    The settings are global to a process, so only one thread at a time is let in; afterwards they
    are what they were.
    """
    with _STYLE_LOCK, matplotlib.rc_context(_RC):  # type: ignore[arg-type]
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
            length=3.5,
            width=0.8,
            pad=3,
        )
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


def plain(axes: Axes) -> None:
    """Take the upper and right spines off and lay a faint horizontal grid under the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=RULE, linewidth=0.8)

