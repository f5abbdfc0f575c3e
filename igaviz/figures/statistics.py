"""The distance statistics: attention and geometric bias by distance, local against global."""

from __future__ import annotations

from matplotlib.figure import Figure

from igaviz.dump.data import AttentionMap
from igaviz.figures import header, theme
from igaviz.figures.curves import FOR_THE_KEY, AttentionCurvesPanel, BiasCurvesPanel
from igaviz.figures.distance_axis import what_is_farther
from igaviz.figures.distribution import DistributionPanel
from igaviz.figures.header import Header, Severity
from igaviz.figures.view import View, Window, profiles_of
from igaviz.metrics.pairs import Pairs
from igaviz.metrics.profiles import Profiles

_LEFT = 0.8
_WIDTH = 3.58
_HEIGHT = 3.26
_PITCH = 4.52


class StatisticsFigure:
    """The figure, built once and drawn anew with each `update`."""

    def __init__(self) -> None:
        top = header.HEIGHT + theme.TITLE_ROOM + FOR_THE_KEY
        page = theme.Page(3 * _PITCH + 0.09, top + _HEIGHT + theme.AXIS_ROOM + theme.CAPTION_ROOM)
        self.figure = page.figure
        self.header = Header(page, maps=False)
        axes = [page.axes(_LEFT + slot * _PITCH, top, _WIDTH, _HEIGHT) for slot in range(3)]
        self.attention = AttentionCurvesPanel(axes[0])
        self.bias = BiasCurvesPanel(axes[1])
        self.distribution = DistributionPanel(axes[2])

    def update(
        self, profiles: Profiles, view: View, verdict: str = "", severity: Severity = None
    ) -> None:
        """Draw the map of `profiles` as `view` wants it; nothing stays of what was drawn before."""
        window = Window.of(profiles.map.structure, view)
        self.header.update(profiles, window, verdict, severity, what_is_farther(profiles))
        self.attention.update(profiles, view)
        self.bias.update(profiles)
        self.distribution.update(profiles, view)


def statistics(
    map: AttentionMap,
    *,
    pairs: Pairs | None = None,
    view: View = View(),  # noqa: B008 (frozen)
    verdict: str = "",
    severity: Severity = None,
) -> Figure:
    """A new figure of attention and bias by distance; arguments and errors as of `overview`."""
    with theme.style(view.style):
        built = StatisticsFigure()
        built.update(profiles_of(map, pairs, view), view, verdict, severity)
    return built.figure
