"""The table of verdicts, layers × heads: one glyph each, read in three seconds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.console import Console

from igaviz.checks import worst
from igaviz.checks.finding import NOT_JUDGED, LayerRow, Severity, Verdict
from igaviz.report.terminal import encodable, print_line

_STYLES = {
    Severity.HEALTHY: "green",
    Severity.NOTE: "cyan",
    Severity.WARNING: "yellow",
    Severity.ERROR: "bold red",
}
_GLYPHS = {
    Severity.HEALTHY: "·",
    Severity.NOTE: "○",
    Severity.WARNING: "▲",
    Severity.ERROR: "✖",
}
_ASCII = {
    Severity.HEALTHY: ".",
    Severity.NOTE: "o",
    Severity.WARNING: "!",
    Severity.ERROR: "X",
}
_UNKNOWN = "?"
_EVERY = (1, 2, 5, 10, 20, 50)


def glyph(severity: Severity, console: Console) -> tuple[str, str]:
    """The glyph of a severity and its style, in ASCII where the console has nothing else."""
    rich = encodable("".join(_GLYPHS.values()), console)
    return (_GLYPHS if rich else _ASCII)[severity], _STYLES[severity]


def print_verdict_table(rows: Sequence[LayerRow], console: Console) -> None:
    """Print each run's and phase's layers at its last step, a legend below."""
    for (run, phase, step), layers in groupby(rows, key=lambda row: row[:3]):
        print_line(console, (run, "bold"), f"  {phase}, step {step:,}")
        _print_layers(list(layers), console)
    if rows:
        legend: list[str | tuple[str, str]] = ["  "]
        for severity in reversed(Severity):
            legend += [glyph(severity, console), f" {severity}   "]
        if any(verdict == NOT_JUDGED for row in rows for _, verdict in row.heads):
            legend += [(_UNKNOWN, "dim"), " not judged"]
        print_line(console, *legend)


def _print_layers(rows: Sequence[LayerRow], console: Console) -> None:
    """One block of lines; several where the heads are too many for the width."""
    heads = sorted({head for row in rows for head, _ in row.heads})
    digits = max(len(str(row.layer)) for row in rows)
    lead = len("  layer   ") + digits
    room = max(console.width - lead, 10)
    cell = 2 if 2 * len(heads) <= room else 1
    for start in range(0, len(heads), room // cell):
        block = heads[start : start + room // cell]
        print_line(console, (f"{'head':>{lead - 2}}  {_header(block, cell)}", "dim"))
        last = block[-1] == heads[-1]
        for row in rows:
            words = _words(row, room - cell * len(block) - 1) if last else ""
            signs = _signs(row, block, cell, console)
            print_line(console, f"  layer {row.layer:>{digits}}  ", *signs, f" {words}")


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
    return (_UNKNOWN, "dim") if verdict == NOT_JUDGED else glyph(verdict.severity, console)


def _words(row: LayerRow, room: int) -> str:
    """The worst head's verdict in words, as far as there is room; none where all is well."""
    verdict = worst(verdict for _, verdict in row.heads)
    if verdict.check is None:
        return ""
    words = f"{verdict.check} {verdict.words}"
    return words if len(words) <= room else verdict.check if len(verdict.check) <= room else ""
