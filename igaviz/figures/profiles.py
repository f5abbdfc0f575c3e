"""The attention profiles: single queries' rows of attention and geometric bias along the chain."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from igaviz.dump.data import AttentionMap
from igaviz.figures import header, query, theme
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
_LEGEND = 0.37


class ProfilesFigure:
    """The figure, built once and drawn anew with each `update`."""

    def __init__(self) -> None:
        row = theme.TITLE_ROOM + query.HEIGHT + theme.AXIS_ROOM
        page = theme.Page(2 * _PITCH + 0.26, header.HEIGHT + _LEGEND + 2 * row + theme.CAPTION_ROOM)
        self.figure = page.figure
        self.header = Header(page, maps=False)
        self.panels = [
            QueryPanel(
                page,
                _LEFT + (slot % 2) * _PITCH,
                header.HEIGHT + _LEGEND + (slot // 2) * row + theme.TITLE_ROOM,
            )
            for slot in range(MAX_QUERIES)
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
        none_left = "No further query was chosen."
        if view.queries is None:
            none_left = f"No further query: the item has {n} residue{'' if n == 1 else 's'}."
        for slot, panel in enumerate(self.panels):
            if slot < len(queries):
                panel.update(profiles.row(queries[slot]), profiles, window)
            else:
                panel.say("", "", none_left if n else NO_RESIDUES)
                panel.clear()


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
        built = ProfilesFigure()
        built.update(profiles_of(map, pairs, view), view, verdict, severity)
    return built.figure
