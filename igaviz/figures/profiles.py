"""The attention profiles: single queries' rows of attention and geometric bias along the chain."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from igaviz.dump.data import AttentionMap
from igaviz.figures import header, theme
from igaviz.figures.header import Header, Severity
from igaviz.figures.query import FULL, PALE, QueryPanel
from igaviz.figures.view import (
    MAX_QUERIES,
    NO_RESIDUES,
    View,
    Window,
    check_positions,
    default_queries,
    profiles_of,
)
from igaviz.metrics.pairs import Pairs
from igaviz.metrics.profiles import Profiles
from igaviz.metrics.table import LONG_RANGE

_LEFT = 0.84
_PITCH = 6.3
_WIDTH = 4.94
_LEGEND = 0.37
_HEIGHT = 2.2
_AROUND = theme.TITLE_ROOM + theme.AXIS_ROOM
_LOW, _TALL = 1.6, 3.0
"""Inches that a query's axes are high where fewer than four share the page."""


class ProfilesFigure:
    """The figure for so many queries, built once and drawn anew with each `update`.

    Four stand two by two; fewer are as wide as the page, one below the other.
    """

    def __init__(self, n_queries: int = MAX_QUERIES) -> None:
        columns = 2 if n_queries == MAX_QUERIES else 1
        height = _HEIGHT
        if columns == 1:
            height = min(max(2 * (_HEIGHT + _AROUND) / n_queries - _AROUND, _LOW), _TALL)
        width = _WIDTH + (2 - columns) * _PITCH
        row = _AROUND + height
        room = n_queries // columns * row
        page = theme.Page(2 * _PITCH + 0.26, header.HEIGHT + _LEGEND + room + theme.CAPTION_ROOM)
        self.figure = page.figure
        self.header = Header(page, maps=False)
        self.panels = [
            QueryPanel(
                page,
                _LEFT + (slot % columns) * _PITCH,
                header.HEIGHT + _LEGEND + (slot // columns) * row + theme.TITLE_ROOM,
                width,
                height,
            )
            for slot in range(n_queries)
        ]
        self.legend = page.figure.legend(
            handles=self._keys(),
            loc="center left",
            bbox_to_anchor=(page.x(0.18), page.y(header.HEIGHT + 0.12)),
            ncols=6,
            fontsize=theme.SMALL,
            frameon=False,
            handlelength=1.9,
            columnspacing=1.6,
        )

    @staticmethod
    def _keys() -> list[Patch | Line2D]:
        return [
            Patch(facecolor=theme.ATTENTION, alpha=0.55, label="attention"),
            Line2D([], [], color=theme.CONTENT, linewidth=1.2, label="softmax of logits before"),
            Line2D([], [], color=theme.BIAS, linestyle="--", linewidth=1.5, label="geometric bias"),
            Line2D([], [], color=theme.QUERY, linestyle="--", linewidth=1.5, label="the query"),
            Patch(facecolor=theme.LOCAL, alpha=FULL, label="local, long-range"),
            Patch(facecolor=theme.LOCAL, alpha=PALE, label=f"local, |Δ residue| < {LONG_RANGE}"),
        ]

    def update(
        self, profiles: Profiles, view: View, verdict: str = "", severity: Severity = None
    ) -> None:
        """Draw the map of `profiles` as `view` wants it; nothing stays of what was drawn before."""
        n = profiles.map.n_residues
        window = Window.of(profiles.map.structure, view)
        self.header.update(profiles, window, verdict, severity)
        queries = default_queries(n) if view.queries is None else view.queries
        check_positions(queries, n)
        none_left = f"No further query: the item has {n} residue{'' if n == 1 else 's'}."
        for slot, panel in enumerate(self.panels):
            if slot < len(queries):
                panel.update(profiles.row(queries[slot]), profiles, window)
            else:
                panel.say("", "", none_left if n else NO_RESIDUES)
                panel.clear()


def profiles_layout(view: View) -> tuple[int]:
    """For how many queries a figure is built that shows `view`: those chosen, or four."""
    return (MAX_QUERIES if view.queries is None else len(view.queries),)


def profiles(
    map: AttentionMap,
    *,
    pairs: Pairs | None = None,
    view: View = View(),  # noqa: B008 (frozen)
    verdict: str = "",
    severity: Severity = None,
) -> Figure:
    """A new figure of up to four queries' rows; arguments and errors are those of `overview`."""
    with theme.style(view.style):
        built = ProfilesFigure(*profiles_layout(view))
        built.update(profiles_of(map, pairs, view), view, verdict, severity)
    return built.figure
