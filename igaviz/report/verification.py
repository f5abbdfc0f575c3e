"""`igaviz verify` as text and as JSON."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from igaviz.checks.wording import counted, ranges, span
from igaviz.dump import describe
from igaviz.report.common import damage_json, finite
from igaviz.report.terminal import print_line, print_paragraph
from igaviz.survey.verify import Problem, Verification

if TYPE_CHECKING:
    from rich.console import Console


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
    """Print each damaged piece, each invariant that a layer breaks, then what was looked at."""
    for piece in found.damaged:
        print_line(console, (f"skipped  {describe(piece)}", "red"))
    for same in _alike(found.problems):
        print_line(console, (_told(same), "yellow"))
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


def _alike(problems: Sequence[Problem]) -> list[list[Problem]]:
    """Those that break the same invariant in the same layer of a file, in the order they come."""
    found: dict[tuple[str, str, str], list[Problem]] = defaultdict(list)
    for problem in problems:
        found[problem.path, problem.group, problem.id].append(problem)
    return list(found.values())


def _told(same: Sequence[Problem]) -> str:
    """One line about the heads of a layer that break an invariant, with the range of numbers."""
    first = same[0]
    heads = f"head{'s' if len(same) > 1 else ''} {ranges(problem.head for problem in same)}"
    known = [problem.value for problem in same if problem.value is not None]
    numbers = f" ({first.metric} {span(known)})" if known else ""
    return f"{first.id}     {first.path}:{first.group} ({heads}): {first.words}{numbers}"


def _kept(found: Verification) -> str:
    """The invariants that hold; of how many maps, where not all of them could tell."""
    said = []
    for check, words in _INVARIANTS.items():
        judged = found.judged[check]
        of = "" if judged == found.maps else f" (judged on {counted(judged, 'map')})"
        if judged:
            said.append(f"{words}{of}")
    return f"; {', '.join(said)}" if said else ""
