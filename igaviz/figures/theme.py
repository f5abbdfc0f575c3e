"""Type, colour and spacing of every figure, in one place; nothing is ever set globally.

Lengths on the page are inches, sizes of type points. Every figure is laid out by hand: axes are
placed once, in inches, so that no layout engine has to draw it twice.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, Literal

import matplotlib
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import AbstractPathEffect, withStroke
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from igaviz.figures import text
from igaviz.figures.canvas import Canvas
from igaviz.figures.notebook import NotebookFigure
from igaviz.signs import SIGNS

DPI = 150

HEADLINE = 15.0
VERDICT = 13.2
TITLE = 11.5
BODY = 10.2
SMALL = 9.3

LABEL_BELOW = 0.29
LABEL_BESIDE = 0.5
"""Inches from the axes to the label of the horizontal and of the vertical one."""

_TICK, _TICK_PAD = 3.2, 3.0  # points of a tick, and from it to its label
_CLEAR = 0.01  # inches between tick labels and the name of their axis, at least

TITLE_ROOM = 0.33
AXIS_ROOM = 0.56
CAPTION_ROOM = 0.34
"""Inches above a panel for its title, below it for ticks and label, below all for the caption."""

StyleName = Literal["light", "dark"]
"""For paper and screens; for slides."""

NON_FINITE = "#ffc400"
"""What is no number, in every style: no colour map has this yellow."""


@dataclass(frozen=True)
class Palette:
    """The colours of one style; `theme.NAME` is that of the style in force.

    `INK`, `FAINT` and `RULE` stand on `PAPER`. `FIELD` lies under a cloud of pairs: not the colour
    of a bias of zero. `POINTS` are pairs without a bias. `VERDICTS` are glyph and colour by
    severity; the glyph alone says it where there is no colour. `MAPS` are the colour maps by the
    names that `colour` gives them: away from the paper's side is away from zero.
    """

    INK: str
    FAINT: str
    RULE: str
    PAPER: str
    FIELD: str
    POINTS: str
    ATTENTION: str
    BIAS: str
    CONTENT: str
    QUERY: str
    LOCAL: str
    DISTANT: str
    VERDICTS: Mapping[str | None, tuple[str, str]]
    MAPS: Mapping[str, Colormap]

    @property
    def HALO(self) -> list[AbstractPathEffect]:  # noqa: N802 (a name like the others)
        """What lifts words off the data under them."""
        return [withStroke(linewidth=3.0, foreground=self.PAPER)]


def _blend(name: str, *shades: str) -> Colormap:
    return LinearSegmentedColormap.from_list(name, shades).with_extremes(bad=NON_FINITE)


_ZERO = "#20262e"  # the dark style's zero: a little lighter than its paper
_COLD = ("#d6eeff", "#6db6f2", "#2a74c0", "#1d3f68", _ZERO)
_WARM = (_ZERO, "#6a2326", "#c23b31", "#f5804f", "#ffdfb8")

_PALETTES: Mapping[StyleName, Palette] = {
    "light": Palette(
        INK="#1b1f24",
        FAINT="#626b78",
        RULE="#dfe3e8",
        PAPER="#ffffff",
        FIELD="#d3d9e0",
        POINTS="#6f7c8a",
        ATTENTION="#00805a",
        BIAS="#1f5fae",
        CONTENT="#7d7d7d",
        QUERY="#c92a0a",
        LOCAL="#e69f00",
        DISTANT="#4f6d8f",
        VERDICTS={
            "healthy": (SIGNS["healthy"].mark, "#00704e"),
            "note": (SIGNS["note"].mark, "#2b62a8"),
            "warning": (SIGNS["warning"].mark, "#a85400"),
            "error": (SIGNS["error"].mark, "#b0122b"),
            None: ("", "#1b1f24"),
        },
        MAPS={
            name: colormaps[name].with_extremes(bad=NON_FINITE)
            for name in ("Reds", "Blues_r", "RdBu_r")
        },
    ),
    "dark": Palette(
        INK="#eef1f5",
        FAINT="#a3adba",
        RULE="#313943",
        PAPER="#12161b",
        FIELD="#3b4452",
        POINTS="#b3becb",
        ATTENTION="#45dba6",
        BIAS="#6fb1ff",
        CONTENT="#a2a2a2",
        QUERY="#ff5050",
        LOCAL="#ffcc5c",
        DISTANT="#8fb2dc",
        VERDICTS={
            "healthy": (SIGNS["healthy"].mark, "#4fd6a4"),
            "note": (SIGNS["note"].mark, "#82b8ff"),
            "warning": (SIGNS["warning"].mark, "#ffb454"),
            "error": (SIGNS["error"].mark, "#ff7b7b"),
            None: ("", "#eef1f5"),
        },
        MAPS={
            "Reds": _blend("warm", *_WARM),
            "Blues_r": _blend("cold", *_COLD),
            "RdBu_r": _blend("cold to warm", *_COLD, *_WARM[1:]),
        },
    ),
}

_RC: dict[Any, Any] = {
    **{
        name: value
        for name, value in matplotlib.rcParamsDefault.items()
        if not name.startswith(("backend", "toolbar", "webagg", "interactive", "datapath"))
    },
    "font.family": text.FONT,
    "font.size": BODY,
    "text.parse_math": False,
    "text.hinting": "none",  # a seventh of the time of a figure, and truer shapes at 150 dpi
    "axes.linewidth": 0.8,
    "legend.fontsize": SMALL,
    "svg.fonttype": "none",
    "svg.hashsalt": "igaviz",
    "pdf.fonttype": 42,
}


_NAMES = frozenset({*(field.name for field in fields(Palette)), "HALO"})


class _InForce:
    """The style that is in force, for the one thread that holds `lock`."""

    lock = threading.RLock()
    palette = _PALETTES["light"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 (whatever the palette has)
    """The colour `name` of the style in force: light where none is."""
    if name in _NAMES:
        return getattr(_InForce.palette, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@contextmanager
def style(name: StyleName = "light") -> Iterator[None]:
    """A context in which matplotlib's settings are igaviz's, whatever the user's are.

    Figures get the colours of the style `name`. The settings are global to a process, so only one
    thread at a time is let in; afterwards they are what they were.
    """
    with _InForce.lock:
        before, palette = _InForce.palette, _PALETTES[name]
        coloured: dict[Any, Any] = {
            "text.color": palette.INK,
            "axes.labelcolor": palette.INK,
            "axes.edgecolor": palette.FAINT,
            "axes.facecolor": palette.PAPER,
        }
        _InForce.palette = palette
        try:
            with matplotlib.rc_context(_RC | coloured):
                yield
        finally:
            _InForce.palette = before


class Page:
    """A new figure of `width` × `height` inches on which axes are placed in inches."""

    def __init__(self, width: float, height: float) -> None:
        self.width = width
        self.height = height
        self.figure: Figure = NotebookFigure(
            figsize=(width, height), dpi=DPI, facecolor=_InForce.palette.PAPER
        )
        Canvas(self.figure)

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
            labelfontfamily=text.FONT,
            color=_InForce.palette.FAINT,
            labelcolor=_InForce.palette.INK,
            length=_TICK,
            width=0.8,
            pad=_TICK_PAD,
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


def beside(labels: Sequence[str], least: float = LABEL_BESIDE) -> float:
    """Inches from vertical axes to their name: `least`, or more where tick `labels` are longer."""
    widest = max((text.width(label, SMALL) for label in labels), default=0.0)
    return max(least, (_TICK + _TICK_PAD) / 72 + widest + _CLEAR)


def put_name(axes: Axes, inches: float) -> None:
    """Put the name of the vertical axis so many `inches` from `axes`, on the side of its own."""
    away = inches * axes.figure.dpi / axes.bbox.width
    right = str(axes.yaxis.get_label_position()) == "right"  # matplotlib's own types forget it
    axes.yaxis.set_label_coords(1 + away if right else -away, 0.5)


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
        size=SMALL - 1, color=_InForce.palette.INK, zorder=6, path_effects=_InForce.palette.HALO,
    )  # fmt: skip


def plain(axes: Axes) -> None:
    """Take the upper and right spines off and lay a faint horizontal grid under the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=_InForce.palette.RULE, linewidth=0.8)
