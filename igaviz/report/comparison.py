"""`igaviz compare` as text and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from igaviz.checks import Severity, Verdict
from igaviz.checks.finding import NOT_JUDGED
from igaviz.checks.wording import counted, listed, ranges, span
from igaviz.metrics import METRICS, Value
from igaviz.report.common import damage_json, finite
from igaviz.report.terminal import plain, print_line, print_paragraph
from igaviz.report.values import short
from igaviz.report.verdict_table import glyph, print_legend
from igaviz.survey.compare import Change, Comparison, Side, Turn
from igaviz.survey.differences import Drawn

SCHEMA = "igaviz.compare/1"
By = Literal["layer", "head"]

_COLUMNS = (
    ("geometry_effect", "geometry\neffect"),
    ("self_mass", "self\nmass"),
    ("saturation", "satu-\nration"),
    ("entropy", "entropy\nnats"),
    ("gamma", "γ"),
    ("longrange_enrichment", "long-range\nenrichment"),
    ("geo_bias_std_near", "bias std\nnear"),
    ("local_global_ratio", "local/\nglobal"),
)
"""The most telling first: a narrow terminal shows only these."""

_CELL = 16
_MOST_ITEMS = 4


def comparison_json(comparison: Comparison, drawn: Drawn | None = None) -> dict[str, object]:
    """`igaviz compare --json`: plain data, null for a number that is not finite."""
    pictures = drawn or Drawn()
    return {
        "schema": SCHEMA,
        "a": _side_json(comparison.a),
        "b": _side_json(comparison.b),
        "items_differ": comparison.items_differ,
        "layers": [_change_json(change) for change in comparison.layers],
        "heads": [_change_json(change) for change in comparison.heads],
        "sick": [_turn_json(turn) for turn in comparison.sick],
        "well": [_turn_json(turn) for turn in comparison.well],
        "still": [_turn_json(turn) for turn in comparison.still],
        "only_a": list(comparison.only_a),
        "only_b": list(comparison.only_b),
        "pictures": [{"path": str(path), **shown._asdict()} for path, shown in pictures.pictures],
        "failed": [{"path": str(path), "reason": reason} for path, reason in pictures.failed],
        "damaged": damage_json(dict.fromkeys((*comparison.damaged, *pictures.damaged))),
    }


def _side_json(side: Side) -> dict[str, object]:
    return {
        "run": side.run,
        "phase": side.phase,
        "step": side.step,
        "items": [vars(item) for item in side.items],
    }


def _change_json(change: Change) -> dict[str, object]:
    return {
        "layer": change.layer,
        "head": change.head,
        "verdict_a": _verdict_json(change.verdict_a),
        "verdict_b": _verdict_json(change.verdict_b),
        "metrics": {
            metric.name: {
                "a": finite(change.a.get(metric.name)),
                "b": finite(change.b.get(metric.name)),
                "change": finite(change.change(metric.name)),
            }
            for metric in METRICS
        },
    }


def _verdict_json(verdict: Verdict) -> dict[str, object]:
    return {"severity": str(verdict.severity), "id": verdict.check, "words": verdict.words}


def _turn_json(turn: Turn) -> dict[str, object]:
    return {
        "id": turn.id,
        "name": turn.name,
        "layer": turn.layer,
        "before": str(turn.before),
        "after": str(turn.after),
        "heads_a": list(turn.heads_a),
        "heads_b": list(turn.heads_b),
        "metric": turn.metric,
        "a": finite(turn.a),
        "b": finite(turn.b),
    }


def print_comparison(comparison: Comparison, console: Console, by: By = "layer") -> None:
    """Print what was compared, verdicts and numbers before and after, what got sick or well."""
    _print_headline(comparison, console)
    console.print()
    _print_sides(comparison, console)
    console.print()
    _print_verdicts(comparison, console)
    console.print()
    _print_numbers(comparison.layers if by == "layer" else comparison.heads, console)
    for title, turns in (
        ("Got sick", comparison.sick),
        ("Got well", comparison.well),
        ("As before", comparison.still),
    ):
        _print_turns(title, turns, console)
    _print_one_sided(comparison, console)


def print_pictures(drawn: Drawn, console: Console) -> None:
    """Print the path of each picture, or why there is none."""
    console.print()
    for path, _ in drawn.pictures:
        console.print(str(path), soft_wrap=True)
    print_line(console, counted(len(drawn.pictures), "difference map"))
    for reason, count in drawn.left_out.items():
        print_paragraph(console, f"{counted(count, 'map')} not drawn: {reason}")


def headline(comparison: Comparison) -> tuple[str, Severity]:
    """The first line, and the severity that it speaks of."""
    of = counted(len(comparison.layers), "layer")
    sick = [turn for turn in comparison.sick if turn.after > Severity.NOTE]
    well = [turn for turn in comparison.well if turn.before > Severity.NOTE]
    better = f"{_layers(well)} of {of} got better: {_ids(well)}" if well else ""
    if sick:
        further = f" {better}." if better else ""
        worst = max(turn.after for turn in sick)
        return f"{_layers(sick)} of {of} got sick: {_ids(sick)}.{further}", worst
    if better:
        return f"Nothing got sick; {better}.", Severity.HEALTHY
    if comparison.sick or comparison.well:
        ids = _ids((*comparison.sick, *comparison.well))
        return f"Nothing got sick in {of}; notes changed: {ids}.", Severity.HEALTHY
    return f"No verdict changed in {of}.", Severity.HEALTHY


def _layers(turns: Sequence[Turn]) -> int:
    """How many layers turns speak of; one of an item counts as one."""
    return len({turn.layer for turn in turns})


def _ids(turns: Sequence[Turn]) -> str:
    return listed(list(dict.fromkeys(turn.id for turn in turns)))


def _print_headline(comparison: Comparison, console: Console) -> None:
    text, severity = headline(comparison)
    print_paragraph(console, text, style=glyph(severity, console)[1])


def _print_sides(comparison: Comparison, console: Console) -> None:
    for letter, side in (("A", comparison.a), ("B", comparison.b)):
        text = f"{side.run}: {side.phase}, step {side.step:,}"
        items = f"; {_items(side)}" if comparison.items_differ else ""
        print_paragraph(console, text + items, first=(f"{letter}  ", "bold"))
    if comparison.items_differ:
        text = "The items differ: means are of other inputs, and may change for that alone."
        print_paragraph(console, text, style="yellow")
    else:
        print_paragraph(console, f"the same in both: {_items(comparison.a)}", indent="   ")


def _items(side: Side) -> str:
    shown = [
        f"{item.name or f'item {item.batch}'} ({item.n_residues:,} residues)"
        for item in side.items[:_MOST_ITEMS]
    ]
    more = len(side.items) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _print_verdicts(comparison: Comparison, console: Console) -> None:
    """One line per layer: a glyph per head before, and after; counts where heads are too many."""
    by_layer = {
        layer: list(heads)
        for layer, heads in groupby(comparison.heads, key=lambda change: change.layer)
    }
    most = max((len(heads) for heads in by_layer.values()), default=0)
    digits = max((len(str(layer)) for layer in by_layer), default=1)
    wide = 2 * most + 16 + digits > console.width
    head = f"{'':{digits + 10}}{'A':{7 if wide else max(most, 1) + 3}}B"
    print_line(console, (head, "dim"))
    for layer, heads in by_layer.items():
        before = _signs([change.verdict_a for change in heads], console, counts=wide)
        after = _signs([change.verdict_b for change in heads], console, counts=wide)
        gap = "   " if wide else " " * (most - len(heads) + 3)
        words = _turned(heads)
        print_line(console, f"  layer {layer:>{digits}}  ", *before, gap, *after, f"   {words}")
    shown = {v for change in comparison.heads for v in (change.verdict_a, change.verdict_b)}
    print_legend(console, not_judged=NOT_JUDGED in shown)


def _signs(
    verdicts: Sequence[Verdict], console: Console, *, counts: bool
) -> list[str | tuple[str, str]]:
    if not counts:
        return [_sign(verdict, console) for verdict in verdicts]
    found = Counter(_sign(verdict, console) for verdict in verdicts)
    return [(f"{count}{sign} ", style) for (sign, style), count in found.most_common()]


def _sign(verdict: Verdict, console: Console) -> tuple[str, str]:
    return ("?", "dim") if verdict == NOT_JUDGED else glyph(verdict.severity, console)


def _turned(heads: Sequence[Change]) -> str:
    worse = sum(change.verdict_b.severity > change.verdict_a.severity for change in heads)
    better = sum(change.verdict_b.severity < change.verdict_a.severity for change in heads)
    parts = [f"{n} {word}" for n, word in ((worse, "worse"), (better, "better")) if n]
    return ", ".join(parts)


def _print_numbers(changes: Sequence[Change], console: Console) -> None:
    """Metrics before and after; what changed in no digit that is shown stands once."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    by_head = bool(changes) and changes[0].head is not None
    names = ("layer", "head") if by_head else ("layer",)
    for name in names:
        table.add_column(name, justify="right", vertical="bottom")
    there = [column for column in _COLUMNS if any(c.a.get(column[0]) is not None for c in changes)]
    for _, title in there[: max(2, (console.width - 7 * len(names)) // _CELL)]:
        table.add_column(_plain_lines(title, console), justify="right")
    shown = there[: len(table.columns) - len(names)]
    for change in changes:
        place = [str(change.layer), str(change.head)][: len(names)]
        cells = [_cell(change.a.get(name), change.b.get(name), console) for name, _ in shown]
        table.add_row(*(Text(text) for text in place), *cells)
    console.print(table)


def _plain_lines(text: str, console: Console) -> str:
    """Each line of `text` in characters that the console's encoding has."""
    return "\n".join(plain(line, console) for line in text.split("\n"))


def _cell(a: Value, b: Value, console: Console) -> Text:
    before, after = short(a), short(b)
    if before == after:
        return Text(plain(before, console), style="dim")
    return Text(plain(f"{before} → {after}", console))


def _print_turns(title: str, turns: Sequence[Turn], console: Console) -> None:
    """One line per check and severities, with its layers and the range of its first metric."""
    if not turns:
        return
    console.print()
    print_line(console, (title, "bold"))

    groups: dict[tuple[str, Severity, Severity], list[Turn]] = {}
    for turn in turns:
        groups.setdefault((turn.id, turn.before, turn.after), []).append(turn)
    for (check, before, after), same in groups.items():
        sign, style = glyph(max(before, after) if title != "Got well" else after, console)
        severities = str(after) if before == after else f"{before} → {after}"
        text = f"{check} {same[0].name}, {severities}: {_where(same)}{_values(same)}"
        print_paragraph(console, text, indent="  ", first=(f"{sign} ", style))


def _where(turns: Sequence[Turn]) -> str:
    layers = [turn.layer for turn in turns if turn.layer is not None]
    return f"layer{'' if len(layers) == 1 else 's'} {ranges(layers)}" if layers else "the item"


def _values(turns: Sequence[Turn]) -> str:
    before, after = ([v for v in _numbers(turns, side) if v is not None] for side in ("a", "b"))
    if not before or not after:
        return ""
    one, other = span(before), span(after)
    return f"; {turns[0].metric} {one if one == other else f'{one} → {other}'}"


def _numbers(turns: Sequence[Turn], side: str) -> list[float | None]:
    found: list[Value] = [getattr(turn, side) for turn in turns]
    return [None if isinstance(value, str) or value is None else float(value) for value in found]


def _print_one_sided(comparison: Comparison, console: Console) -> None:
    sides: Mapping[str, Sequence[int]] = {"A": comparison.only_a, "B": comparison.only_b}
    for letter, layers in sides.items():
        if layers:
            console.print()
            some = f"layer{'' if len(layers) == 1 else 's'} {ranges(layers)}"
            print_paragraph(console, f"Only {letter} has {some}: not compared.")
