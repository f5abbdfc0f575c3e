"""The terms: how much of what tells keys apart is Q·K, pair bias, geometry."""

from __future__ import annotations

from itertools import chain
from typing import ClassVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.patches import Patch
from matplotlib.text import Text

from igaviz.figures import colour, theme
from igaviz.figures.header import HEIGHT, Header, Severity
from igaviz.figures.panels import Panel
from igaviz.figures.view import NO_RESIDUES, View, Window
from igaviz.metrics.profiles import Array, Profiles
from igaviz.metrics.table import NEAR_RADIUS
from igaviz.metrics.variance import CONTENT, GEOMETRY, PAIR, Shares, VarianceShares
from igaviz.percent import whole_percent

QUESTION = "Which term tells keys apart?"

_TERMS = (CONTENT, PAIR, GEOMETRY)
_LEFT = 0.84
_WIDTH = 7.4
_HEIGHT = 1.95
_SIDE = 1.95
_BESIDE = _LEFT + _WIDTH + 0.75
_LEGEND = 0.34
_ROW = theme.TITLE_ROOM + _HEIGHT + theme.AXIS_ROOM
_REACH = 1.6  # shares are drawn from 1 less this to this
_COLUMNS = (0.0, 0.38, 0.57, 0.98)


class TermsFigure:
    """The figure, built once and drawn anew with each `update`."""

    question: ClassVar[str] = QUESTION

    def __init__(self) -> None:
        top = HEIGHT + _LEGEND
        page = theme.Page(13.4, top + 2 * _ROW + theme.CAPTION_ROOM)
        self.figure = page.figure
        self.header = Header(page, maps=False)
        tops = [top + theme.TITLE_ROOM + row * _ROW for row in range(2)]
        self.shares = [SharesPanel(page.axes(_LEFT, y, _WIDTH, _HEIGHT)) for y in tops]
        self.numbers = [
            NumbersPanel(page.axes(_BESIDE, y, 13.4 - _BESIDE - 0.26, _HEIGHT)) for y in tops
        ]
        inks = _inks()
        self.legend = page.figure.legend(
            handles=[Patch(facecolor=inks[name], label=name) for name in _TERMS],
            loc="center left",
            bbox_to_anchor=(page.x(_LEFT - 0.1), page.y(HEIGHT + 0.12)),
            ncols=3,
            fontsize=theme.SMALL,
            frameon=False,
            handlelength=1.3,
            columnspacing=1.8,
        )

    def update(
        self, subject: Profiles, /, view: View, verdict: str = "", severity: Severity = None
    ) -> None:
        """Draw the map of `subject` as `view` wants it; nothing stays of what was drawn before."""
        window = Window.of(subject.map.structure, view)
        found = VarianceShares.of(subject.map, subject.pairs)
        remark = (
            f"{QUESTION} Its share is cov(term, sum) ÷ var(sum), below 0 where it works against "
            "the sum; a query's add up to 1."
        )
        self.header.update(subject, window, verdict, severity, remark)
        for k, (title, keys) in enumerate(_HALVES):
            part = None if found is None else getattr(found, keys)
            missing = _missing(subject, part)
            names = () if found is None else found.names
            self.shares[k].update(title, names, part, window, missing)
            self.numbers[k].update(names, part, missing)


class SharesPanel(Panel):
    """The shares of each query's row, stacked up from 0, and down where they are below it."""

    def __init__(self, axes: Axes) -> None:
        super().__init__(axes)
        theme.plain(axes)
        axes.set_xlabel("query residue")
        axes.set_ylabel("share of variance")
        inks = _inks()
        self.bars = {
            name: PolyCollection([], facecolor=inks[name], linewidth=0, zorder=2) for name in _TERMS
        }
        for shapes in self.bars.values():
            axes.add_collection(shapes, autolim=False)
        self.zero = self.line(color=theme.INK, linewidth=1.0, zorder=3)
        self.one = self.line(color=theme.INK, linewidth=1.0, linestyle=":", zorder=3)

    def update(
        self,
        title: str,
        names: tuple[str, ...],
        shares: Shares | None,
        window: Window,
        missing: str,
    ) -> None:
        """Draw `shares` over the queries in `window`, those beyond the axis up to its end."""
        for shapes in self.bars.values():
            shapes.set_verts([])
        for line in (self.zero, self.one):
            line.set_data([], [])
        if not self.say(title, "", missing) or shares is None:
            return
        share = shares.share[:, window.positions]
        off = int(np.count_nonzero(~np.isfinite(share[0])))
        self.say(title, f"{off:,} queries without variance" if off else "")
        low, high = np.zeros(share.shape[1]), np.zeros(share.shape[1])
        for name, part in zip(names, share, strict=True):
            base = np.where(part >= 0, high, low)
            self.bars[name].set_verts(_bars(base, base + part))
            high, low = high + np.maximum(part, 0), low + np.minimum(part, 0)
        edge = window.size - 0.5
        self.zero.set_data([-0.5, edge], [0, 0])
        self.one.set_data([-0.5, edge], [1, 1])
        self.axes.set_xlim(-0.5, edge)
        theme.set_ticks(self.axes.xaxis, *window.ticks(8))
        self._fit_y(low, high)

    def _fit_y(self, low: Array, high: Array) -> None:
        bottom = min(colour.robust_limits(low)[0], 0.0)
        top = max(colour.robust_limits(high)[1], 1.0)
        bottom, top = max(bottom, 1 - _REACH), min(top, _REACH)
        self.axes.set_ylim(bottom - 0.03, top + 0.03)
        ticks = [tick for tick in (-0.5, 0.0, 0.5, 1.0, 1.5) if bottom <= tick <= top]
        theme.set_ticks(self.axes.yaxis, ticks, [f"{t:g}".replace("-", "−") for t in ticks])


class NumbersPanel(Panel):
    """The shares in numbers: median and spread over queries, and how the terms go together."""

    def __init__(self, axes: Axes) -> None:
        super().__init__(axes)
        axes.set_axis_off()
        self.rows = [self._row(0.88 - 0.145 * k, theme.BODY) for k in range(4)]
        self.notes = [
            axes.text(
                0.0, 0.24 - 0.125 * k, "", transform=axes.transAxes,
                size=theme.SMALL, color=theme.FAINT,
            )
            for k in range(3)
        ]  # fmt: skip

    def _row(self, y: float, size: float) -> list[Text]:
        return [
            self.axes.text(
                x, y, "", transform=self.axes.transAxes, size=size, ha="right" if x else "left"
            )
            for x in _COLUMNS
        ]

    def update(self, names: tuple[str, ...], shares: Shares | None, missing: str) -> None:
        """Write the numbers of `shares`."""
        for word in (*chain(*self.rows), *self.notes):
            word.set_text("")
        self.title.set_text("")
        if missing or shares is None:
            return
        self.title.set_text("Median over queries")
        for word, said in zip(self.rows[0], ("", "share", "alone", "10–90 %"), strict=True):
            word.set_text(said)
            word.set_color(theme.FAINT)
        inks = _inks()
        alone = np.nanmedian(shares.own, axis=1)
        for k, name in enumerate(names):
            cells = (
                name,
                _percent(shares.medians[k]),
                _percent(alone[k]),
                f"{_percent(shares.low[k])} … {_percent(shares.high[k])}",
            )
            for word, said in zip(self.rows[k + 1], cells, strict=True):
                word.set_text(said)
                word.set_color(theme.INK)
            self.rows[k + 1][0].set_color(inks[name])
            self.rows[k + 1][0].set_fontweight("bold")
        notes = (
            f"covariances together {_percent(shares.covariances or 0.0)}",
            *_together(names, shares.correlation),
        )
        for note, said in zip(self.notes, notes, strict=False):
            note.set_text(said)


_HALVES = (("Over all keys", "every"), (f"Over keys within {NEAR_RADIUS:g} Å", "near"))


def _inks() -> dict[str, str]:
    return {CONTENT: theme.CONTENT, PAIR: theme.LOCAL, GEOMETRY: theme.BIAS}


def _bars(low: Array, high: Array) -> list[Array]:
    places = np.flatnonzero(np.isfinite(high))
    return [
        np.array([(k - 0.5, low[k]), (k + 0.5, low[k]), (k + 0.5, high[k]), (k - 0.5, high[k])])
        for k in places
    ]


def _percent(share: float) -> str:
    return whole_percent(share).replace("-", "−") if np.isfinite(share) else "–"


def _together(names: tuple[str, ...], correlation: Array) -> tuple[str, str]:
    """How each two terms correlate, in two lines."""
    pairs = [(a, b) for a in range(len(names)) for b in range(a + 1, len(names))]
    said = [
        f"{names[a]} × {names[b]} {correlation[a, b]:.2f}".replace("-", "−")
        for a, b in pairs
        if np.isfinite(correlation[a, b])
    ]
    return "correlation " + ", ".join(said[:2]) if said else "", ", ".join(said[2:])


def _missing(subject: Profiles, shares: Shares | None) -> str:
    if subject.map.n_residues == 0:
        return NO_RESIDUES
    if shares is None:
        return "Logits before or geometric bias not recorded."
    return "" if shares.rows else "No query's logits vary over these keys."
