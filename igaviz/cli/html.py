"""`igaviz summary --html`."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from igaviz.cli import options

if TYPE_CHECKING:
    from igaviz.survey.parts.join import Joined


def check(path: Path, *, force: bool) -> None:
    """Raise, before any work, what would keep the page from being written to `path`."""
    from igaviz.report.html import check_output

    check_output(path, force=force)


def write(given: Joined, path: Path, *, figures: int) -> int:
    """Write the page of the chosen runs to `path`, and name what was written."""
    from igaviz.cli import console
    from igaviz.dump import Damage
    from igaviz.report.html import write_page
    from igaviz.survey.page import page

    with (
        tempfile.TemporaryDirectory(prefix="igaviz-") as folder,
        console.progress("measuring", "maps") as advance,
        console.progress("reading", "steps of scalars") as reading,
        console.progress("drawing", "pictures") as drawing,
    ):
        gathered = page(
            given.dump,
            given.choice,
            folder=Path(folder),
            pictured=figures,
            radius=given.radius,
            jobs=given.jobs,
            progress=advance,
            reading=reading,
            drawing=drawing,
        )
        written = write_page(
            gathered,
            path,
            command=shlex.join(["igaviz", *console.Invoked.arguments]),
        )
    print(f"{written.path} ({written.n_bytes / 1e6:.1f} MB)")
    for linked in written.linked:
        print(linked)
    for picture, reason in gathered.rendering.failed:
        console.message(f"{picture.name}: {reason}")
    options.report_cache(given.jobs)
    pieces = (*gathered.diagnosis.damaged, *gathered.rendering.damaged)
    damaged = (Damage(piece.path, piece.where, piece.reason) for piece in pieces)
    hurt = console.report_damage(damaged, given.dump.warnings)
    return int(hurt or bool(gathered.rendering.failed))
