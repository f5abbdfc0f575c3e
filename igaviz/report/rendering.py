"""What `igaviz render` drew, as text and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console

from igaviz.dump.data import Damage
from igaviz.report.common import damage_json
from igaviz.survey.render import Rendering

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
    """Print the path of each picture, then how many there are and what the maps' verdicts are."""
    for picture in rendering.pictures:
        console.print(str(picture.path), soft_wrap=True)
    maps = {p.shown: p.verdict for p in rendering.pictures if p.shown.head is not None}
    verdicts = ", ".join(
        f"{count} {words}" for words, count in Counter(maps.values()).most_common()
    )
    said = _counted(len(rendering.pictures), "picture")
    if maps:
        said += f" of {_counted(len(maps), 'map')} ({verdicts})"
    others = sum(p.shown.head is None for p in rendering.pictures)
    if maps and others:
        said += f", {others} of them of layers, steps or runs"
    console.print(said, soft_wrap=True)


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
