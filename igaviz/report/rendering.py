"""What `igaviz render` drew, as text and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from igaviz.checks.wording import counted
from igaviz.dump.data import Damage
from igaviz.report.common import damage_json
from igaviz.report.terminal import print_line, print_paths
from igaviz.survey.drawing.drawn import Rendering

if TYPE_CHECKING:
    from rich.console import Console


SCHEMA = "igaviz.render/1"


def rendering_json(rendering: Rendering, damaged: Sequence[Damage]) -> dict[str, object]:
    """`igaviz render --json`: pictures, what they show, verdicts, failures, damage."""
    return {
        "schema": SCHEMA,
        "pictures": [
            {
                "path": str(picture.path),
                "figure": picture.figure,
                **picture.shown._asdict(),
                "verdict": picture.verdict,
                "severity": picture.severity,
            }
            for picture in rendering.pictures
        ],
        "failed": [{"path": str(path), "reason": reason} for path, reason in rendering.failed],
        "damaged": damage_json(damaged),
    }


def print_rendering(rendering: Rendering, console: Console) -> None:
    """Print the pictures' paths, then how many there are and what the maps' verdicts are.

    Of a folder with many pictures the first few are named, and the others counted: the JSON names
    each.
    """
    print_paths(console, [picture.path for picture in rendering.pictures])
    maps = {p.shown: p.verdict for p in rendering.pictures if p.shown.head is not None}
    verdicts = "; ".join(
        f"{count} {words}" for words, count in Counter(maps.values()).most_common()
    )
    said = counted(len(rendering.pictures), "picture")
    if maps:
        said += f" of {counted(len(maps), 'map')} ({verdicts})"
    others = sum(p.shown.head is None for p in rendering.pictures)
    if maps and others:
        said += f", {others} of them of layers, steps or runs"
    print_line(console, said)
