"""Columns of text that keep within a width, on a terminal and as Markdown."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from igaviz.report.terminal import plain, print_line

if TYPE_CHECKING:
    from rich.console import Console


Cell = str | tuple[str, str]
"""Text, or (text, style)."""

_GAP = "  "
_MARKS = "\\`*_[]|~"


@dataclass(frozen=True)
class Column:
    """A title, in lines, over cells. `need` None stays at any width; else the least is kept first.

    `left` aligns to the left; numbers stand to the right.
    """

    title: str
    cells: Sequence[Cell]
    need: int | None = None
    left: bool = False

    @property
    def lines(self) -> list[str]:
        """The lines of the title."""
        return self.title.split("\n")

    @property
    def name(self) -> str:
        """The title on one line."""
        return self.title.replace("-\n", "").replace("/\n", "/").replace("\n", " ")


def print_columns(columns: Sequence[Column], console: Console, indent: str = "") -> tuple[str, ...]:
    """Print as many of the columns as the width holds; the titles of the others."""
    widths = {id(column): _width(column, console) for column in columns}
    room = console.width - len(indent)
    kept = list(columns)
    while sum(widths[id(c)] + len(_GAP) for c in kept) - len(_GAP) > room:
        optional = [column for column in kept if column.need is not None]
        if not optional:
            break
        kept.remove(max(optional, key=lambda column: column.need or 0))
    height = max(len(column.lines) for column in kept)
    titles = [[""] * (height - len(column.lines)) + column.lines for column in kept]
    for level in range(height):
        cells = [
            _padded(title[level], widths[id(column)], column, console)
            for column, title in zip(kept, titles, strict=True)
        ]
        print_line(console, indent, (_GAP.join(cells).rstrip(), "dim"))
    for row in zip(*(column.cells for column in kept), strict=True):
        parts: list[Cell] = [indent]
        for column, cell in zip(kept, row, strict=True):
            text, style = cell if isinstance(cell, tuple) else (cell, "")
            gap = _GAP if len(parts) > 1 else ""
            parts += [gap, (_padded(text, widths[id(column)], column, console), style)]
        print_line(console, *parts)
    return tuple(column.name for column in columns if column not in kept)


def _width(column: Column, console: Console) -> int:
    from rich.cells import cell_len

    texts = [cell if isinstance(cell, str) else cell[0] for cell in column.cells]
    return max(cell_len(plain(text, console)) for text in (*column.lines, *texts))


def _padded(text: str, width: int, column: Column, console: Console) -> str:
    from rich.cells import cell_len

    shown = plain(text, console)
    space = " " * (width - cell_len(shown))
    return f"{shown}{space}" if column.left else f"{space}{shown}"


def markdown_header(columns: Sequence[Column]) -> list[str]:
    """The two lines that begin a table of GitHub's Markdown."""
    names = [markdown_text(column.name) for column in columns]
    marks = [":--" if column.left else "--:" for column in columns]
    return [_markdown_row(names), _markdown_row(marks)]


def markdown_rows(columns: Sequence[Column]) -> list[str]:
    """A line of Markdown per row."""
    rows = zip(*(column.cells for column in columns), strict=True)
    return [
        _markdown_row([markdown_text(cell if isinstance(cell, str) else cell[0]) for cell in row])
        for row in rows
    ]


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def markdown_text(text: str) -> str:
    """`text` as it stands: no sign of it is Markdown's or HTML's."""
    shown = "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text)
    return "".join(f"\\{c}" if c in _MARKS else c for c in html.escape(shown, quote=False))
