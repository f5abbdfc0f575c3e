"""`igaviz info` as text and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING

from igaviz.checks.wording import counted, span
from igaviz.report.terminal import print_line
from igaviz.selection import format_numbers, format_time_line
from igaviz.survey.info import DumpInfo, ItemInfo, LayerInfo, PhaseInfo, RunInfo

if TYPE_CHECKING:
    from rich.console import Console


SCHEMA = "igaviz.info/1"


def info_json(info: DumpInfo) -> dict[str, object]:
    """`igaviz info --json`: {"schema", "runs": [...], "damaged": [...]}, plain data."""
    return {"schema": SCHEMA, **asdict(info)}


def print_info(info: DumpInfo, console: Console) -> None:
    """Print what a dump holds, one block per run, one line per fact."""
    for run in info.runs:
        _print_run(run, console)
    if info.damaged:
        pieces = counted(len(info.damaged), "piece")
        print_line(console, (f"{pieces} left out, named on stderr.", "bold red"))


def _print_run(run: RunInfo, console: Console) -> None:
    print_line(console, (run.name, "bold"))
    rows = [
        *(_of_shards(run) if run.shards else [("size", "no shard: scalars files alone")]),
        *((f"phase {phase.phase}", _phase(phase)) for phase in run.phases),
        *([("numbers", _few(run.numbers, 12))] if run.numbers else []),
        *_layer_rows(run.layers),
        *((f"item {item.batch}", _item(item)) for item in run.items),
    ]
    if run.ranks not in ((), (0,)):
        rows.append(("ranks", format_numbers(run.ranks)))
    if run.attempts not in ((), (0,)):
        rows.append(("attempts", format_numbers(run.attempts)))
    for left in run.superseded:
        rows.append(
            (
                f"attempt {left.attempt}",
                f"{left.phase}, rank {left.rank}: a restart took over at step {left.from_step}; "
                f"{left.maps:,} maps and {left.scalar_lines:,} scalars lines are left out",
            )
        )
    for ended in run.ended:
        rank = f"rank {ended.rank}, " if len(run.ranks) > 1 else ""
        step = "" if ended.step is None else f" at step {ended.step}"
        words = f"{rank}attempt {ended.attempt}{step}: {ended.reason}"
        rows.append(("RECORDING ENDED", words))
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        print_line(console, (f"  {name:<{width}}  ", "dim"), text)


def _of_shards(run: RunInfo) -> list[tuple[str, str]]:
    """What shards say of themselves and their run."""
    made = ", ".join(part for part in (run.creator, run.created) if part)
    size = counted(run.shards, "shard"), _bytes(run.n_bytes), counted(run.maps, "map")
    return [
        ("recorded", made or "unknown"),
        ("run id", run.run_id or "none"),
        ("size", ", ".join(size)),
        ("lengths in", ", ".join(run.length_units) or "unknown"),
    ]


def _phase(phase: PhaseInfo) -> str:
    return format_time_line(phase.steps, phase.scalar_steps)


def _layer_rows(layers: tuple[LayerInfo, ...]) -> list[tuple[str, str]]:
    """Layers that hold the same, as one row."""

    def content(layer: LayerInfo) -> tuple[object, ...]:
        return layer.heads, layer.terms, layer.sometimes, layer.geo_bias_sign

    rows = []
    for _, group in groupby(layers, key=content):
        alike = list(group)
        first = alike[0]
        numbers = format_numbers(layer.layer for layer in alike)
        parts = [f"heads {format_numbers(first.heads)}", " ".join(first.terms)]
        if first.sometimes:
            parts.append(f"in some entries {' '.join(first.sometimes)}")
        if first.geo_bias_sign < 0:
            parts.append("geo_bias is subtracted")
        rows.append(
            (f"layers {numbers}" if len(alike) > 1 else f"layer {numbers}", "; ".join(parts))
        )
    return rows


def _item(item: ItemInfo) -> str:
    """Its names and sizes; of several names the range of sizes, which have another order."""
    sizes, names = item.n_residues, item.names
    if len(names) < 2:
        told = f"{format_numbers(sizes, apart=', ')} residues"
        return f"{names[0]}: {told}" if names else told
    told = f"{span(sizes, lambda n: f'{n:,.0f}')} residues"
    return f"{_few(names, 4)} at different steps, of {told}"


def _few(names: tuple[str, ...], most: int) -> str:
    more = f" and {counted(len(names) - most, 'other')}" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _bytes(count: int) -> str:
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
