"""How the layers of a run went: first, last and slope of telling metrics, and when checks fired.

Trends are told where there are enough steps for a slope: of fewer, the table above holds as much.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from igaviz.checks import find_check
from igaviz.checks.wording import raised, ranges
from igaviz.metrics.resolution import alike
from igaviz.report.columns import Column, markdown_header, markdown_rows, print_columns
from igaviz.report.terminal import encodable, print_line, print_paragraph
from igaviz.report.values import SPARKS, short, sparkline
from igaviz.survey.rows.trends import PER_STEPS, Fired, Trend

if TYPE_CHECKING:
    from rich.console import Console


_MANY_LAYERS = 16
_STEEPEST = 6
"""Of more layers than that a table has so many of each metric."""


_ITEMS = {
    True: "The items differ from step to step: slopes may be theirs",
    None: "The items may differ from step to step (no names tell): slopes may be theirs",
}
_PROBE = "Where a probe was recorded, --phase probe has the same at each step."


def print_trends(found: Sequence[Trend], items_differ: bool | None, console: Console) -> None:
    """Print a table of the trends that have a slope; nothing where there are none.

    Of many layers it holds the steepest of each metric, and says so. Where the steps are of other
    items, or that can't be told (`items_differ` None), a line below says that too.
    """
    found = [trend for trend in found if trend.slope is not None]
    n_layers = len({trend.layer for trend in found})
    if n_layers > _MANY_LAYERS:
        found = _steepest(found)
    if found:
        print_line(console)
        print_line(console, (f"{_over(found)}; slope per {PER_STEPS:,} steps", "dim"))
        utf8 = encodable(SPARKS, console)
        course = Column(
            "",
            [sparkline(g[0].values, g[0].metric, utf8=utf8) for g in _alike(found)],
            need=0,
            left=True,
        )
        print_columns([*_trend_columns(found), course], console)
        if n_layers > _MANY_LAYERS:
            text = (
                f"Of {n_layers} layers those {_STEEPEST} whose slopes are the steepest, metric by "
                f"metric; of up to {_MANY_LAYERS}, chosen with --layer, all are told."
            )
            print_paragraph(console, text, style="dim")
        if items_differ is not False:
            print_paragraph(console, f"{_ITEMS[items_differ]}. {_PROBE}", style="yellow")


def print_fired(fired: Sequence[Fired], console: Console) -> None:
    """Print a table of the checks that fired; nothing where there are none."""
    if fired:
        print_line(console)
        print_columns(_fired_columns(fired), console)


def print_markdown_fired(fired: Sequence[Fired]) -> None:
    """Print the same as a table of GitHub's Markdown."""
    if fired:
        columns = _fired_columns(fired)
        print("\n".join([*markdown_header(columns), *markdown_rows(columns)]) + "\n")


def _over(found: Sequence[Trend]) -> str:
    first = min(trend.steps[0] for trend in found)
    last = max(trend.steps[-1] for trend in found)
    return f"Over steps {first:,} to {last:,}, means over heads and items"


def _steepest(found: Sequence[Trend]) -> list[Trend]:
    """Of each metric the trends with the steepest slopes."""
    by_metric: dict[str, list[Trend]] = defaultdict(list)
    for trend in found:
        by_metric[trend.metric].append(trend)
    return [
        trend
        for trends in by_metric.values()
        for trend in sorted(trends, key=lambda trend: -abs(trend.slope or 0.0))[:_STEEPEST]
    ]


def _alike(found: Sequence[Trend]) -> list[list[Trend]]:
    """The trends by metric and layer; layers in which a metric is the same throughout together."""
    ordered = sorted(found, key=lambda trend: (trend.metric, trend.layer))
    groups: list[list[Trend]] = []
    for trend in ordered:
        if groups and _same(groups[-1][0], trend):
            groups[-1].append(trend)
        else:
            groups.append([trend])
    return groups


def _same(one: Trend, other: Trend) -> bool:
    if one.metric != other.metric:
        return False
    values = (*one.values, *other.values)
    return alike(one.metric, min(values), max(values))


def _trend_columns(found: Sequence[Trend]) -> list[Column]:
    groups = _alike(found)
    names = [group[0].metric for group in groups]
    shown = [name if i == 0 or names[i - 1] != name else "" for i, name in enumerate(names)]
    return [
        Column("metric", shown, left=True),
        Column("layer", [ranges(trend.layer for trend in group) for group in groups]),
        Column("first", [short(group[0].values[0]) for group in groups]),
        Column("last", [short(group[0].values[-1]) for group in groups]),
        Column("slope", [_signed(group[0].slope or 0.0) for group in groups]),
    ]


def _signed(slope: float) -> str:
    """Three digits and a sign, without an exponent where a change is worth reading."""
    if slope == 0:
        return "0"
    size = abs(slope)
    decimals = max(0, 2 - math.floor(math.log10(size)))
    digits = f"{size:.{decimals}f}" if 1e-5 <= size < 10_000 else raised(f"{size:.1e}")
    return f"{'+' if slope > 0 else '−'}{digits}"


def _fired_columns(fired: Sequence[Fired]) -> list[Column]:
    """A row per check and the steps that show it: layers with the same ones together."""

    def when(found: Fired) -> tuple[str, int, int, int, int]:
        return found.id, found.first_step, found.last_step, found.steps, found.judged

    groups = [
        (key, ranges(found.layer for found in group))
        for key, group in groupby(sorted(fired, key=when), key=when)
    ]
    ids = [key[0] for key, _ in groups]
    shown = [check if i == 0 or ids[i - 1] != check else "" for i, check in enumerate(ids)]
    return [
        Column(
            "check that fired",
            [check and f"{check} {find_check(check).name}" for check in shown],
            left=True,
        ),
        Column("layer", [layers for _, layers in groups]),
        Column("first step", [f"{key[1]:,}" for key, _ in groups]),
        Column("last step", [f"{key[2]:,}" for key, _ in groups]),
        Column("steps", [f"{key[3]:,} of {key[4]:,}" for key, _ in groups]),
    ]
