"""The trajectory of many layers: a map of layers against steps for each metric, and for verdicts.

Lines in a row for each layer make a picture that no screen holds; a row of a map takes little.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.patches import Patch

from igaviz.figures import colour, theme
from igaviz.figures.colour import Shades
from igaviz.figures.header import HEIGHT, Header, Severity
from igaviz.figures.panels import BAR_GAP, BAR_WIDTH, ColourBar, Panel
from igaviz.figures.ticks import value_ticks
from igaviz.figures.trajectory import QUESTION, TrajectoryFigure, metric_title, words
from igaviz.figures.view import View
from igaviz.metrics.history import SICK, History
from igaviz.metrics.profiles import Array

MOST_ROWS = 16
"""Layers that are drawn as lines, a row for each."""

_WIDTH = 13.4
_LEFT = 0.84
_BESIDE = 1.25  # inches from a map to the next, for its colour bar and the next one's ticks
_COLUMNS = 3
_LAYER = 0.07  # inches of a layer's row, …
_LOW, _TALL = 2.8, 6.4  # … as far as the map stays between these
_NUMBER = 0.17  # inches that the number of a layer needs
_FOR_MARKS = 0.06  # inches between a map and its title
_PIXELS = 600  # across a map

_Pixels = npt.NDArray[np.float64]


class TrajectoryMapFigure:
    """The figure for so many layers and metrics, built once and drawn anew with each `update`."""

    question: ClassVar[str] = QUESTION

    def __init__(self, n_layers: int, n_metrics: int) -> None:
        columns = min(_COLUMNS, n_metrics + 1)
        rows = math.ceil((n_metrics + 1) / columns)
        tall = min(max(n_layers * _LAYER, _LOW), _TALL)
        wide = (_WIDTH - _LEFT) / columns - _BESIDE
        pitch = theme.TITLE_ROOM + tall + theme.AXIS_ROOM
        page = theme.Page(_WIDTH, HEIGHT + rows * pitch + theme.CAPTION_ROOM)
        self.figure = page.figure
        self.header = Header(page)
        places = [
            (
                _LEFT + (k % columns) * (wide + _BESIDE),
                HEIGHT + theme.TITLE_ROOM + (k // columns) * pitch,
            )
            for k in range(n_metrics + 1)
        ]
        self.verdicts, *self.panels = [
            StepsPanel(page.axes(left, top, wide, tall), tall) for left, top in places
        ]
        for leftmost in (self.verdicts, *self.panels)[::columns]:
            leftmost.axes.set_ylabel("layer")
        self.bars = [
            ColourBar(page.axes(left + wide + BAR_GAP, top, BAR_WIDTH, tall))
            for left, top in places[1:]
        ]
        inks = _verdict_inks()
        self.verdicts.axes.legend(
            handles=[
                *(Patch(facecolor=inks[name], label=name) for name in reversed(SICK)),
                Patch(facecolor=inks["healthy"], label="not sick"),
                Patch(facecolor="none", edgecolor=theme.FAINT, linewidth=0.5, label="not judged"),
            ],
            loc="upper left", bbox_to_anchor=(1.03, 1.0), borderaxespad=0.0, borderpad=0.0,
            fontsize=theme.SMALL - 0.5, frameon=False, handlelength=1.2, handletextpad=0.5,
        )  # fmt: skip

    def update(
        self, subject: History, /, view: View, verdict: str = "", severity: Severity = None
    ) -> None:
        """Draw `subject`; nothing stays of what was drawn before."""
        caption = (
            f"{QUESTION} Colour: median over heads, at the nearest step that has one or was "
            "judged. ▾: maps. Sick: checks warn or find an error."
        )
        self.header.say(*words(subject), caption, verdict, severity)
        inks = _verdict_inks()
        drawn = [
            [to_rgba(inks.get(s or "", inks["healthy"])) for s in t.severities]
            for t in subject.tracks
        ]
        judged = [np.array([s is not None for s in t.severities]) for t in subject.tracks]
        self.verdicts.update("Verdict", subject, [np.array(rgba) for rgba in drawn], judged)
        for metric, panel, bar in zip(subject.metrics, self.panels, self.bars, strict=True):
            medians = [track.median[metric.name] for track in subject.tracks]
            shades = colour.by_decades(np.concatenate(medians))
            coloured = [_coloured(values, shades) for values in medians]
            known = [np.isfinite(values) for values in medians]
            panel.update(metric_title(metric), subject, coloured, known)
            bar.update(shades)


class StepsPanel(Panel):
    """A row of colours for each layer, over the steps; none where a layer has no number."""

    def __init__(self, axes: Axes, tall: float) -> None:
        super().__init__(axes, _FOR_MARKS)
        self.tall = tall
        axes.set_xlabel("step")
        self.image = axes.imshow(np.zeros((1, 1, 4)), aspect="auto", interpolation="nearest")
        self.maps = self.line(
            linestyle="none", marker="v", markersize=3.0, color=theme.INK, clip_on=False
        )
        self.maps.set_transform(axes.get_xaxis_transform())

    def update(
        self,
        title: str,
        history: History,
        colours: list[_Pixels],
        known: list[npt.NDArray[np.bool_]],
    ) -> None:
        """Draw the `colours` [T, 4] of each layer's steps, where they are `known` [T]."""
        there = any(each.any() for each in known)
        self.image.set_visible(there)
        self.maps.set_data([], [])
        if not self.say(title, "", "" if there else "No value."):
            return
        first, last = history.extent
        reach = max(0.01 * (last - first), 0.5)
        left, right = first - reach, last + reach
        across = left + (np.arange(_PIXELS) + 0.5) * (right - left) / _PIXELS
        rows = np.zeros((len(known), _PIXELS, 4))
        for row, track, rgba, which in zip(rows, history.tracks, colours, known, strict=True):
            if which.any():
                row[:] = rgba[which][_nearest(track.steps[which], across)]
        self.image.set_data(rows)
        self.image.set_extent((left, right, len(rows) - 0.5, -0.5))
        self.axes.set_xlim(left, right)
        self.axes.set_ylim(len(rows) - 0.5, -0.5)
        theme.set_ticks(self.axes.xaxis, *value_ticks(first, last, most=4))
        layers = [track.layer for track in history.tracks]
        places = range(0, len(layers), max(1, math.ceil(_NUMBER * len(layers) / self.tall)))
        theme.set_ticks(
            self.axes.yaxis, [float(k) for k in places], [f"{layers[k]}" for k in places]
        )
        with_maps = sorted({s for t in history.tracks for s in t.steps[t.from_maps].tolist()})
        self.maps.set_data(with_maps, [1.012] * len(with_maps))


def trajectory_figure(n_layers: int, n_metrics: int) -> TrajectoryFigure | TrajectoryMapFigure:
    """The figure for so many layers and metrics: lines, or maps where rows are too many."""
    kind = TrajectoryFigure if n_layers <= MOST_ROWS else TrajectoryMapFigure
    return kind(n_layers, n_metrics)


def _nearest(steps: npt.NDArray[np.int64], across: Array) -> npt.NDArray[np.intp]:
    """Which of `steps`, ascending, is nearest to each place."""
    return np.searchsorted((steps[1:] + steps[:-1]) / 2, across)


def _coloured(values: Array, shades: Shades) -> _Pixels:
    rgba: _Pixels = shades.colormap()(shades.norm()(shades.drawable(values)))
    return rgba


def _verdict_inks() -> dict[str, str]:
    return {"healthy": theme.FIELD, "warning": theme.LOCAL, "error": theme.VERDICTS["error"][1]}
