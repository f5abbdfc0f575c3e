"""The table of verdicts, layers × heads: one glyph each, read in three seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from rich.console import Console

from igaviz.checks import worst
from igaviz.checks.finding import NOT_JUDGED, LayerRow, LookedAt, Severity, Verdict
from igaviz.checks.wording import counted
from igaviz.report.terminal import encodable, print_line, print_paragraph
from igaviz.signs import SIGNS, UNKNOWN

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
    sign = SIGNS[str(severity)]
    rich = encodable("".join(sign.mark for sign in SIGNS.values()), console)
    return sign.mark if rich else sign.ascii, _STYLES[severity]


def print_verdict_table(
    rows: Sequence[LayerRow], looked_at: Sequence[LookedAt], console: Console
) -> None:
    """Print each run's and phase's layers at its last step, and what they are; a legend below."""
    parts = {(part.run, part.phase): part for part in looked_at}
    for (run, phase), layers in groupby(rows, key=lambda row: row[:2]):
        print_paragraph(console, _content(parts[run, phase]), first=(f"{run}  ", "bold"), hang="  ")
        _print_layers(list(layers), console)
    not_judged = any(verdict == NOT_JUDGED for row in rows for _, verdict in row.heads)
    print_legend(console, not_judged=not_judged)


def _content(part: LookedAt) -> str:
    """Of how much the verdict is: the step, and how many layers, heads and items there are."""
    last = f" (the last of {part.steps:,})" if part.steps > 1 else ""
    size = f"{counted(part.layers, 'layer')} × {counted(part.heads, 'head')}"
    items = f" × {counted(part.items, 'item')}" if part.items > 1 else ""
    return f"{part.phase}, step {part.last_step:,}{last}: {size}{items}"


def print_legend(console: Console, *, not_judged: bool) -> None:
    """Print what each glyph means, in as few lines as the width allows."""
    entries = [(glyph(severity, console), str(severity)) for severity in reversed(Severity)]
    if not_judged:
        entries.append(((UNKNOWN, "dim"), "not judged"))
    line: list[str | tuple[str, str]] = []
    used = 0
    for sign, word in entries:
        needed = len(word) + 4
        if line and used + needed > console.width:
            print_line(console, *line)
            line, used = [], 0
        line += ["  ", sign, f" {word}"]
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
    signs = (_sign(verdicts.get(head), console) for head in heads)
    return [(sign.ljust(cell), style) for sign, style in signs]


def _sign(verdict: Verdict | None, console: Console) -> tuple[str, str]:
    if verdict is None:
        return " ", ""
    return (UNKNOWN, "dim") if verdict == NOT_JUDGED else glyph(verdict.severity, console)


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
