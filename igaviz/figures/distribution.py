"""How attention is distributed over local and over global pairs: a panel of the statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import StepPatch

from igaviz.figures import theme
from igaviz.figures.attention_axis import AttentionAxis
from igaviz.figures.curves import FOR_THE_KEY
from igaviz.figures.panels import Key, Panel, mean_in_words
from igaviz.figures.ticks import value_ticks
from igaviz.figures.view import View, why_no_pairs
from igaviz.metrics.profiles import Distribution, Level, Profiles
from igaviz.percent import percent_of

_BINS = 36
_CONTENT = "no geometry (global: ···)"
_HEADROOM = 1.14  # for the words above the bars


class DistributionPanel(Panel):
    """Histograms of attention over shared bins, each in per cent of its own group."""

    def __init__(self, axes: Axes) -> None:
        super().__init__(axes, FOR_THE_KEY)
        theme.plain(axes)
        axes.set_xlabel("attention weight")
        axes.set_ylabel("pairs of the group per bin (%)")
        self.distant = self._bars(facecolor=theme.DISTANT, alpha=0.28, fill=True)
        self.local = self._bars(facecolor=theme.LOCAL, alpha=0.25, fill=True)
        self.local_far = self._bars(facecolor=theme.LOCAL, alpha=0.6, fill=True)
        self.distant_edge = self._bars(edgecolor=theme.DISTANT, linewidth=1.5)
        self.local_edge = self._bars(edgecolor=theme.LOCAL, linewidth=1.5)
        self.content_local = self._bars(edgecolor=theme.CONTENT, linewidth=1.2)
        self.content_distant = self._bars(edgecolor=theme.CONTENT, linewidth=1.2, linestyle=":")
        upright: dict[str, Any] = {"linewidth": 1.6, "transform": axes.get_xaxis_transform()}
        self.local_mean = self.line(color=theme.LOCAL, linestyle="--", **upright)
        self.global_mean = self.line(color=theme.DISTANT, linestyle="--", **upright)
        self.uniform = self.line(color=theme.INK, linestyle=":", **upright)
        self.bars = [
            self.distant, self.local, self.local_far, self.distant_edge, self.local_edge,
            self.content_local, self.content_distant,
        ]  # fmt: skip
        self.lines = [self.local_mean, self.global_mean, self.uniform]
        labels = {
            self.local: "",
            self.local_far: "of these, long-range",
            self.distant: "",
            self.local_mean: "",
            self.global_mean: "",
            self.content_local: "",
        }
        self.key = Key(axes, labels)
        beyond: dict[str, Any] = {"transform": axes.transAxes, "va": "top", "color": theme.FAINT}
        self.below = axes.text(0.015, 0.985, "", size=theme.SMALL - 0.5, ha="left", **beyond)
        self.above = axes.text(0.985, 0.985, "", size=theme.SMALL - 0.5, ha="right", **beyond)
        self.level = axes.text(
            0, 0, "", transform=axes.get_xaxis_transform(), size=theme.SMALL - 1, ha="left",
            va="top", color=theme.INK,
        )  # fmt: skip

    def _bars(self, **style: object) -> StepPatch:
        return self.axes.stairs([0.0], [0.0, 1.0], **style)  # type: ignore[arg-type]

    def update(self, profiles: Profiles, view: View) -> None:
        """Draw the attention of `profiles`."""
        attention = profiles.map.attention
        for bars in self.bars:
            bars.set_visible(False)
        for line in self.lines:
            line.set_data([], [])
        for words in (self.below, self.above, self.level):
            words.set_text("")
        local, distant = profiles.local_level, profiles.global_level
        n_pairs = None if local is None or distant is None else local.n + distant.n
        sentence = why_no_pairs("Attention", profiles, n_pairs)
        drawn = self.say("Local against global", "", sentence)
        self.key.set_visible(drawn)
        if not drawn or attention is None or local is None or distant is None:
            return
        axis = AttentionAxis.of(attention, view)
        shared = profiles.distribution(axis.edges(_BINS))
        assert shared is not None
        below = (("local", shared.local.below, local), ("global", shared.distant.below, distant))
        above = (("local", shared.local.above, local), ("global", shared.distant.above, distant))
        self.below.set_text(_beyond("← {}", below))
        self.above.set_text(_beyond("{} →", above))
        self.key.say(
            self.content_local,
            "no logits recorded" if shared.content_local is None else _CONTENT,
        )
        highest = self._draw_bars(shared, local, distant)
        self._draw_means(local, distant, axis)
        level = 1 / profiles.map.n_residues
        self.uniform.set_data([level, level], [0, 1 / _HEADROOM])
        self.level.set_text(" 1/N")
        self.level.set_position((level, 1 / _HEADROOM))
        axis.set_x(self.axes)
        top = _HEADROOM * highest
        self.axes.set_ylim(0, top)
        theme.set_ticks(self.axes.yaxis, *value_ticks(0, top))

    def _draw_bars(self, shared: Distribution, local: Level, distant: Level) -> float:
        """Set the bars; gives the height of the highest."""
        heights = [
            (self.local, shared.local, local.n),
            (self.local_edge, shared.local, local.n),
            (self.local_far, shared.local_longrange, local.n),
            (self.distant, shared.distant, distant.n),
            (self.distant_edge, shared.distant, distant.n),
            (self.content_local, shared.content_local, local.n),
            (self.content_distant, shared.content_distant, distant.n),
        ]
        highest = 0.0
        for bars, counted, n in heights:
            bars.set_visible(counted is not None and n > 0)
            if counted is not None and n > 0:
                percent = 100.0 * counted.counts / n
                bars.set_data(percent, shared.edges)
                highest = max(highest, float(percent.max()))
        return highest or 1.0

    def _draw_means(self, local: Level, distant: Level, axis: AttentionAxis) -> None:
        for line, bars, level, name in (
            (self.local_mean, self.local, local, "local"),
            (self.global_mean, self.distant, distant, "global"),
        ):
            if level.mean is not None:
                line.set_data([float(axis.clip(np.array(level.mean)))] * 2, [0, 1 / _HEADROOM])
            self.key.say(bars, f"{name} (n = {level.n:,})")
            self.key.say(line, mean_in_words(name, level))


def _beyond(words: str, groups: Sequence[tuple[str, int, Level]]) -> str:
    """What part of each group lies beyond an end of the axis; empty where nothing does."""
    parts = [f"{name} {percent_of(count, level.n)}" for name, count, level in groups if count]
    return words.format(", ".join(parts)) if parts else ""
