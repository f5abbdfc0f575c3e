"""`igaviz export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from igaviz.cli import options


def export(
    dump: options.DumpPaths,
    layer: Annotated[
        str | None,
        typer.Option(
            help="Layers: 3, 0,2-4, all; needed unless there is only one.", show_default=False
        ),
    ] = None,
    head: options.Head = "all",
    batch: Annotated[
        str | None,
        typer.Option(
            help="Batch items, by their position in the batch; 0 if left out.", show_default=False
        ),
    ] = None,
    step: Annotated[
        str | None,
        typer.Option(
            help="Steps: 100, first, last, all, 1000:5000:500; last if left out.",
            show_default=False,
        ),
    ] = None,
    phase: options.Phase = None,
    rank: options.Rank = "all",
    format: Annotated[
        str,
        typer.Option(
            help="Any of mmcif, pdb, pymol, chimerax, npz; or all. Scripts load the mmCIF file."
        ),
    ] = "mmcif,pymol,chimerax",
    query: Annotated[
        str | None,
        typer.Option(
            help="Attention of these queries only, by residue number: 57, A/57, 10-50.",
            show_default=False,
        ),
    ] = None,
    pairs: Annotated[
        int, typer.Option(min=0, max=1000, help="How many of a map's strongest pairs to draw.")
    ] = 50,
    longrange: Annotated[
        bool,
        typer.Option(
            "--longrange",
            help="Draw only pairs in different chains, or at least 6 apart in sequence.",
        ),
    ] = False,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder for the files.")] = Path(
        "attention_export"
    ),
    jobs: options.Jobs = None,
    force: options.Force = False,
    json: options.Json = False,
) -> int:
    """Write attention for PyMOL, ChimeraX and others: as B-factors, as bonds, as .npz arrays."""
    from igaviz.cli import console
    from igaviz.report.exporting import exported_json, print_exported
    from igaviz.selection import Residues
    from igaviz.survey import export as survey

    wanted = survey.Wanted(
        formats=survey.formats_of(format),
        queries=None if query is None else Residues.parse(query),
        pairs=pairs,
        long_range=longrange,
    )
    choice = options.choose(layer=layer, head=head, batch=batch, step=step, rank=rank, phase=phase)
    opened = options.open_paths(dump)
    with console.progress("exporting", "maps") as advance:
        exported = survey.export(
            opened,
            choice,
            out=out,
            wanted=wanted,
            force=force,
            jobs=options.worker_count(jobs),
            progress=advance,
        )
    damaged = dict.fromkeys((*opened.damaged, *exported.damaged))
    if json:
        console.print_json(exported_json(exported, damaged))
    elif exported.maps:
        print_exported(exported, console.out())
    for path, reason in exported.failed:
        console.message(f"{path}: {reason}")
    hurt = console.report_damage(damaged, opened.warnings)
    if not exported.maps:
        return options.NOTHING_DONE
    return int(hurt or bool(exported.failed))
