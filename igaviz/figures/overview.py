"""The attention overview: the five maps of one head, and attention against distance."""

from __future__ import annotations

from matplotlib.figure import Figure

from igaviz.dump.data import AttentionMap, Floats
from igaviz.figures import colour, theme
from igaviz.figures.distance_axis import what_is_farther
from igaviz.figures.header import HEIGHT, Header, Severity
from igaviz.figures.interaction import InteractionPanel
from igaviz.figures.panels import MapPanel
from igaviz.figures.view import NO_RESIDUES, View, Window, profiles_of
from igaviz.metrics.pairs import Pairs
from igaviz.metrics.profiles import Profiles

_LEFT = 0.73
_SIDE = 2.94
_PITCH = 4.16  # from one map to the next: the colour bar, its labels, the next map's ticks
_ROW = theme.TITLE_ROOM + _SIDE + theme.AXIS_ROOM


class OverviewFigure:
    """The figure, built once and drawn anew with each `update`."""

    def __init__(self) -> None:
        page = theme.Page(_LEFT + 3 * _PITCH - 0.2, HEIGHT + 2 * _ROW + theme.CAPTION_ROOM)
        self.figure = page.figure
        self.header = Header(page)
        corners = [
            (_LEFT + column * _PITCH, HEIGHT + row * _ROW + theme.TITLE_ROOM)
            for row in range(2)
            for column in range(3)
        ]
        self.before, self.bias, self.after, self.attention, self.distance = self.maps = [
            MapPanel(page, *corner, _SIDE, leftmost=slot % 3 == 0)
            for slot, corner in enumerate(corners[:5])
        ]
        self.interaction = InteractionPanel(page, *corners[5], _SIDE)
        for panel in self.maps:
            panel.axes.set_xlabel("key residue")
        self.before.axes.set_ylabel("query residue")
        self.attention.axes.set_ylabel("query residue")

    def update(
        self, profiles: Profiles, view: View, verdict: str = "", severity: Severity = None
    ) -> None:
        """Draw the map of `profiles` as `view` wants it; nothing stays of what was drawn before."""
        map, pairs = profiles.map, profiles.pairs
        window = Window.of(map.structure, view)
        relative = "①–③: each row minus its maximum." if view.relative else ""
        remarks = (relative, what_is_farther(profiles))
        self.header.update(profiles, window, verdict, severity, " ".join(filter(None, remarks)))
        content = "Q·K" if map.pair_bias is None else "Q·K + pair bias"
        _draw_logits(self.before, "① Logits before", content, map.logits_before, window, view)
        subtracted = map.geo_bias_sign == -1
        bias = map.effective_bias if view.relative else map.geo_bias
        aside = _bias_is(map)
        if subtracted:
            aside = "−1 × stored" if view.relative else "sign −1"
        _draw_logits(self.bias, "② Geometric bias", aside, bias, window, view)
        after = f"③ Logits after = ① {'−' if subtracted else '+'} ②"
        _draw_logits(self.after, after, "", map.logits_after, window, view)
        _draw_attention(self.attention, map, window, view)
        _draw_distance(self.distance, pairs, window)
        self.interaction.update(profiles, view)


def overview(
    map: AttentionMap,
    *,
    pairs: Pairs | None = None,
    view: View = View(),  # noqa: B008 (frozen)
    verdict: str = "",
    severity: Severity = None,
) -> Figure:
    """A new figure of the five maps of one head and its attention against distance.

    `pairs` are those of the map's structure, made here where None. `verdict` is what the checks
    say in words; `severity` (`healthy`, `note`, `warning`, `error`, or None) colours it. Raises
    `SelectionError` where `view` names residues that the item doesn't have, `UsageError` where
    `pairs` don't belong to the map or have another radius than `view`.
    """
    with theme.style(view.style):
        built = OverviewFigure()
        built.update(profiles_of(map, pairs, view), view, verdict, severity)
    return built.figure


def _bias_is(map: AttentionMap) -> str:
    """What the bias is made of, as far as what was recorded beside it tells."""
    widths = (map.sigma, map.log_det_min, map.sigma_floor_share)
    if any(width is not None for width in widths):
        return "γ × overlap"
    return "" if map.gamma is None else "γ included"


def _draw_logits(
    panel: MapPanel, title: str, aside: str, values: Floats | None, window: Window, view: View
) -> None:
    sentence = _missing(values, window, title[2:].split(" = ")[0])
    if sentence or values is None:
        panel.say(title, sentence=sentence)
        panel.clear()
        return
    if view.relative:
        values = colour.below_row_maximum(values)
    shades = colour.relative(values) if view.relative else colour.signed(values)
    panel.say(title, f"{aside}, nat" if aside else "nat")
    panel.update(window.cut(values), shades, window)


def _draw_attention(panel: MapPanel, map: AttentionMap, window: Window, view: View) -> None:
    values = map.attention
    title = "④ Attention weights"
    sentence = _missing(values, window, "Attention")
    if sentence or values is None:
        panel.say(title, sentence=sentence)
        panel.clear()
        return
    shades = colour.weights(values, log=view.scale == "log")
    panel.say(title, "line: 1/N" if map.attention_recorded else "softmax of ③")
    panel.update(window.cut(values), shades, window, level=1 / map.n_residues)


def _draw_distance(panel: MapPanel, pairs: Pairs, window: Window) -> None:
    title = "⑤ Cα distance"
    sentence = _missing(pairs.distance, window, "Distance")
    if sentence:
        panel.say(title, sentence=sentence)
        panel.clear()
        return
    shades = colour.lengths(pairs.distance)
    panel.say(title, f"Å, line at {pairs.radius:g} Å")
    distance = window.cut(pairs.distance)
    panel.update(distance, shades, window, around=distance < pairs.radius)


def _missing(values: Floats | None, window: Window, name: str) -> str:
    """The sentence that stands in a panel without a map; empty where there is one."""
    if values is None:
        return f"{name} not recorded."
    return "" if window.size else NO_RESIDUES
