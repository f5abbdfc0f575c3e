"""A new figure of each further type, for a notebook or a script."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from matplotlib.figure import Figure

from igaviz.dump.data import AttentionMap
from igaviz.errors import UsageError
from igaviz.figures.header import Severity
from igaviz.figures.painter import Painter
from igaviz.figures.view import View
from igaviz.metrics.data import Measurement
from igaviz.metrics.heads import TYPE, HeadTable, metric_names
from igaviz.metrics.history import History
from igaviz.metrics.pairs import Pairs
from igaviz.metrics.sheet import Sheet

_VIEW = View()


def effect(
    map: AttentionMap,
    *,
    pairs: Pairs | None = None,
    view: View = _VIEW,
    verdict: str = "",
    severity: Severity = None,
) -> Figure:
    """A new figure of what geometry and content move; arguments and errors as of `overview`."""
    return Painter().paint("effect", map, pairs, view, verdict, severity)


def terms(
    map: AttentionMap,
    *,
    pairs: Pairs | None = None,
    view: View = _VIEW,
    verdict: str = "",
    severity: Severity = None,
) -> Figure:
    """A new figure of each term's share of the logits' variance; arguments as of `overview`."""
    return Painter().paint("terms", map, pairs, view, verdict, severity)


def separation(
    map: AttentionMap,
    *,
    pairs: Pairs | None = None,
    view: View = _VIEW,
    verdict: str = "",
    severity: Severity = None,
) -> Figure:
    """A new figure of attention by distance in sequence; arguments as of `overview`."""
    return Painter().paint("separation", map, pairs, view, verdict, severity)


def contacts(
    map: AttentionMap,
    *,
    pairs: Pairs | None = None,
    view: View = _VIEW,
    verdict: str = "",
    severity: Severity = None,
) -> Figure:
    """A new figure of corrected attention against contacts; arguments as of `overview`."""
    return Painter().paint("contacts", map, pairs, view, verdict, severity)


def grid(
    maps: Iterable[AttentionMap],
    *,
    view: View = _VIEW,
    verdicts: Mapping[int, tuple[str, Severity]] | None = None,
    verdict: str = "",
    severity: Severity = None,
) -> Figure:
    """A new figure of all `maps`, the heads of one attention call, as `read_maps` gives them.

    They are read and measured one at a time. `verdicts` holds words and severity by head. Raises
    `UsageError` where there is no map, or where they are of different calls.
    """
    try:
        sheet = Sheet.of(maps, view.residues, radius=view.radius)
    except ValueError as error:
        raise UsageError(f"no sheet of these maps: {error}") from error
    judged = [tile.judged(*(verdicts or {}).get(tile.head, ("", None))) for tile in sheet.tiles]
    return Painter().draw("grid", sheet.with_tiles(judged), view, verdict, severity)


def heads(
    measurements: Sequence[Measurement],
    *,
    metric: str = TYPE,
    view: View = _VIEW,
    verdict: str = "",
    severity: Severity = None,
) -> Figure:
    """A new figure of the heads of one step, by type or by one `metric` of `METRICS`.

    `measurements` are those of `measure`; several items of a head are combined. Raises
    `UsageError` for a metric that there is not, or where `measurements` are of several steps.
    """
    names = tuple(metric_names())
    if metric not in names:
        raise UsageError(f"no metric {metric!r}", hint=f"there are {', '.join(names)}")
    try:
        table = HeadTable.of(measurements, metric)
    except ValueError as error:
        raise UsageError(f"no table of these measurements: {error}") from error
    return Painter().draw("heads", table, view, verdict, severity)


def trajectory(
    history: History, *, view: View = _VIEW, verdict: str = "", severity: Severity = None
) -> Figure:
    """A new figure of a run over its steps; `igaviz.histories` gives what it is drawn from."""
    return Painter().draw("trajectory", history, view, verdict, severity)
