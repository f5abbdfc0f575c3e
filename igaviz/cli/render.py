"""`igaviz render`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from igaviz.cli import options
from igaviz.defaults import DPI, LOCAL_RADIUS


class Format(StrEnum):
    """The file formats of pictures."""

    PNG = "png"
    SVG = "svg"
    PDF = "pdf"


class Style(StrEnum):
    """The colours of pictures."""

    LIGHT = "light"
    DARK = "dark"


class Scale(StrEnum):
    """The scale of attention."""

    LOG = "log"
    LINEAR = "linear"


def render(
    dump: options.DumpPaths,
    layer: Annotated[
        str | None,
        typer.Option(
            help="Layers: 3, 0,2-4, all; needed for pictures of maps and layers unless there is "
            "only one.",
            show_default=False,
        ),
    ] = None,
    head: options.Head = "all",
    batch: Annotated[
        str | None,
        typer.Option(
            help="Batch items, by their position in the batch; if left out, 0 (trajectories: all).",
            show_default=False,
        ),
    ] = None,
    step: Annotated[
        str | None,
        typer.Option(
            help="Steps: 100, first, last, all, 1000:5000:500; if left out, last "
            "(trajectories: all).",
            show_default=False,
        ),
    ] = None,
    phase: options.Phase = None,
    rank: options.Rank = "all",
    figure: Annotated[
        str,
        typer.Option(
            help="Any of overview, profiles, statistics, grid, heads, trajectory, effect, terms, "
            "separation, contacts; or all."
        ),
    ] = "overview,profiles,statistics",
    metric: Annotated[
        str | None,
        typer.Option(
            help="The metric that heads and trajectory show, by its name in summary; if left out, "
            "the heads' types and a few telling metrics.",
            show_default=False,
        ),
    ] = None,
    query: Annotated[
        str | None,
        typer.Option(help="Up to four queries, by residue number: 57, A/57.", show_default=False),
    ] = None,
    residues: Annotated[
        str | None,
        typer.Option(help="Show only these residues: 10-50, A/10-50.", show_default=False),
    ] = None,
    radius: options.Radius = LOCAL_RADIUS,
    scale: Annotated[Scale, typer.Option(help="The scale of attention.")] = Scale.LOG,
    relative: Annotated[
        bool, typer.Option("--relative", help="Draw logits as each row minus its maximum.")
    ] = False,
    format: Annotated[Format, typer.Option(help="The format of the pictures.")] = Format.PNG,
    style: Annotated[
        Style, typer.Option(help="The colours: light for print, dark for slides.")
    ] = Style.LIGHT,
    dpi: Annotated[int, typer.Option(min=20, max=600, help="Dots per inch.")] = DPI,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder for the pictures.")] = Path(
        "attention_vis"
    ),
    jobs: options.Jobs = None,
    no_cache: options.NoCache = False,
    scheduler: options.Scheduler = None,
    part: options.Part = None,
    force: options.Force = False,
    json: options.Json = False,
) -> int:
    """Draw figures of the chosen maps, layers, steps and runs: by default three of each map."""
    from igaviz.cli import console
    from igaviz.figures import View
    from igaviz.report.rendering import print_rendering, rendering_json
    from igaviz.selection import Residues
    from igaviz.survey import render as survey
    from igaviz.survey.drawing import pictures
    from igaviz.survey.parts.part import Part

    share = None if part is None else Part.parse(part)
    chosen = pictures.Style(
        figures=survey.figure_names(figure),
        view=View(scale=scale.value, relative=relative, radius=radius, style=style.value),
        residues=None if residues is None else Residues.parse(residues),
        queries=None if query is None else Residues.parse(query),
        metric=metric,
        format=format.value,
        dpi=dpi,
    )
    workers = options.workers(jobs, no_cache, scheduler)
    opened = options.open_paths(dump, workers)
    choice = options.choose(layer=layer, head=head, batch=batch, step=step, rank=rank, phase=phase)
    with (
        console.progress("measuring", "maps") as measuring,
        console.progress("drawing", "pictures") as advance,
    ):
        rendering = survey.render(
            opened,
            choice,
            part=share,
            out=out,
            style=chosen,
            force=force,
            jobs=workers,
            progress=advance,
            measuring=measuring,
        )
    damaged = (*opened.damaged, *rendering.damaged)
    if json:
        console.print_json(rendering_json(rendering, damaged))
    else:
        print_rendering(rendering, console.out())
    for path, reason in rendering.failed:
        console.message(f"{path}: {reason}")
    options.report_cache(workers)
    hurt = console.report_damage(damaged, opened.warnings)
    if share is not None and rendering.nothing_due:
        console.message(f"no picture falls to part {share}")
    elif not rendering.pictures:
        return options.NOTHING_DONE
    return int(hurt or bool(rendering.failed))
