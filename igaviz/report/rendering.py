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
    """`igaviz render --json`: pictures with their maps and verdicts, failures, damage."""
    return {
        "schema": SCHEMA,
        "pictures": [
            {
                "path": str(picture.path),
                "figure": picture.figure,
                **picture.map._asdict(),
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
    maps = {picture.map: picture.verdict for picture in rendering.pictures}
    verdicts = ", ".join(
        f"{count} {words}" for words, count in Counter(maps.values()).most_common()
    )
    console.print(
        f"{len(rendering.pictures)} pictures of {len(maps)} maps ({verdicts})", soft_wrap=True
    )
