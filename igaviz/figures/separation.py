"""Attention by distance in sequence: what position along the chain explains of it."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from igaviz.figures import theme
from igaviz.figures.attention_axis import AttentionAxis
from igaviz.figures.curves import band, gapped
from igaviz.figures.header import HEIGHT, Header, Severity
from igaviz.figures.panels import Key, Panel
from igaviz.figures.ticks import value_ticks
from igaviz.figures.view import NO_RESIDUES, View, Window
from igaviz.metrics.profiles import Array, Curve, Profiles
from igaviz.metrics.separation import Separations
from igaviz.metrics.table import LONG_RANGE, OFFSET_LIMIT

QUESTION = "Does the head look in space, or only along the chain?"

_LEFT = 0.84
_HEIGHT = 3.5
_WIDTHS = (5.7, 5.7)
_PITCH = 6.5
_FEW = 8
_FOR_THE_KEY = 2 * Key.ROW + 0.04


class SeparationFigure:
    """The figure, built once and drawn anew with each `update`."""

    question: ClassVar[str] = QUESTION

    def __init__(self) -> None:
        top = HEIGHT + theme.TITLE_ROOM + _FOR_THE_KEY
        page = theme.Page(2 * _PITCH + 0.35, top + _HEIGHT + theme.AXIS_ROOM + theme.CAPTION_ROOM)
        self.figure = page.figure
        self.header = Header(page, maps=False)
        self.near, self.every = (
            SeparationPanel(page.axes(_LEFT + slot * _PITCH, top, width, _HEIGHT))
            for slot, width in enumerate(_WIDTHS)
        )

    def update(
        self, subject: Profiles, /, view: View, verdict: str = "", severity: Severity = None
    ) -> None:
        """Draw the map of `subject` as `view` wants it; nothing stays of what was drawn before."""
        window = Window.of(subject.map.structure, view)
        remark = (
            f"{QUESTION} Where green leaves grey, geometry is at work; what is high at one "
            "separation and low at the next follows sequence. Pairs of one chain."
        )
        self.header.update(subject, window, verdict, severity, remark)
        found = Separations.of(subject.map, subject.pairs)
        self.near.update(f"Up to {OFFSET_LIMIT} residues apart", found, subject, view, OFFSET_LIMIT)
        self.every.update("All separations", found, subject, view, None)


class SeparationPanel(Panel):
    """Mean, median and spread of attention by separation, and what content alone gives."""

    def __init__(self, axes: Axes) -> None:
        super().__init__(axes, _FOR_THE_KEY)
        theme.plain(axes)
        axes.set_xlabel("separation |i − j| (residues)")
        axes.set_ylabel("attention weight")
        self.neighbours = axes.axvspan(-0.5, LONG_RANGE - 0.5, color=theme.RULE, zorder=0.4)
        shape: dict[str, Any] = {"linewidth": 0, "zorder": 1.5}
        self.content_band = PolyCollection([], facecolor=theme.CONTENT, alpha=0.25, **shape)
        self.band = PolyCollection([], facecolor=theme.ATTENTION, alpha=0.3, **shape)
        for shapes in (self.content_band, self.band):
            axes.add_collection(shapes, autolim=False)
        marks: dict[str, Any] = {"marker": "o", "markersize": 0.0}
        self.content = self.line(
            color=theme.CONTENT, linewidth=4.0, alpha=0.7, zorder=2.0, **marks
        )  # wide, to be seen under a curve that is the same
        self.mean = self.line(color=theme.ATTENTION, linewidth=1.8, zorder=3.0, **marks)
        self.uniform = self.line(color=theme.INK, linestyle=":", linewidth=1.3)
        self.key = Key(
            axes,
            {
                self.mean: "mean attention, 10–90 %",
                self.content: "",
                self.neighbours: f"|i − j| < {LONG_RANGE}: neighbours",
                self.uniform: "uniform, 1/N",
            },
        )
        self.lines = [self.content, self.mean, self.uniform]

    def update(
        self, title: str, found: Separations, subject: Profiles, view: View, most: int | None
    ) -> None:
        """Draw the curves `found`, up to the separation `most` where it is not None."""
        for line in self.lines:
            line.set_data([], [])
        for shapes in (self.content_band, self.band):
            shapes.set_verts([])
        curve, attention = found.attention, subject.map.attention
        drawn = self.say(title, "log scale" * (view.scale == "log"), _missing(subject, curve))
        self.key.set_visible(drawn)
        self.neighbours.set_visible(drawn)
        if not drawn or curve is None or attention is None:
            return
        axis = AttentionAxis.of(attention, view)
        self.key.say(self.content, "no geometry" if found.content else "no logits recorded")
        last = int(curve.bins[-1]) if most is None else min(most, int(curve.bins[-1]))
        for line, shapes, drawn_curve in (
            (self.content, self.content_band, found.content),
            (self.mean, self.band, curve),
        ):
            if drawn_curve is not None:
                shown = _up_to(drawn_curve, last)
                places, values = gapped(shown, axis.clip(shown.mean))
                line.set_data(places - 0.5, values)
                line.set_markersize(4.0 if last <= OFFSET_LIMIT else 0.0)
                shapes.set_verts([p - np.array([0.5, 0.0]) for p in band(shown, axis.clip)])
        edge = max(last, 1) + 0.5
        level = 1 / subject.map.n_residues
        self.uniform.set_data([-0.5, edge], [level, level])
        self.axes.set_xlim(-0.5, edge)
        theme.set_ticks(self.axes.xaxis, *_whole_ticks(last))
        axis.set_y(self.axes)


def _up_to(curve: Curve, last: int) -> Curve:
    kept = curve.bins <= last

    def part(values: Array) -> Array:
        return values[kept]

    return Curve(
        curve.bins[kept],
        curve.count[kept],
        *(part(v) for v in (curve.mean, curve.median, curve.low, curve.high)),
    )


def _whole_ticks(last: int) -> tuple[list[float], list[str]]:
    if last > _FEW:
        return value_ticks(0, last, most=8)
    return [float(k) for k in range(last + 1)], [str(k) for k in range(last + 1)]


def _missing(subject: Profiles, curve: Curve | None) -> str:
    if curve is None:
        return "Attention not recorded."
    if subject.map.n_residues == 0:
        return NO_RESIDUES
    return "" if len(curve.bins) else "No attention within a chain is finite."
