"""The trajectory: how the heads of each layer went over the steps, and when it was sick."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from igaviz.dump.data import Floats
from igaviz.figures import colour, text, theme
from igaviz.figures.header import HEIGHT, Header, Severity
from igaviz.figures.panels import Panel
from igaviz.figures.ticks import scaled_ticks, value_ticks
from igaviz.figures.view import View
from igaviz.metrics.history import SICK, History, Track
from igaviz.metrics.profiles import Array
from igaviz.metrics.resolution import scale_ends, without_noise
from igaviz.metrics.table import Metric

QUESTION = "When does geometry come into use, and when does a layer fall ill?"

_ITEMS = {
    True: "ITEMS DIFFER from step to step: a change may be theirs",
    None: "ITEMS MAY DIFFER from step to step (no names tell): a change may be theirs",
    False: "",
}
"""What is said of the items, by whether they differ."""

_WIDTH = 13.4
_LEFT = 1.78
_RIGHT = 0.55
_GAP = 0.62
_BELOW = 0.2
_TALL, _LOW = 1.25, 0.62
_TOGETHER = 7.2  # inches of rows, as long as they are no lower than _LOW
_COLUMNS = 4
_SINGLE = (2.0, 0.36)  # height and room below, of panels of one metric
_TICKS = 4  # of a vertical axis, about
_FEW = 40  # up to so many steps without maps are marked as well


class TrajectoryFigure:
    """The figure for so many layers and metrics, built once and drawn anew with each `update`.

    Several metrics stand side by side, a row for each layer; one metric has a panel for each.
    """

    question: ClassVar[str] = QUESTION

    def __init__(self, n_layers: int, n_metrics: int) -> None:
        self.single = n_metrics == 1
        columns = min(_COLUMNS, max(n_layers, 1)) if self.single else n_metrics
        rows = max(math.ceil(n_layers / columns) if self.single else n_layers, 1)
        tall, below = _SINGLE if self.single else (_row_height(rows), _BELOW)
        left = 0.92 if self.single else _LEFT
        across = (_WIDTH - left - _RIGHT + _GAP) / max(columns, 2)
        pitch = theme.TITLE_ROOM + tall + below if self.single else tall + below
        top = HEIGHT + theme.TITLE_ROOM
        page = theme.Page(_WIDTH, top + rows * pitch - below + 0.4 + theme.CAPTION_ROOM)
        self.figure = page.figure
        self.header = Header(page)
        self.panels: list[list[TrackPanel]] = [
            [
                TrackPanel(
                    page.axes(
                        left + (layer % columns if self.single else k) * across,
                        top + (layer // columns if self.single else layer) * pitch,
                        across - _GAP,
                        tall,
                    )
                )
                for k in range(n_metrics)
            ]
            for layer in range(n_layers)
        ]
        self.rows = rows
        self.columns = columns
        self.nothing = page.figure.text(0.5, 0.4, "", ha="center", size=theme.BODY)
        self.names = [
            page.figure.text(
                page.x(0.26), page.y(top + layer * pitch + tall / 2), "", va="center",
                size=theme.TITLE, weight="bold", parse_math=False,
            )
            for layer in range(0 if self.single else n_layers)
        ]  # fmt: skip

    def update(
        self, subject: History, /, view: View, verdict: str = "", severity: Severity = None
    ) -> None:
        """Draw `subject`; nothing stays of what was drawn before."""
        line = "Line: median over heads; band: lowest to highest"
        line = line if _spread(subject) else f"Line: {_the_head(subject)}"
        caption = (
            f"{QUESTION} {line}; large dots: from maps. "
            "Shaded: the checks warn (amber) or find an error (red)."
        )
        self.header.say(*words(subject), caption, verdict, severity)
        self.nothing.set_text("" if subject.tracks else "No step is recorded.")
        scales = [_Scale.of(subject, metric.name) for metric in subject.metrics]
        n = len(subject.tracks)
        for layer, (track, panels) in enumerate(zip(subject.tracks, self.panels, strict=True)):
            glyph, ink = theme.VERDICTS[track.severities[-1]]
            for k, panel in enumerate(panels):
                metric = subject.metrics[k]
                if self.single:
                    title = f"{glyph} layer {track.layer}"
                    last_row = layer + self.columns >= n
                else:
                    title = metric_title(metric) if layer == 0 else ""
                    last_row = layer == n - 1
                panel.update(title, track, metric, scales[k], subject.extent)
                panel.title.set_color(ink if self.single else theme.INK)
                panel.axes.tick_params(labelbottom=last_row)
            if not self.single:
                self.names[layer].set_text(f"{glyph} layer {track.layer}")
                self.names[layer].set_color(ink)


class TrackPanel(Panel):
    """One metric of one layer: the median of its heads, their range, and the sick spans."""

    def __init__(self, axes: Axes) -> None:
        super().__init__(axes)
        theme.plain(axes)
        across = axes.get_xaxis_transform()
        shape: dict[str, Any] = {"linewidth": 0, "transform": across, "zorder": 0.6}
        self.spans = {
            severity: PolyCollection([], facecolor=theme.VERDICTS[severity][1], alpha=0.14, **shape)
            for severity in SICK
        }
        self.band = PolyCollection([], alpha=0.28, linewidth=0, zorder=1.5)
        for shapes in (*self.spans.values(), self.band):
            axes.add_collection(shapes, autolim=False)
        self.median = self.line(linewidth=1.5, zorder=3)
        self.numbers = self.line(linestyle="none", marker="o", markersize=1.8, zorder=3)
        self.maps = self.line(linestyle="none", marker="o", markersize=5, zorder=4)
        self.power = axes.annotate(
            "", (0, 1), (-4, 6), xycoords="axes fraction", textcoords="offset points",
            ha="right", va="baseline", size=theme.SMALL, color=theme.FAINT,
        )  # fmt: skip

    def update(
        self,
        title: str,
        track: Track,
        metric: Metric,
        scale: _Scale,
        extent: tuple[int, int],
    ) -> None:
        """Draw one metric of `track`."""
        ink = _ink(metric.name)
        for line in (self.median, self.numbers, self.maps):
            line.set_color(ink)
            line.set_data([], [])
        self.maps.set_markeredgecolor(theme.PAPER)
        self.band.set_facecolor(ink)
        self.band.set_verts([])
        for severity, shapes in self.spans.items():
            shapes.set_verts(
                [
                    np.array([(s.first, 0), (s.last, 0), (s.last, 1), (s.first, 1)])
                    for s in track.spans
                    if s.severity == severity
                ]
            )
        median = scale.clip(track.median[metric.name])
        known = np.isfinite(median)
        drawn = self.say(title, "", "" if known.any() else "No value.")
        self.power.set_text(f"×{scale.power}" if drawn and title and scale.power else "")
        if not drawn:
            return
        steps = track.steps[known]
        self.median.set_data(steps, median[known])
        few = len(steps) <= _FEW
        self.numbers.set_data(steps if few else [], median[known] if few else [])
        from_maps = known & track.from_maps
        self.maps.set_data(track.steps[from_maps], median[from_maps])
        low, high = (scale.clip(part[metric.name])[known] for part in (track.low, track.high))
        self.band.set_verts([_ribbon(steps.astype(np.float64), low, high)])
        first, last = extent
        reach = max(0.02 * (last - first), 0.5)
        self.axes.set_xlim(first - reach, last + reach)
        theme.set_ticks(self.axes.xaxis, *value_ticks(first, last, most=4))
        scale.set_y(self.axes)


class _Scale:
    """The vertical axis of one metric, the same for all layers.

    Its labels are in units of `power`, of ten, where that isn't empty.
    """

    def __init__(self, low: float, high: float, log: bool) -> None:
        self.low, self.high, self.log = low, high, log
        if log:
            self.ticks, self.labels = value_ticks(low, high, log=True, most=_TICKS)
            self.power = ""
        else:
            self.ticks, self.labels, self.power = scaled_ticks(low, high, most=_TICKS)

    @classmethod
    def of(cls, history: History, name: str) -> _Scale:
        """From the smallest to the largest head, but for outliers."""
        ends = [part[name] for track in history.tracks for part in (track.low, track.high)]
        low, high = colour.robust_limits(np.concatenate([*ends, np.empty(0)]), slack=1.0)
        if without_noise(name, low) > 0 and high / low > colour.LOG_FROM:
            return cls(low, high, log=True)
        return cls(*scale_ends(name, low, high), log=False)

    def clip(self, values: Array) -> Floats:
        """`values`, those beyond an end moved to it."""
        return np.clip(values, self.low, self.high)

    def set_y(self, axes: Axes) -> None:
        """Make this the vertical axis of `axes`."""
        axes.set_yscale("log" if self.log else "linear")
        if self.log:
            axes.set_ylim(self.low / 1.3, self.high * 1.3)
        else:
            margin = 0.06 * (self.high - self.low)
            axes.set_ylim(self.low - margin, self.high + margin)
        theme.set_ticks(axes.yaxis, self.ticks, self.labels)


def _row_height(rows: int) -> float:
    return min(max(_TOGETHER / rows - _BELOW, _LOW), _TALL)


def _ink(metric: str) -> str:
    """Geometry is blue everywhere, content grey, attention green; red is left to verdicts."""
    inks: dict[str, str] = {
        "gamma": theme.BIAS,
        "geometry_effect": theme.BIAS,
        "content_effect": theme.CONTENT,
    }
    ink: str = inks.get(metric, theme.ATTENTION)
    return ink


def metric_title(metric: Metric) -> str:
    """The metric's title and unit."""
    return f"{metric.title} ({metric.unit})" if metric.unit else metric.title


def _ribbon(steps: Floats, low: Floats, high: Floats) -> Array:
    """The band between `low` and `high`, as a polygon; one step has a width as well."""
    if len(steps) == 1:
        steps = np.array([steps[0] - 0.2, steps[0] + 0.2])
        low, high = np.repeat(low, 2), np.repeat(high, 2)
    there = np.column_stack([steps, low])
    back = np.column_stack([steps, high])[::-1]
    return np.concatenate([there, back])


def words(history: History) -> tuple[str, str]:
    """Head line and details."""
    n = len(history.tracks)
    what = ", ".join(metric.title for metric in history.metrics[:1]) if _one(history) else ""
    head = " · ".join(
        filter(None, [history.run, f"{n} layer{'' if n == 1 else 's'} over the steps", what])
    )
    first, last = history.extent
    with_maps = {s for t in history.tracks for s in t.steps[t.from_maps].tolist()}
    thinned = history.recorded - history.drawn
    items = text.some(history.items, theme.BODY)
    details = [
        f"phase {history.phase}",
        f"step {first:,}" if first == last else f"steps {first:,} to {last:,}",
        _ITEMS[history.items_differ],
        f"{history.recorded:,} recorded, {len(with_maps):,} of them as maps",
        f"{thinned:,} left out evenly" if thinned > 0 else "",
        items,
    ]
    return head, " · ".join(filter(None, details))


def _spread(history: History) -> bool:
    """Whether a layer has more than one number at a step: one head has no band."""
    return any(
        not np.array_equal(track.low[name], track.high[name], equal_nan=True)
        for track in history.tracks
        for name in track.low
    )


def _the_head(history: History) -> str:
    return f"head {history.heads[0]}" if len(history.heads) == 1 else "the head"


def _one(history: History) -> bool:
    return len(history.metrics) == 1
