"""`igaviz summary`."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from igaviz.cli import options

if TYPE_CHECKING:
    from igaviz.survey.summary import Row


class Format(StrEnum):
    """The formats of a summary."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"


class By(StrEnum):
    """One row per layer and step, or per map."""

    LAYER = "layer"
    HEAD = "head"


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
        typer.Option(help="Rows; layer for the table, head for the others.", show_default=False),
    ] = None,
    format: Annotated[Format, typer.Option(help="What to print.")] = Format.TABLE,
    lines: Annotated[
        bool, typer.Option("--lines", help="Print the classic line of each layer and step.")
    ] = False,
    radius: options.Radius = 8.0,
    jobs: options.Jobs = None,
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> int:
    """Print metrics of whole runs: a row per layer and step, verdicts, and how they went."""
    from igaviz.cli import console
    from igaviz.dump import Damage
    from igaviz.report.summary import PRINTERS, print_lines, print_table
    from igaviz.survey.summary import summary_rows

    chosen = Format.JSON if json else format
    table = chosen is Format.TABLE or lines
    rows_by = by or (By.LAYER if table else By.HEAD)
    choice = options.choose(layer=layer, head=head, batch=batch, step=step, rank=rank, phase=phase)
    opened = options.open_paths(dump)
    damaged: list[Damage] = []
    with console.progress("measuring", "maps") as advance:
        rows = _Seen(
            summary_rows(
                opened,
                choice,
                by=By.LAYER.value if lines else rows_by.value,
                radius=radius,
                jobs=options.worker_count(jobs),
                progress=advance,
                report=damaged.append,
            )
        )
        if lines:
            print_lines(rows)
        elif table:
            print_table(rows, console.out(), every=step != "all")
        else:
            PRINTERS[chosen.value](rows, damaged)
    hurt = console.report_damage(damaged, opened.warnings)
    return options.NOTHING_DONE if hurt and not rows.seen else int(hurt)


class _Seen:
    """Rows on their way to a printer, and whether there was one."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self.rows = rows
        self.seen = False

    def __iter__(self) -> Iterator[Row]:
        for row in self.rows:
            self.seen = True
            yield row
