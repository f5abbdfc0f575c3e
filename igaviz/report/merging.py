"""What `igaviz merge` made, as text and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from igaviz.checks.wording import counted
from igaviz.report.common import damage_json
from igaviz.report.terminal import print_line, print_paragraph
from igaviz.selection import format_numbers
from igaviz.survey.merge import Merged

if TYPE_CHECKING:
    from rich.console import Console


SCHEMA = "igaviz.merge/1"


def merged_json(merged: Merged) -> dict[str, object]:
    """`igaviz merge --json`: the file, what is in it, what was left out."""
    return {
        "schema": SCHEMA,
        "path": str(merged.path),
        "run": merged.run,
        "bytes": merged.n_bytes,
        "maps": merged.maps,
        "maps_left_out": merged.chosen - merged.maps,
        "phases": list(merged.phases),
        "steps": list(merged.steps),
        "ranks": list(merged.ranks),
        "layers": list(merged.layers),
        "scalars_left": merged.scalars_left,
        "damaged": damage_json(merged.damaged),
    }


def print_merged(merged: Merged, console: Console) -> None:
    """Print the path of the file, then what is in it, and what stayed where it was."""
    print_line(console, str(merged.path))
    steps = f"{counted(len(merged.steps), 'step')} ({format_numbers(merged.steps)})"
    parts = [
        counted(merged.maps, "map"),
        steps,
        f"phase{'' if len(merged.phases) == 1 else 's'} {', '.join(merged.phases)}",
        counted(len(merged.layers), "layer"),
        counted(len(merged.ranks), "rank"),
        f"{merged.n_bytes / 1e6:,.1f} MB",
    ]
    print_paragraph(console, f"{merged.run}: {', '.join(parts)}")
    left = merged.chosen - merged.maps
    if left:
        print_paragraph(console, f"{counted(left, 'damaged map')} left out.", style="bold red")
    if merged.scalars_left:
        text = (
            "The run's scalars files stay where they are: copied into one folder with this file, "
            "both are read together."
        )
        print_paragraph(console, text)
