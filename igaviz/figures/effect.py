"""The effect: what geometry moves of attention, and what content does, query by query."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from matplotlib.collections import PolyCollection

from igaviz.figures import colour, text, theme
from igaviz.figures.colour import Shades
from igaviz.figures.header import HEIGHT, Header, Severity
from igaviz.figures.panels import BAR_GAP, MapPanel, Panel
from igaviz.figures.view import NO_RESIDUES, View, Window
from igaviz.metrics.effects import Effect, Effects
from igaviz.metrics.profiles import Array, Profiles

QUESTION = "What does geometry change, and what does content?"

_LEFT = 0.8
_SIDE = 3.9
_BY_QUERY = 0.95
_BAR_ROOM = 0.92
_PITCH = _SIDE + BAR_GAP + _BY_QUERY + _BAR_ROOM + 0.55

_GEOMETRY = ("What geometry moves", "Logits before")
_CONTENT = ("What content moves", "Geometric bias")


class EffectFigure:
    """The figure, built once and drawn anew with each `update`."""

    question: ClassVar[str] = QUESTION

    def __init__(self) -> None:
        top = HEIGHT + theme.TITLE_ROOM
        page = theme.Page(
            _LEFT + 2 * _PITCH - 0.2, top + _SIDE + theme.AXIS_ROOM + theme.CAPTION_ROOM
        )
        self.figure = page.figure
        self.header = Header(page)
        places = [_LEFT, _LEFT + _PITCH]
        self.geometry, self.content = self.maps = [MapPanel(page, x, top, _SIDE) for x in places]
        beside = [x + _SIDE + _BAR_ROOM for x in places]
        self.by_query = [
            ByQueryPanel(page, x, top, ink)
            for x, ink in zip(beside, (theme.BIAS, theme.CONTENT), strict=True)
        ]
        for panel in self.maps:
            panel.axes.set_xlabel("key residue")
        self.geometry.axes.set_ylabel("query residue")

    def update(
        self, subject: Profiles, /, view: View, verdict: str = "", severity: Severity = None
    ) -> None:
        """Draw the map of `subject` as `view` wants it; nothing stays of what was drawn before."""
        map = subject.map
        window = Window.of(map.structure, view)
        remark = (
            f"{QUESTION} Red: attention gained through the term, blue: lost. To the right: the "
            "share of each query's attention that moves."
        )
        self.header.update(subject, window, verdict, severity, remark)
        content = "Q·K" if map.pair_bias is None else "Q·K + pair"
        effects = Effects.of(map, subject.pairs)
        shades = _shades(effects, view)
        for panel, beside, effect, (title, term), aside in (
            (
                self.geometry,
                self.by_query[0],
                effects.geometry,
                _GEOMETRY,
                f"A − softmax({content})",
            ),
            (self.content, self.by_query[1], effects.content, _CONTENT, "A − softmax(bias)"),
        ):
            missing = _missing(subject, effect, term)
            if panel.say(title, aside, missing) and effect is not None:
                panel.update(window.cut(effect.moved), shades, window)
                beside.update(effect, window)
            else:
                panel.clear()
                beside.clear()


class ByQueryPanel(Panel):
    """The share of attention that moves, as a bar for each query, in the rows of a map."""

    def __init__(self, page: theme.Page, left: float, top: float, ink: str) -> None:
        super().__init__(page.axes(left, top, _BY_QUERY, _SIDE))
        self.axes.spines[["top", "right"]].set_visible(False)
        self.axes.set_xlabel("share moved")
        self.bars = PolyCollection([], facecolor=ink, alpha=0.75, linewidth=0, zorder=2)
        self.axes.add_collection(self.bars, autolim=False)
        self.mean = self.line(color=theme.INK, linewidth=1.3, linestyle=(0, (4, 2)), zorder=3)
        self.mean.set_transform(self.axes.get_xaxis_transform())

    def update(self, effect: Effect, window: Window) -> None:
        """Draw the shares of the queries in `window`, and the mean of all."""
        self.say("", "" if effect.mean is None else _in_words(effect.mean))
        self.bars.set_verts(_bars(effect.by_query[window.positions]))
        self.mean.set_data([], [])
        if effect.mean is not None:
            self.mean.set_data([effect.mean] * 2, [0, 1])
        self.axes.set_xlim(0, 1)
        self.axes.set_ylim(window.size - 0.5, -0.5)
        theme.set_ticks(self.axes.xaxis, [0.0, 0.5, 1.0], ["0", "0.5", "1"])
        theme.set_ticks(self.axes.yaxis, [], [])

    def clear(self) -> None:
        """Draw nothing."""
        self.say("", "", " ")
        self.bars.set_verts([])
        self.mean.set_data([], [])


def _bars(shares: Array) -> list[Array]:
    """Bars from 0 to each of the finite shares, one below the other, as polygons."""
    places = np.flatnonzero(np.isfinite(shares))
    corners = [(0.0, -0.5), (1.0, -0.5), (1.0, 0.5), (0.0, 0.5)]
    return [np.array([(x * shares[k], k + y) for x, y in corners]) for k in places]


def _in_words(mean: float) -> str:
    return "< 0.001" if 0 < mean < 0.001 else f"mean {text.decimal(mean, 2)}"


def _shades(effects: Effects, view: View) -> Shades:
    """One scale for both maps, so that they can be compared."""
    moved = [e.moved.ravel() for e in (effects.geometry, effects.content) if e is not None]
    return colour.differences(np.concatenate([*moved, np.empty(0)]), log=view.scale == "log")


def _missing(subject: Profiles, effect: Effect | None, name: str) -> str:
    if subject.map.attention is None:
        return "Attention not recorded."
    if effect is None:
        return f"{name} not recorded."
    if subject.map.n_residues < 2:
        return NO_RESIDUES if subject.map.n_residues == 0 else "One residue: nothing can move."
    return "" if effect.mean is not None else "No row is finite."
