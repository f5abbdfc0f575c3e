"""`igaviz summary` as a table, CSV, JSON, JSON lines, and the classic lines."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from igaviz.dump.data import Damage
from igaviz.metrics import METRICS, Value
from igaviz.metrics.line import classic_line
from igaviz.report.common import damage_json, finite
from igaviz.survey.summary import Row
from igaviz.survey.trends import Trend, Trends

SCHEMA = "igaviz.summary/1"
IDENTITY = ("run", "phase", "step", "rank", "batch", "layer", "head")
VERDICT = ("verdict", "worst_head", "worst_id")

_TABLE_METRICS = (
    ("gamma", "γ"),
    ("geometry_effect", "geometry\neffect"),
    ("geo_bias_std_near", "bias std\nnear"),
    ("geo_range", "range\nÅ"),
    ("local_global_ratio", "local/\nglobal"),
    ("longrange_enrichment", "long-range\nenrichment"),
    ("self_mass", "self\nmass"),
    ("saturation", "satu-\nration"),
    ("entropy", "entropy\nnats"),
)
_COLOURS = {"healthy": "green", "note": "cyan", "warning": "yellow", "error": "bold red"}
_BARS = "▁▂▃▄▅▆▇█"
_SPARK_WIDTH = 24
_PAGE = 240
"""Rows of a table: the header is repeated after so many."""


def row_json(row: Row) -> dict[str, object]:
    """One row as plain data: identity, each metric, and for a layer's row the verdict."""
    data: dict[str, object] = {name: getattr(row, name) for name in IDENTITY}
    data.update({metric.name: finite(row.values.get(metric.name)) for metric in METRICS})
    if row.head is None:
        data.update({name: getattr(row, name) for name in VERDICT})
    return data


def print_json(rows: Iterable[Row], damaged: Sequence[Damage]) -> None:
    """Print {"schema", "rows", "damaged"}; rows go out as they come, a line each."""
    print(f'{{"schema": {json.dumps(SCHEMA)}, "rows": [', end="")
    separator = "\n"
    for row in rows:
        print(separator + json.dumps(row_json(row), allow_nan=False), end="")
        separator = ",\n"
    print(f'], "damaged": {json.dumps(damage_json(damaged))}}}')


def print_jsonl(rows: Iterable[Row], damaged: Sequence[Damage]) -> None:
    """Print one JSON object per row."""
    for row in rows:
        print(json.dumps(row_json(row), allow_nan=False))


def print_csv(rows: Iterable[Row], damaged: Sequence[Damage]) -> None:
    """Print CSV with a header; a metric without a value is an empty field."""
    writer: csv.DictWriter[str] | None = None
    for row in rows:
        data = row_json(row)
        if writer is None:
            writer = csv.DictWriter(sys.stdout, list(data), lineterminator="\n")
            writer.writeheader()
        writer.writerow(data)


def print_lines(rows: Iterable[Row]) -> None:
    """Print the classic line of each layer and step."""
    for row in rows:
        numbers = [
            _number(row.values.get(name))
            for name in ("gamma", "geo_bias_mean", "local_attn", "global_attn")
        ]
        print(classic_line(row.layer, row.step, *numbers))


def _number(value: Value) -> float | None:
    return None if value is None or isinstance(value, str) else float(value)


def print_table(rows: Iterable[Row], console: Console, *, every: bool = False) -> None:
    """Print a table per run and phase, then how each layer went.

    Steps that have numbers but no maps are many: they are counted, and listed where `every`.
    Rows are printed as they come, so that no more than a page of them is held.
    """
    nothing = True
    for (run, phase), group in groupby(rows, key=lambda row: (row.run, row.phase)):
        nothing = False
        console.print(Text(f"{run}, phase {phase}", style="bold"))
        trends = Trends()
        tally = _Tally()
        page: list[Row] = []
        for row in group:
            trends.add(row)
            tally.add(row)
            if every or row.from_maps:
                page.append(row)
            if len(page) == _PAGE:
                console.print(_table(page))
                page.clear()
        if page:
            console.print(_table(page))
        if tally.without_maps and not every:
            console.print(
                f"{tally.without_maps:,} more steps have numbers without maps "
                "(name them with --step, or see --format csv)"
            )
        _print_trends(trends.found(), console)
    if nothing:
        console.print("no map and no line of the selection could be read")


@dataclass
class _Tally:
    """How many steps have no row that comes from maps; rows come in the order of steps."""

    without_maps: int = 0
    _step: int | None = None
    _has_maps: bool = True

    def add(self, row: Row) -> None:
        if row.step != self._step:
            self.without_maps += not row.from_maps
            self._step, self._has_maps = row.step, row.from_maps
        elif row.from_maps and not self._has_maps:
            self.without_maps -= 1
            self._has_maps = True


def _table(rows: Sequence[Row]) -> Table:
    by_head = rows[0].head is not None
    table = Table(box=None, pad_edge=False, header_style="dim")
    names = ("step", "item", "layer", "head") if by_head else ("step", "layer")
    for name in names:
        table.add_column(name, justify="right", vertical="bottom")
    for _, title in _TABLE_METRICS:
        table.add_column(title, justify="right")
    if not by_head:
        table.add_column("verdict")
    previous = None
    for row in rows:
        step = str(row.step) if row.step != previous else ""
        previous = row.step
        item = "all" if row.batch is None else str(row.batch)
        place = (item, str(row.layer), str(row.head)) if by_head else (str(row.layer),)
        cells = [Text(text) for text in (step, *place)]
        cells += [Text(short(row.values.get(name))) for name, _ in _TABLE_METRICS]
        if not by_head:
            cells.append(_verdict(row))
        table.add_row(*cells)
    return table


def _verdict(row: Row) -> Text:
    word = row.verdict or ("no verdict" if row.from_maps else "numbers alone")
    where = f" {row.worst_id} (head {row.worst_head})" if row.worst_id else ""
    return Text(f"{word}{where}", style=_COLOURS.get(word, ""))


def short(value: Value) -> str:
    """A metric in at most seven characters; a dash where it has no value."""
    if value is None or isinstance(value, str):
        return value or "–"
    if value == 0 or 0.001 <= abs(value) < 10_000:
        return f"{value:.3g}"
    return f"{value:.1e}"


def _print_trends(found: Sequence[Trend], console: Console) -> None:
    if not found:
        return
    steps = sorted({step for trend in found for step in trend.steps})
    console.print(Text(f"Over steps {steps[0]}–{steps[-1]}, mean over heads:", style="dim"))
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("layer", "metric", "first", "last", ""):
        table.add_column(name, justify="left" if name in ("metric", "") else "right")
    for trend in sorted(found, key=lambda trend: (trend.metric, trend.layer)):
        table.add_row(
            str(trend.layer),
            trend.metric,
            short(trend.values[0]),
            short(trend.values[-1]),
            Text(sparkline(trend.values, utf8=console.encoding.lower().startswith("utf"))),
        )
    console.print(table)


def sparkline(values: Sequence[float], *, utf8: bool = True) -> str:
    """The course of `values` as a line of small bars, from their least to their largest."""
    bars = _BARS if utf8 else "_.-=*#"
    stride = max(1, -(-len(values) // _SPARK_WIDTH))
    picked = [*values[:-1:stride], values[-1]]
    low, high = min(picked), max(picked)
    if high == low:
        return bars[0] * len(picked)
    return "".join(bars[round((v - low) / (high - low) * (len(bars) - 1))] for v in picked)


PRINTERS: Mapping[str, Callable[[Iterable[Row], Sequence[Damage]], None]] = {
    "csv": print_csv,
    "json": print_json,
    "jsonl": print_jsonl,
}
