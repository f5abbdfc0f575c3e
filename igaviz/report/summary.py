"""`igaviz summary` as a table, CSV, JSON, JSON lines, and the classic lines."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from igaviz.dump.data import Damage
from igaviz.metrics import METRICS, Value
from igaviz.metrics.line import classic_line
from igaviz.report.common import damage_json, finite
from igaviz.survey.summary import Row, Trend, trends

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


def row_json(row: Row) -> dict[str, object]:
    """One row as plain data: identity, each metric, and for a layer's row the verdict."""
    data: dict[str, object] = {name: getattr(row, name) for name in IDENTITY}
    data.update({metric.name: finite(row.values.get(metric.name)) for metric in METRICS})
    if row.head is None:
        data.update({name: getattr(row, name) for name in VERDICT})
    return data


def print_json(rows: Iterable[Row], damaged: Sequence[Damage], _: Console) -> None:
    """Print {"schema", "rows", "damaged"}; rows go out as they come, a line each."""
    print(f'{{"schema": {json.dumps(SCHEMA)}, "rows": [', end="")
    separator = "\n"
    for row in rows:
        print(separator + json.dumps(row_json(row), allow_nan=False), end="")
        separator = ",\n"
    print(f'], "damaged": {json.dumps(damage_json(damaged))}}}')


def print_jsonl(rows: Iterable[Row], damaged: Sequence[Damage], _: Console) -> None:
    """Print one JSON object per row."""
    for row in rows:
        print(json.dumps(row_json(row), allow_nan=False))


def print_csv(rows: Iterable[Row], damaged: Sequence[Damage], _: Console) -> None:
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


def print_table(rows: Iterable[Row], damaged: Sequence[Damage], console: Console) -> None:
    """Print a table per run and phase of the steps that have maps, then how each layer went."""
    for (run, phase), group in groupby(rows, key=lambda row: (row.run, row.phase)):
        found = list(group)
        shown = [row for row in found if row.from_maps]
        console.print(Text(f"{run}, phase {phase}", style="bold"))
        if shown:
            console.print(_table(shown))
        steps = {row.step for row in found}
        numbers_alone = len(steps - {row.step for row in shown})
        if numbers_alone:
            console.print(
                f"{numbers_alone} more steps have numbers without maps (see --format csv)"
            )
        _print_trends(trends(found), console)


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
        place = (str(row.batch), str(row.layer), str(row.head)) if by_head else (str(row.layer),)
        cells = [Text(text) for text in (step, *place)]
        cells += [Text(short(row.values.get(name))) for name, _ in _TABLE_METRICS]
        if not by_head:
            cells.append(_verdict(row))
        table.add_row(*cells)
    return table


def _verdict(row: Row) -> Text:
    word = row.verdict or "–"
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


PRINTERS: Mapping[str, Callable[[Iterable[Row], Sequence[Damage], Console], None]] = {
    "table": print_table,
    "csv": print_csv,
    "json": print_json,
    "jsonl": print_jsonl,
}
