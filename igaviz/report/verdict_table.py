"""The table of verdicts, layers × heads: one glyph each, read in three seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from igaviz.checks import worst
from igaviz.checks.finding import (
    GEOMETRY_NOT_JUDGED,
    NOT_JUDGED,
    LayerRow,
    LookedAt,
    Severity,
    Verdict,
)
from igaviz.checks.wording import counted
from igaviz.report.terminal import encodable, print_line, print_paragraph
from igaviz.signs import GEOMETRY_UNKNOWN, SIGNS, UNKNOWN

if TYPE_CHECKING:
    from rich.console import Console


_STYLES = {
    Severity.HEALTHY: "green",
    Severity.NOTE: "cyan",
    Severity.WARNING: "yellow",
    Severity.ERROR: "bold red",
}
_EVERY = (1, 2, 5, 10, 20, 50)
_LEAST_WORDS = 5
"""Columns for the id of a check behind a row."""


def glyph(severity: Severity, console: Console) -> tuple[str, str]:
    """The glyph of a severity and its style, in ASCII where the console has nothing else."""
    found = SIGNS[str(severity)]
    return found.mark if _rich(console) else found.ascii, _STYLES[severity]


def sign(verdict: Verdict, console: Console) -> tuple[str, str]:
    """The glyph of a verdict and its style: the severity's, or what says how little was judged."""
    if verdict == NOT_JUDGED:
        return UNKNOWN, "dim"
    if verdict == GEOMETRY_NOT_JUDGED:
        return GEOMETRY_UNKNOWN.mark if _rich(console) else GEOMETRY_UNKNOWN.ascii, "dim"
    return glyph(verdict.severity, console)


def _rich(console: Console) -> bool:
    marks = [found.mark for found in (*SIGNS.values(), GEOMETRY_UNKNOWN)]
    return encodable("".join(marks), console)


def print_verdict_table(
    rows: Sequence[LayerRow], looked_at: Sequence[LookedAt], console: Console
) -> None:
    """Print each run's and phase's layers at its last step, and what they are; a legend below."""
    parts = {(part.run, part.phase): part for part in looked_at}
    for (run, phase), layers in groupby(rows, key=lambda row: row[:2]):
        print_paragraph(console, _content(parts[run, phase]), first=(f"{run}  ", "bold"), hang="  ")
        _print_layers(list(layers), console)
    print_legend(console, (verdict for row in rows for _, verdict in row.heads))


def _content(part: LookedAt) -> str:
    """Of how much the verdict is: the step, and how many layers, heads and items there are."""
    last = f" (the last of {part.steps:,})" if part.steps > 1 else ""
    some = f"{part.heads} of " if part.heads < part.of_heads else ""
    size = f"{counted(part.layers, 'layer')} × {some}{counted(part.of_heads, 'head')}"
    items = f" × {counted(part.items, 'item')}" if part.items > 1 else ""
    return f"{part.phase}, step {part.last_step:,}{last}: {size}{items}"


def print_legend(console: Console, shown: Iterable[Verdict]) -> None:
    """Print what each glyph means, in as few lines as the width allows.

    Those of what was not judged are told where they are among the `shown` verdicts.
    """
    entries = [(glyph(severity, console), str(severity)) for severity in reversed(Severity)]
    there = set(shown)
    entries += [
        (sign(verdict, console), verdict.words)
        for verdict in (GEOMETRY_NOT_JUDGED, NOT_JUDGED)
        if verdict in there
    ]
    line: list[str | tuple[str, str]] = []
    used = 0
    for mark, word in entries:
        needed = len(word) + 4
        if line and used + needed > console.width:
            print_line(console, *line)
            line, used = [], 0
        line += ["  ", mark, f" {word}"]
        used += needed
    print_line(console, *line)


def _print_layers(rows: Sequence[LayerRow], console: Console) -> None:
    """One block of lines; several where the heads are too many for the width."""
    heads = sorted({head for row in rows for head, _ in row.heads})
    digits = max(len(str(row.layer)) for row in rows)
    lead = len("  layer   ") + digits
    room = max(console.width - lead, 10)
    cell = 2 if 2 * len(heads) + _LEAST_WORDS <= room else 1
    blocks = -(-len(heads) * cell // room)
    size = -(-len(heads) // blocks)
    for start in range(0, len(heads), size):
        block = heads[start : start + size]
        print_line(console, (f"{'head':>{lead - 2}}  {_header(block, cell)}", "dim"))
        last = block[-1] == heads[-1]
        gap = " " * (3 - cell)
        for row in rows:
            words = _words(row, room - cell * len(block) - len(gap)) if last else ""
            signs = _signs(row, block, cell, console)
            print_line(console, f"  layer {row.layer:>{digits}}  ", *signs, f"{gap}{words}")


def _header(heads: Sequence[int], cell: int) -> str:
    """Every head's number, or every second, fifth, … where they would touch."""
    longest = max(len(str(head)) for head in heads)
    every = next((n for n in _EVERY if n * cell > longest), _EVERY[-1])
    return "".join(str(head).ljust(every * cell) for head in heads[::every]).rstrip()


def _signs(
    row: LayerRow, heads: Sequence[int], cell: int, console: Console
) -> list[tuple[str, str]]:
    verdicts = dict(row.heads)
    there = (verdicts.get(head) for head in heads)
    signs = (("", "") if verdict is None else sign(verdict, console) for verdict in there)
    return [(mark.ljust(cell), style) for mark, style in signs]


def _words(row: LayerRow, room: int) -> str:
    """The worst head's verdict in words, as far as there is room; none where all is well.

    Where heads are as bad for another reason, the ids of both.
    """
    verdict = worst(verdict for _, verdict in row.heads)
    if verdict.check is None:
        return ""
    alike = Counter(v.check for _, v in row.heads if v.check and v.severity == verdict.severity)
    ids = ", ".join(sorted(alike, key=lambda check: (check != verdict.check, -alike[check])))
    told = f"{verdict.check} {verdict.words}"
    others = ids.removeprefix(verdict.check)
    candidates = (f"{told}{others}", ids, verdict.check)
    return next((words for words in candidates if len(words) <= room), "")
