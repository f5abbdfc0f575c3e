"""`igaviz compare` as text and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from igaviz.checks import Severity, Verdict
from igaviz.checks.finding import GEOMETRY_NOT_JUDGED, NOT_JUDGED
from igaviz.checks.wording import counted, listed, ranges, span
from igaviz.metrics import METRICS, Value
from igaviz.report.common import damage_json, finite
from igaviz.report.metric_columns import OF_CHANGES, TITLES
from igaviz.report.terminal import plain, print_line, print_paragraph, print_paths
from igaviz.report.values import short
from igaviz.report.verdict_table import glyph, print_legend, sign
from igaviz.survey.compare import Change, Comparison, Side, Turn
from igaviz.survey.differences import Drawn

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


SCHEMA = "igaviz.compare/1"
By = Literal["layer", "head"]

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
        "before": _severity(turn.before, turn.judged_a),
        "after": _severity(turn.after, turn.judged_b),
        "heads_a": list(turn.heads_a),
        "heads_b": list(turn.heads_b),
        "metric": turn.metric,
        "a": finite(turn.a),
        "b": finite(turn.b),
        "numbers": [{"head": head, "a": finite(a), "b": finite(b)} for head, a, b in turn.numbers],
    }


def _severity(severity: Severity, judged: bool) -> str:
    return str(severity) if judged else NOT_JUDGED.words


def print_comparison(comparison: Comparison, console: Console, by: By = "layer") -> None:
    """Print what was compared, verdicts and numbers before and after, what got sick or well."""
    _print_headline(comparison, console)
    console.print()
    _print_sides(comparison, console)
    console.print()
    _print_verdicts(comparison, console)
    console.print()
    over = "items" if by == "head" else "heads and items"
    print_line(console, (f"Means over {over}; A → B", "dim"))
    _print_numbers(comparison.layers if by == "layer" else comparison.heads, console)
    for title, turns in _sections(comparison).items():
        _print_turns(title, turns, console)
    _print_one_sided(comparison, console)


def print_pictures(drawn: Drawn, console: Console) -> None:
    """Print the path of each picture, or why there is none."""
    console.print()
    print_paths(console, (path for path, _ in drawn.pictures))
    print_line(console, counted(len(drawn.pictures), "difference map"))
    for reason, count in drawn.left_out.items():
        print_paragraph(console, f"{counted(count, 'map')} not drawn: {reason}")


def headline(comparison: Comparison) -> tuple[str, Severity]:
    """The first line, and the severity that it speaks of."""
    of = counted(len(comparison.layers), "layer")
    sections = _sections(comparison)
    blind = _blind(comparison)
    said = [
        f"{_share(turns, of)} {verbs[_places(turns) > 1]}: {_ids(turns)}"
        for title, verbs in _VERBS.items()
        if (turns := sections[title])
    ]
    bad = [turn.after for title in (SICK, FOUND) for turn in sections[title]]
    if bad:
        return f"{'; '.join(said)}{blind}.", max(bad)
    if said:
        return f"Nothing got sick; {'; '.join(said)}{blind}.", Severity.HEALTHY
    if sections[NEW_NOTES] or sections[NO_NOTES]:
        ids = _ids((*sections[NEW_NOTES], *sections[NO_NOTES]))
        return f"Nothing got sick in {of}; notes changed: {ids}{blind}.", Severity.HEALTHY
    return f"No verdict changed in {of}{blind}.", Severity.HEALTHY


def _blind(comparison: Comparison) -> str:
    """On which side geometry was not judged, or not on every head; empty for neither."""
    said = ""
    for letter, name in (("A", "verdict_a"), ("B", "verdict_b")):
        heads = [getattr(change, name) for change in comparison.heads]
        unjudged = sum(verdict in (GEOMETRY_NOT_JUDGED, NOT_JUDGED) for verdict in heads)
        part = "" if unjudged == len(heads) else "part of "
        said += f"; geometry not judged in {part}{letter}" if unjudged else ""
    return said


SICK, FOUND = "Got sick", "Sick in B, not judged in A"
WELL, LOST = "Got well", "Sick in A, not judged in B"
NEW_NOTES, NO_NOTES, AS_BEFORE = "New notes", "Notes no more", "As before"

_VERBS = {
    SICK: ("got sick", "got sick"),
    FOUND: ("is sick in B, not judged in A", "are sick in B, not judged in A"),
    WELL: ("got better", "got better"),
    LOST: ("is sick in A, not judged in B", "are sick in A, not judged in B"),
}
"""What became of one layer, and of several."""


def _sections(comparison: Comparison) -> dict[str, list[Turn]]:
    """What changed, by title, in the order in which it is told.

    A note is no sickness; what could not be judged on one side got neither sick nor well.
    """
    sections: dict[str, list[Turn]] = {
        title: [] for title in (SICK, FOUND, WELL, LOST, NEW_NOTES, NO_NOTES, AS_BEFORE)
    }
    for turn in comparison.sick:
        sick = SICK if turn.judged_a else FOUND
        sections[sick if turn.after > Severity.NOTE else NEW_NOTES].append(turn)
    for turn in comparison.well:
        well = WELL if turn.judged_b else LOST
        sections[well if turn.before > Severity.NOTE else NO_NOTES].append(turn)
    sections[AS_BEFORE] += comparison.still
    return sections


def _places(turns: Sequence[Turn]) -> int:
    """How many layers turns speak of; an item counts as one."""
    return len({turn.layer for turn in turns})


def _share(turns: Sequence[Turn], of: str) -> str:
    """So many `of` the layers, an item, or both."""
    item = any(turn.layer is None for turn in turns)
    layers = _places(turns) - item
    return " and ".join([f"{layers} of {of}"] * bool(layers) + ["an item"] * item)


def _ids(turns: Sequence[Turn]) -> str:
    return listed(list(dict.fromkeys(turn.id for turn in turns)))


def _print_headline(comparison: Comparison, console: Console) -> None:
    text, severity = headline(comparison)
    print_paragraph(console, text, style=glyph(severity, console)[1])


def _print_sides(comparison: Comparison, console: Console) -> None:
    for letter, side in (("A", comparison.a), ("B", comparison.b)):
        text = f"{side.run}: {side.phase}, step {side.step:,}"
        items = "" if comparison.items_differ is False else f"; {_items(side)}"
        print_paragraph(console, text + items, first=(f"{letter}  ", "bold"))
    if comparison.items_differ is False:
        print_paragraph(console, f"the same in both: {_items(comparison.a)}", indent="   ")
        return
    text = "The items differ: means are of other inputs, and may change for that alone."
    if comparison.items_differ is None:
        text = f"The {comparison.items.why}. If they differ, means may change for that alone."
    print_paragraph(console, text, style="yellow")


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
        words = _turned(heads, comparison)
        print_line(console, f"  layer {layer:>{digits}}  ", *before, gap, *after, f"   {words}")
    print_legend(console, (v for c in comparison.heads for v in (c.verdict_a, c.verdict_b)))


def _signs(
    verdicts: Sequence[Verdict], console: Console, *, counts: bool
) -> list[str | tuple[str, str]]:
    if not counts:
        return [sign(verdict, console) for verdict in verdicts]
    found = Counter(sign(verdict, console) for verdict in verdicts)
    return [(f"{count}{mark} ", style) for (mark, style), count in found.most_common()]


def _turned(heads: Sequence[Change], comparison: Comparison) -> str:
    """How many heads are worse or better; those that one side could not judge are told apart."""
    turns = (*comparison.sick, *comparison.well)
    blind = {(turn.layer, turn.id) for turn in turns if not (turn.judged_a and turn.judged_b)}
    found: Counter[str] = Counter()
    for change in heads:
        a, b = change.verdict_a, change.verdict_b
        if a.severity != b.severity:
            worst = max(a, b, key=lambda verdict: verdict.severity)
            word = "worse" if b.severity > a.severity else "better"
            side = "A" if b.severity > a.severity else "B"
            unknown = (change.layer, worst.check) in blind
            found[f"not judged in {side}" if unknown else word] += 1
    return ", ".join(f"{count} {word}" for word, count in found.items())


def _print_numbers(changes: Sequence[Change], console: Console) -> None:
    """Metrics before and after; what changed in no digit that is shown stands once."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim")
    by_head = bool(changes) and changes[0].head is not None
    names = ("layer", "head") if by_head else ("layer",)
    for name in names:
        table.add_column(name, justify="right", vertical="bottom")
    there = [name for name in OF_CHANGES if any(c.a.get(name) is not None for c in changes)]
    for name in there[: max(2, (console.width - 7 * len(names)) // _CELL)]:
        table.add_column(_plain_lines(TITLES[name], console), justify="right")
    shown = there[: len(table.columns) - len(names)]
    for change in changes:
        place = [str(change.layer), str(change.head)][: len(names)]
        cells = [_cell(change.a.get(name), change.b.get(name), console) for name in shown]
        table.add_row(*(Text(text) for text in place), *cells)
    console.print(table)


def _plain_lines(text: str, console: Console) -> str:
    """Each line of `text` in characters that the console's encoding has."""
    return "\n".join(plain(line, console) for line in text.split("\n"))


def _cell(a: Value, b: Value, console: Console) -> Text:
    from rich.text import Text

    before, after = short(a), short(b)
    if before == after:
        return Text(plain(before, console), style="dim")
    return Text(plain(f"{before} → {after}", console))


def _print_turns(title: str, turns: Sequence[Turn], console: Console) -> None:
    """One line per check and severities: its layers, and its first metric on heads that show it."""
    if not turns:
        return
    console.print()
    print_line(console, (title, "bold"))

    groups: dict[tuple[str, str, str], list[Turn]] = {}
    for turn in turns:
        before = _severity(turn.before, turn.judged_a)
        after = _severity(turn.after, turn.judged_b)
        groups.setdefault((turn.id, before, after), []).append(turn)
    for (check, before, after), same in groups.items():
        mark, style = glyph(_told(title, same[0]), console)
        severities = after if before == after else f"{before} → {after}"
        text = f"{check} {same[0].name}, {severities}: {_where(same)}{_values(same)}"
        print_paragraph(console, text, indent="  ", first=(f"{mark} ", style))


def _told(title: str, turn: Turn) -> Severity:
    """The severity whose glyph leads a line: what became of it, where it got well."""
    return turn.after if title in (WELL, NO_NOTES) else max(turn.before, turn.after)


def _where(turns: Sequence[Turn]) -> str:
    layers = [turn.layer for turn in turns if turn.layer is not None]
    if not layers:
        return "the item"
    text = f"layer{'' if len(layers) == 1 else 's'} {ranges(layers)}"
    if len(turns) > 1 or not turns[0].numbers:
        return text
    heads = [found.head for found in turns[0].numbers]
    return f"{text}, head{'' if len(heads) == 1 else 's'} {ranges(heads)}"


def _values(turns: Sequence[Turn]) -> str:
    """The numbers of the heads that show it; of an item, the means over all."""
    pairs = [(found.a, found.b) for turn in turns for found in turn.numbers]
    pairs = pairs or [(turn.a, turn.b) for turn in turns if turn.layer is None]
    before, after = (_numbers(side) for side in zip(*pairs, strict=True)) if pairs else ([], [])
    if not before or not after:
        return ""
    one, other = span(before), span(after)
    some = " of the heads that show it" if len(turns) > 1 and turns[0].numbers else ""
    return f"; {turns[0].metric}{some} {one if one == other else f'{one} → {other}'}"


def _numbers(values: Sequence[Value]) -> list[float]:
    return [float(v) for v in values if v is not None and not isinstance(v, str)]


def _print_one_sided(comparison: Comparison, console: Console) -> None:
    sides: Mapping[str, Sequence[int]] = {"A": comparison.only_a, "B": comparison.only_b}
    for letter, layers in sides.items():
        if layers:
            console.print()
            some = f"layer{'' if len(layers) == 1 else 's'} {ranges(layers)}"
            print_paragraph(console, f"Only {letter} has {some}: not compared.")
