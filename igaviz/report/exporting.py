"""What `igaviz export` wrote, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from igaviz.checks.wording import counted
from igaviz.dump.data import Damage
from igaviz.report.common import damage_json
from igaviz.report.terminal import print_line, print_paragraph, print_paths
from igaviz.survey.export import Exported

if TYPE_CHECKING:
    from rich.console import Console


SCHEMA = "igaviz.export/1"


def exported_json(exported: Exported, damaged: Iterable[Damage]) -> dict[str, object]:
    """`igaviz export --json`: maps with their files, failures, damage."""
    return {
        "schema": SCHEMA,
        "maps": [
            {
                **found.id._asdict(),
                "item": found.item,
                "files": [str(path) for path in found.files],
                "residues": found.residues,
                "residues_left_out": found.left_out,
                "queries_left_out": found.rows_left_out,
                "pairs": found.pairs,
                "pairs_long_range": found.long_range,
            }
            for found in exported.maps
        ],
        "failed": [{"path": str(path), "reason": reason} for path, reason in exported.failed],
        "damaged": damage_json(damaged),
    }


def print_exported(exported: Exported, console: Console) -> None:
    """Print the files' paths, what is in them and what was left out, and how to open one."""
    print_paths(console, [path for found in exported.maps for path in found.files])
    files = sum(len(found.files) for found in exported.maps)
    print_line(console, f"{counted(files, 'file')} of {counted(len(exported.maps), 'map')}")
    pairs = sum(found.pairs for found in exported.maps)
    near = pairs - sum(found.long_range for found in exported.maps)
    if near:
        text = (
            f"{near:,} of the {pairs:,} strongest pairs are of neighbours in sequence: --longrange "
            "draws the others alone."
        )
        print_paragraph(console, text)
    for left, what in (
        (sum(found.left_out for found in exported.maps), "residue"),
        (sum(found.rows_left_out for found in exported.maps), "query row"),
    ):
        if left:
            print_paragraph(console, f"{counted(left, what)} left out: not finite.", style="bold")
    for suffix, program in ((".pml", "pymol"), (".cxc", "chimerax")):
        scripts = [p for found in exported.maps for p in found.files if p.suffix == suffix]
        if scripts:
            print_line(console, f"open one with: {program} {scripts[0]}")
