"""`igaviz merge`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from igaviz.cli import options


def merge(
    dump: options.DumpPaths,
    layer: options.Layer = "all",
    head: options.Head = "all",
    batch: options.Batch = "all",
    step: options.Step = "all",
    phase: Annotated[str, typer.Option(help="train, val, sample, probe or all.")] = "all",
    rank: options.Rank = "all",
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="The file to make.")
    ] = Path("merged.h5"),
    force: options.Force = False,
    json: options.Json = False,
) -> int:
    """Make one portable file from many shards, or a selection; damaged pieces are left out."""
    from igaviz.cli import console
    from igaviz.errors import OutputError
    from igaviz.report.merging import merged_json, print_merged
    from igaviz.survey.merge import merge as merge_shards

    if any(path.is_dir() and path.resolve() == out.resolve().parent for path in dump):
        raise OutputError(
            f"{out}: it would lie beside its shards, and that folder hold every map twice",
            hint="choose another folder with --out",
        )
    choice = options.choose(layer=layer, head=head, batch=batch, step=step, rank=rank, phase=phase)
    opened = options.open_paths(dump)
    with console.progress("merging", "maps") as advance:
        merged = merge_shards(opened, choice, out=out, force=force, progress=advance)
    if json:
        console.print_json(merged_json(merged))
    else:
        print_merged(merged, console.out())
    return int(console.report_damage(merged.damaged, opened.warnings))
