"""`igaviz summary`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from igaviz.cli import html as page
from igaviz.cli import options, parts
from igaviz.defaults import LOCAL_RADIUS, PICTURED_HEADS
from igaviz.errors import UsageError

if TYPE_CHECKING:
    from igaviz.dump import Damage
    from igaviz.survey.parts.join import Joined
    from igaviz.survey.rows.row import Row
    from igaviz.survey.rows.trends import Trends


class Format(StrEnum):
    """The formats of a summary."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"
    MARKDOWN = "markdown"


class By(StrEnum):
    """What a row is of."""

    RUN = "run"
    STEP = "step"
    LAYER = "layer"
    HEAD = "head"


class Sort(StrEnum):
    """The order of rows."""

    TIME = "time"
    WORST = "worst"


def summary(
    dump: options.DumpPaths,
    layer: options.Layer = "all",
    head: options.Head = "all",
    batch: options.Batch = "all",
    step: options.Step = "all",
    phase: options.Phase = None,
    rank: options.Rank = "all",
    by: Annotated[
        By | None,
        typer.Option(
            help="What a row stands for; if left out, layer in tables (run if there are several), "
            "else head.",
            show_default=False,
        ),
    ] = None,
    sort: Annotated[
        Sort, typer.Option(help="Run by run in time order, or all rows with the worst first.")
    ] = Sort.TIME,
    format: Annotated[
        Format | None, typer.Option(help="What to print.", show_default="table")
    ] = None,
    lines: Annotated[
        bool, typer.Option("--lines", help="Print the classic line of each layer and step.")
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write an interactive page that opens from disk, instead of printing rows.",
            show_default=False,
        ),
    ] = None,
    figures: Annotated[
        int,
        typer.Option(
            min=0, help="How many heads' figures the page shows, the worst of each run first."
        ),
    ] = PICTURED_HEADS,
    force: options.Force = False,
    radius: options.Radius = LOCAL_RADIUS,
    jobs: options.Jobs = None,
    no_cache: options.NoCache = False,
    scheduler: options.Scheduler = None,
    part: options.Part = None,
    from_: options.From = False,
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> int:
    """Print metrics of whole runs, by run, step, layer or head, with verdicts and trends."""
    choice = options.choose(layer=layer, head=head, batch=batch, step=step, rank=rank, phase=phase)
    workers = options.workers(jobs, no_cache, scheduler)
    chosen = options.format_of(format, Format.TABLE, json=json)
    of_rows = {
        "--by": by,
        "--sort": sort is not Sort.TIME,
        "--json" if json else "--format": chosen is not Format.TABLE,
        "--lines": lines,
    }
    of_page = {"--figures": figures != PICTURED_HEADS, "--force": force}
    if part is not None:
        parts.leave_out("summary", {**of_rows, "--html": html, **of_page, "--from": from_})
        return parts.print_part(dump, part, choice, radius, workers)
    if lines and (json or format or by not in (None, By.LAYER)):
        raise UsageError(
            "--lines prints a line of text per layer and step",
            hint="leave --lines out, or --format, --json and --by",
        )
    if html is not None:
        if names := options.named(of_rows):
            raise UsageError("--html prints no rows", hint=f"leave {names} out")
        page.check(html, force=force)
    elif names := options.named(of_page):
        raise UsageError(f"{names}: only for --html", hint="add --html FILE, or leave it out")
    given = parts.gather(dump, choice, radius, workers, joined=from_)
    if html is not None:
        return page.write(given, html, figures=figures)
    return _print_rows(given, chosen, by, sort, lines=lines)


def _print_rows(given: Joined, format: Format, by: By | None, sort: Sort, *, lines: bool) -> int:
    from igaviz.cli import console
    from igaviz.survey.rows.trends import Trends
    from igaviz.survey.rows.worst_first import worst_first
    from igaviz.survey.summary import summary_rows

    runs = sum(bool(run.entries or run.scalars) for run in given.dump.runs)
    rows_by = By.LAYER if lines else by or _usual(format, runs=runs)
    damaged: list[Damage] = []
    trends = Trends()
    with console.progress("measuring", "maps") as advance:
        rows = _Seen(
            summary_rows(
                given.dump,
                given.choice,
                by=rows_by.value,
                radius=given.radius,
                jobs=given.jobs,
                progress=advance,
                report=damaged.append,
                each_layer=trends.add if format in _WITH_TRENDS and not lines else None,
            )
        )
        ordered = worst_first(rows) if sort is Sort.WORST else iter(rows)
        if lines:
            from igaviz.report.summary import print_lines

            print_lines(ordered)
        else:
            every = not given.choice.all_steps
            together = sort is Sort.WORST or rows_by is By.RUN
            _print(format, ordered, trends, damaged, (rows_by, together, every))
    options.report_cache(given.jobs)
    hurt = console.report_damage(damaged, given.dump.warnings)
    return options.NOTHING_DONE if hurt and not rows.seen else int(hurt)


_WITH_TRENDS = (Format.TABLE, Format.MARKDOWN, Format.JSON)


def _usual(format: Format, *, runs: int) -> By:
    """What rows are of where nothing is said: few for people, each map for programs."""
    if format not in (Format.TABLE, Format.MARKDOWN):
        return By.HEAD
    return By.RUN if runs > 1 else By.LAYER


def _print(
    format: Format,
    rows: Iterator[Row],
    trends: Trends,
    damaged: Sequence[Damage],
    layout: tuple[By, bool, bool],
) -> None:
    from igaviz.cli import console
    from igaviz.report import summary, summary_table

    by, together, every = layout
    if format is Format.JSON:
        summary.print_json(rows, damaged, trends)
    elif format is Format.JSONL:
        summary.print_jsonl(rows)
    elif format is Format.CSV:
        summary.print_csv(rows)
    else:
        shown = summary_table.Layout(by.value, together=together, every=every)
        if format is Format.TABLE:
            summary_table.print_table(rows, console.out(), shown, trends, damaged)
        else:
            summary_table.print_markdown(rows, shown, trends, damaged)


class _Seen:
    """Rows on their way to a printer, and whether there was one."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self.rows = rows
        self.seen = False

    def __iter__(self) -> Iterator[Row]:
        for row in self.rows:
            self.seen = True
            yield row
