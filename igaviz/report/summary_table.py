"""`igaviz summary` for people: a table that keeps within the terminal, and Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from igaviz.checks.finding import Severity, Verdict
from igaviz.checks.wording import counted
from igaviz.dump.data import Damage
from igaviz.report.columns import (
    Cell,
    Column,
    markdown_header,
    markdown_rows,
    markdown_text,
    print_columns,
)
from igaviz.report.metric_columns import OF_ROWS, TITLES
from igaviz.report.summary_trends import print_fired, print_markdown_fired, print_trends
from igaviz.report.terminal import print_line, print_paragraph
from igaviz.report.values import short
from igaviz.report.verdict_table import print_legend, sign
from igaviz.survey.rows.row import By, Row
from igaviz.survey.rows.trends import Trends

if TYPE_CHECKING:
    from rich.console import Console


_PAGE = 240
"""Rows of a table: the header is repeated after so many, and no more are held."""

_HEALTHY = "healthy, "
_NAME = 40
_NARROW_NAME = 24
_NARROW = 100
"""Characters of a run's name, in less than so many columns and in more: the middle is left out."""

_OVER: dict[By, str] = {
    "head": "Each row is a head of an item.",
    "layer": "Means over heads and items.",
    "step": "Means over layers, heads and items.",
    "run": "Means over layers, heads and items, at the last step.",
}
"""What the numbers of a row are."""

_WITH_TRENDS = ("layer", "head")
"""Rows of layers, which trends are of, and of their heads; others are fewer than the trends."""

Signs = Callable[[Verdict], tuple[str, str]]
"""The glyph of a verdict, and its style."""


@dataclass(frozen=True)
class Layout:
    """What rows are of, and whether they come run by run or all in one table (`together`).

    `every` lists the steps that have numbers without maps as well; else they are counted.
    """

    by: By
    together: bool = False
    every: bool = False

    def shows(self, row: Row) -> bool:
        """Whether a row is listed."""
        return self.every or self.by == "run" or row.from_maps


def print_table(
    rows: Iterable[Row],
    console: Console,
    layout: Layout,
    trends: Trends,
    damaged: Sequence[Damage] = (),
) -> None:
    """Print a table per run and phase with its trends, or one of all where they come together.

    Rows are printed as they come, so that no more than a page of them is held. `trends` and
    `damaged` fill meanwhile.
    """
    left_out: tuple[str, ...] = ()
    nothing, shown = True, set[Verdict]()
    name = _NARROW_NAME if console.width < _NARROW else _NAME

    def signs(verdict: Verdict) -> tuple[str, str]:
        return sign(verdict, console)

    for title, group in _groups(rows, layout):
        nothing = False
        if title:
            print_line(console, (", phase ".join(title), "bold"))
        print_paragraph(console, _OVER[layout.by], style="dim")
        for page in _pages(group, layout):
            shown.update(row.said for row in page if row.said is not None)
            left_out = print_columns(_columns(page, layout, signs, name), console) or left_out
        for line in _told(title, trends):
            print_paragraph(console, _uncounted(line, layout, trends), style="dim")
            if layout.by in _WITH_TRENDS:
                print_trends(trends.found(*line), trends.items_differ(*line), console)
            print_fired(trends.fired(*line), console)
            trends.forget(*line)
        print_line(console)
    if nothing:
        print_line(console, "no map and no line of the selection could be read")
    else:
        print_legend(console, shown)
    if left_out:
        print_paragraph(console, f"Not shown at this width: {', '.join(left_out)}.", style="dim")
    if damaged:
        pieces = counted(len(damaged), "piece")
        print_line(console, (f"{pieces} left out, named on stderr.", "bold red"))


def print_markdown(
    rows: Iterable[Row], layout: Layout, trends: Trends, damaged: Sequence[Damage] = ()
) -> None:
    """Print the same as tables of GitHub's Markdown, and the damaged pieces as a list.

    Of `trends` only the checks that fired: a table of trends is longer than what it goes with.
    """
    for title, group in _groups(rows, layout):
        if title:
            print(f"### {markdown_text(', phase '.join(title))}\n")
        print(f"{_OVER[layout.by]}\n")
        begun = False
        for page in _pages(group, layout):
            columns = _columns(page, layout, _words)
            lines = [*(() if begun else markdown_header(columns)), *markdown_rows(columns)]
            print("\n".join(lines))
            begun = True
        print()
        for line in _told(title, trends):
            said = _uncounted(line, layout, trends)
            print(f"{said}\n\n" if said else "", end="")
            print_markdown_fired(trends.fired(*line))
            trends.forget(*line)
    if damaged:
        print(f"{counted(len(damaged), 'piece')} left out:\n")
        for piece in damaged:
            print(f"- {markdown_text(' '.join(filter(None, (piece.path, piece.where))))}: ", end="")
            print(markdown_text(piece.reason))


def _groups(
    rows: Iterable[Row], layout: Layout
) -> Iterator[tuple[tuple[str, str] | None, Iterable[Row]]]:
    """The rows of each table, and the run and phase above it; None where it holds several."""
    if not layout.together:
        yield from groupby(rows, key=lambda row: (row.run, row.phase))
        return
    for _, group in groupby(rows, key=lambda _: None):
        yield None, group


def _pages(rows: Iterable[Row], layout: Layout) -> Iterator[list[Row]]:
    page: list[Row] = []
    for row in rows:
        if layout.shows(row):
            page.append(row)
        if len(page) == _PAGE:
            yield page
            page = []
    if page:
        yield page


def _told(title: tuple[str, str] | None, trends: Trends) -> tuple[tuple[str, str], ...]:
    """The runs and phases whose trends follow a table: its own, or the only one there is."""
    if title is not None:
        return (title,)
    there = trends.time_lines()
    return there if len(there) == 1 else ()


def _uncounted(line: tuple[str, str], layout: Layout, trends: Trends) -> str:
    """What is said of the steps that the table leaves out; empty for none."""
    without = trends.steps_without_maps(*line)
    if not without or layout.every or layout.by == "run":
        return ""
    steps = counted(without, "more step")
    return f"{steps} with numbers but no maps: name them with --step, or see --format csv."


def _columns(
    rows: Sequence[Row], layout: Layout, signs: Signs, name: int | None = None
) -> list[Column]:
    """The columns of a page; a run's name has `name` characters at most."""
    metrics = [
        Column(title, [short(row.values.get(name)) for row in rows], need=OF_ROWS.index(name))
        for name, title in TITLES.items()
    ]
    verdict = Column("verdict", [_verdict(row, layout, signs) for row in rows], left=True)
    return [*_places(rows, layout, name), *metrics, *_sick(rows, layout), verdict]


def _places(rows: Sequence[Row], layout: Layout, name: int | None) -> list[Column]:
    """The columns that say which run, step, item, layer and head a row is of."""
    columns = []
    if layout.together:
        columns.append(Column("run", [_cut(row.run, name) for row in rows], left=True))
        if len({row.phase for row in rows}) > 1:
            columns.append(Column("phase", [row.phase for row in rows], left=True))
    if layout.by == "run":
        columns.append(Column("steps", [f"{row.steps or 0:,}" for row in rows], need=9))
        columns.append(Column("last\nstep", [f"{row.step:,}" for row in rows]))
        return columns
    steps = [f"{row.step:,}" for row in rows]
    if not layout.together:
        steps = [step if i == 0 or steps[i - 1] != step else "" for i, step in enumerate(steps)]
    columns.append(Column("step", steps))
    if layout.by == "head":
        items = ["all" if row.batch is None else str(row.batch) for row in rows]
        columns.append(Column("item", items))
        if len({row.rank for row in rows}) > 1:
            columns.append(Column("rank", [str(row.rank) for row in rows]))
    if layout.by != "step":
        columns.append(Column("layer", [str(row.layer) for row in rows]))
    if layout.by == "head":
        columns.append(Column("head", [str(row.head) for row in rows]))
    return columns


def _sick(rows: Sequence[Row], layout: Layout) -> list[Column]:
    """How many heads or layers are sick, and since when a run's verdict holds."""
    columns = []
    if layout.by != "head":
        parts = "heads" if layout.by == "layer" else "layers"
        cells = ["–" if row.judged is None else f"{row.sick}/{row.judged}" for row in rows]
        columns.append(Column(f"sick\n{parts}", cells))
    if layout.by == "run" and any(row.since is not None for row in rows):
        cells = ["–" if row.since is None else f"{row.since:,}" for row in rows]
        columns.append(Column("since\nstep", cells, need=0))
    return columns


def _verdict(row: Row, layout: Layout, signs: Signs) -> Cell:
    """The verdict's glyph, and the check, layer and head that gave it, as far as there are any."""
    if row.said is None:
        return "  numbers alone", "dim"
    mark, style = signs(row.said)
    if row.worst_id is None:
        # A sign says healthy, in a column that has to be narrow.
        words = row.said.words.removeprefix(_HEALTHY) if mark else row.said.words
        return f"{mark} {words}".lstrip(), style
    layer = "" if row.worst_layer is None else f" layer {row.worst_layer}"
    head = "" if row.worst_head is None or layout.by == "run" else f" head {row.worst_head}"
    return f"{mark} {row.worst_id}{layer}{head}".lstrip(), style


def _words(verdict: Verdict) -> tuple[str, str]:
    """Where there is no legend, the word itself."""
    healthy = verdict.severity == Severity.HEALTHY
    return ("" if healthy else str(verdict.severity)), ""


def _cut(name: str, most: int | None) -> str:
    """A name without its middle: where it is long, names differ at their ends."""
    if most is None or len(name) <= most:
        return name
    half = (most - 1) // 2
    return f"{name[:half]}…{name[-half:]}"
