"""Text that any terminal can show: strangers' names made harmless, signs it lacks spelled out."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


PROSE_WIDTH = 100
"""Columns beyond which lines of prose are no longer pleasant to read."""

_ALL_NAMED = 12
_NAMED = 3
"""Up to so many files of a folder are named each; of more, so many."""

_SPELLED = {
    **{"γ": "gamma", "σ": "sigma", "α": "a", "Å": "A", "√": "sqrt ", "Δ": "d"},
    **{"×": "x", "÷": "/", "−": "-", "–": "-", "·": ".", "±": "+-", "…": "...", "⁶": "^6"},
    **{"½": "1/2", "²": "^2", "ᵀ": "^T", "Σ": "sum ", "ρ": "rho", "∞": "infinity"},
    **{"≥": ">=", "≤": "<=", "≈": "~", "→": "->"},
}
_NO_BREAK = "\N{NO-BREAK SPACE}"
_UNIT = re.compile(r"(?<=\d) (?=%|Å|nats?\b|ln\b)")


def plain(text: str, console: Console) -> str:
    """`text` on one line, in characters that the console's encoding has.

    Control characters, which a run's name may hold, become `?`.
    """
    return "".join(_shown(character, console.encoding) for character in text)


def encodable(text: str, console: Console) -> bool:
    """Whether the console's encoding has every character of `text`."""
    return all(_has(character, console.encoding) for character in text)


def print_line(console: Console, *parts: str | tuple[str, str]) -> None:
    """Print one line of parts, each text or (text, style), as they are: never wrapped or cut."""
    from rich.text import Text

    line = Text()
    for part in parts:
        text, style = part if isinstance(part, tuple) else (part, "")
        line.append(plain(text, console), style)
    line.rstrip()
    console.print(line, soft_wrap=True)


def print_paths(console: Console, paths: Iterable[Path]) -> None:
    """Print the paths of files, a line each; of a folder with many the first few, and how many."""
    for folder, group in groupby(paths, key=lambda path: path.parent):
        files = [str(path) for path in group]
        named = files if len(files) <= _ALL_NAMED else files[:_NAMED]
        for path in named:
            print_line(console, path)
        if len(files) > len(named):
            print_line(console, f"and {len(files) - len(named):,} more in {folder}")


def print_paragraph(
    console: Console,
    text: str,
    *,
    indent: str = "",
    first: str | tuple[str, str] = "",
    style: str = "",
    hang: str | None = None,
) -> None:
    """Print `text` wrapped to the console, indented, the first line led by `first`.

    `first` may be (text, style). The lines that follow are indented by `hang`, or else as far as
    the first is led. A number stays on the line of its unit.
    """
    from rich.text import Text

    kept = _UNIT.sub(_NO_BREAK, plain(text, console))
    words, words_style = first if isinstance(first, tuple) else (first, style)
    lead = f"{indent}{plain(words, console)}"
    further = " " * len(lead) if hang is None else hang
    lines = textwrap.wrap(
        kept,
        max(min(console.width, PROSE_WIDTH), len(further) + 20),
        initial_indent=lead,
        subsequent_indent=further,
        break_long_words=False,
        break_on_hyphens=False,
    )
    for number, line in enumerate(lines):
        shown = Text(line.replace(_NO_BREAK, " "), style)
        if number == 0:
            shown.stylize(words_style, 0, len(lead))
        console.print(shown, soft_wrap=True)


@lru_cache(maxsize=4096)
def _shown(character: str, encoding: str) -> str:
    if not character.isprintable():
        return " " if character.isspace() else "?"
    if _has(character, encoding):
        return character
    return _SPELLED.get(character, "?")


@lru_cache(maxsize=4096)
def _has(character: str, encoding: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
