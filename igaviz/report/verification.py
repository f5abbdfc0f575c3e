"""`igaviz verify` as text and as JSON."""

from __future__ import annotations

from rich.console import Console

from igaviz.checks.wording import counted
from igaviz.dump import describe
from igaviz.report.common import damage_json, finite
from igaviz.report.terminal import print_line, print_paragraph
from igaviz.survey.verify import Verification

SCHEMA = "igaviz.verify/1"

_INVARIANTS = {
    "D001": "numbers are finite",
    "D002": "rows sum to 1",
    "D003": "terms replay",
}


def verification_json(found: Verification) -> dict[str, object]:
    """`igaviz verify --json`: counts, `problems` map by map, `damaged` pieces."""
    return {
        "schema": SCHEMA,
        "whole": found.whole,
        "shards": found.shards,
        "maps": found.maps,
        "scalar_lines": found.scalar_lines,
        "judged": dict(found.judged),
        "problems": [
            {
                "path": problem.path,
                "where": problem.where,
                "id": problem.id,
                "metric": problem.metric,
                "value": finite(problem.value),
                "message": problem.words,
            }
            for problem in found.problems
        ],
        "damaged": damage_json(found.damaged),
    }


def print_verification(found: Verification, console: Console) -> None:
    """Print each damaged piece and each broken invariant, then what was looked at."""
    for piece in found.damaged:
        print_line(console, (f"skipped  {describe(piece)}", "red"))
    for problem in found.problems:
        number = "" if problem.value is None else f" ({problem.metric} {problem.value:.3g})"
        told = f"{problem.id}     {problem.path}:{problem.where}: {problem.words}{number}"
        print_line(console, (told, "yellow"))
    looked_at = ", ".join(
        (
            counted(found.shards, "shard"),
            counted(found.maps, "map"),
            counted(found.scalar_lines, "scalars line"),
        )
    )
    if found.whole:
        print_paragraph(console, f"whole: {looked_at} read{_kept(found)}")
    else:
        print_paragraph(
            console,
            f"not whole: {counted(len(found.damaged), 'piece')} skipped, "
            f"{counted(len(found.problems), 'map')} with a broken invariant; {looked_at} read",
        )


def _kept(found: Verification) -> str:
    """The invariants that hold; of how many maps, where not all of them could tell."""
    said = []
    for check, words in _INVARIANTS.items():
        judged = found.judged[check]
        of = "" if judged == found.maps else f" (judged on {counted(judged, 'map')})"
        if judged:
            said.append(f"{words}{of}")
    return f"; {', '.join(said)}" if said else ""
