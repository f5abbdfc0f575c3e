"""`igaviz summary` for programs: CSV, JSON, JSON lines, and the classic lines."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from igaviz.dump.data import Damage
from igaviz.metrics import METRICS, Value
from igaviz.metrics.line import classic_line
from igaviz.report.common import damage_json, finite
from igaviz.survey.rows.row import Row
from igaviz.survey.rows.trends import Trend, Trends

SCHEMA = "igaviz.summary/1"
IDENTITY = ("run", "phase", "step", "rank", "batch", "layer", "head")
VERDICT = ("verdict", "words", "worst_layer", "worst_head", "worst_id", "sick", "judged")
OF_RUN = ("steps", "since")


def row_json(row: Row) -> dict[str, object]:
    """One row as plain data: identity, each metric, the verdict, what only a run's row has."""
    data: dict[str, object] = {name: getattr(row, name) for name in IDENTITY}
    data.update({metric.name: finite(row.values.get(metric.name)) for metric in METRICS})
    data.update({name: getattr(row, name) for name in (*VERDICT, *OF_RUN, "from_maps")})
    return data


def trend_json(trend: Trend) -> dict[str, object]:
    """One trend as plain data: its ends and its slope, not its course."""
    return {
        **{name: getattr(trend, name) for name in ("run", "phase", "layer", "metric")},
        "steps": trend.count,
        "first_step": trend.steps[0],
        "last_step": trend.steps[-1],
        "first": trend.values[0],
        "last": trend.values[-1],
        "slope": finite(trend.slope),
    }


def print_json(
    rows: Iterable[Row], damaged: Sequence[Damage], trends: Trends | None = None
) -> None:
    """Print {"schema", "rows", "trends", "fired", "damaged"}; rows go out as they come.

    `trends` and `damaged` fill while rows stream, and are read after them.
    """
    print(f'{{"schema": {json.dumps(SCHEMA)}, "rows": [', end="")
    separator = "\n"
    for row in rows:
        print(separator + json.dumps(row_json(row), allow_nan=False), end="")
        separator = ",\n"
    known = Trends() if trends is None else trends
    print('], "trends": ', end="")
    print(json.dumps([trend_json(trend) for trend in known.found()], allow_nan=False), end="")
    print(f', "fired": {json.dumps([asdict(fired) for fired in known.fired()])}', end="")
    print(f', "damaged": {json.dumps(damage_json(damaged))}}}')


def print_jsonl(rows: Iterable[Row]) -> None:
    """Print one JSON object per row."""
    for row in rows:
        print(json.dumps(row_json(row), allow_nan=False))


def print_csv(rows: Iterable[Row]) -> None:
    """Print CSV with a header; a metric without a value is an empty field."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    for place, row in enumerate(rows):
        data = row_json(row)
        if place == 0:
            writer.writerow(data)
        writer.writerow(data.values())


def print_lines(rows: Iterable[Row]) -> None:
    """Print the classic line of each layer and step."""
    for row in rows:
        numbers = [
            _number(row.values.get(name))
            for name in ("gamma", "geo_bias_mean", "local_attn", "global_attn")
        ]
        if row.layer is not None:
            print(classic_line(row.layer, row.step, *numbers))


def _number(value: Value) -> float | None:
    return None if value is None or isinstance(value, str) else float(value)
