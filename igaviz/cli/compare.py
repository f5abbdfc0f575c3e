"""`igaviz compare`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from igaviz.cli import options
from igaviz.defaults import LOCAL_RADIUS


class By(StrEnum):
    """What the table of numbers has rows for."""

    LAYER = "layer"
    HEAD = "head"


def compare(
    dump: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN",
            help="Two runs, A and B; or one, to compare two of its steps.",
            show_default=False,
            parser=options.given_path,
        ),
    ],
    layer: options.Layer = "all",
    head: options.Head = "all",
    batch: options.Batch = "all",
    step: Annotated[
        str | None,
        typer.Option(
            help="The step of each run, last if left out; or two steps of one run: 100,1500, its "
            "first and last if left out.",
            show_default=False,
        ),
    ] = None,
    phase: Annotated[
        str | None,
        typer.Option(
            help="train, val, sample or probe; probe if both have it, else train.",
            show_default=False,
        ),
    ] = None,
    rank: options.Rank = "all",
    by: Annotated[By, typer.Option(help="Numbers layer by layer, or head by head.")] = By.LAYER,
    radius: options.Radius = LOCAL_RADIUS,
    fail_on: options.FailOnOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FOLDER",
            help="Draw a difference map of each chosen head into this folder.",
            show_default=False,
        ),
    ] = None,
    jobs: options.Jobs = None,
    no_cache: options.NoCache = False,
    scheduler: options.Scheduler = None,
    force: options.Force = False,
    json: options.Json = False,
) -> int:
    """Say what changed between two runs, or two steps of one: numbers, what got sick or well."""
    from igaviz.checks import Settings
    from igaviz.cli import console
    from igaviz.errors import UsageError
    from igaviz.report import comparison as report
    from igaviz.survey.compare import compare as compare_runs
    from igaviz.survey.differences import draw_differences

    if len(dump) > 2:
        raise UsageError(
            f"{len(dump)} dumps: two runs are compared, or two steps of one",
            hint="write igaviz compare A B, or igaviz compare A --step 100,1500",
        )
    if force and out is None:
        raise UsageError("--force: only for --out", hint="add --out FOLDER, or leave it out")
    settings = Settings.of(fail_on=None if fail_on is None else fail_on.value)
    choice = options.choose(
        layer=layer, head=head, batch=batch, step=step or "all", rank=rank, phase=phase
    )
    workers = options.workers(jobs, no_cache, scheduler)
    opened = [options.open_paths([path], workers) for path in dump]
    with console.progress("comparing", "maps") as advance:
        found = compare_runs(
            opened[0],
            opened[1] if len(opened) == 2 else None,
            choice,
            settings=settings,
            radius=radius,
            jobs=workers,
            progress=advance,
        )
    drawn = None
    if out is not None:
        with console.progress("drawing", "maps") as advance:
            drawn = draw_differences(found, out=out, force=force, jobs=workers, progress=advance)
    if json:
        console.print_json(report.comparison_json(found, drawn))
    else:
        report.print_comparison(found, console.out(), by=by.value)
        if drawn is not None:
            report.print_pictures(drawn, console.out())
    for path, reason in drawn.failed if drawn is not None else ():
        console.message(f"{path}: {reason}")
    options.report_cache(workers)
    damaged = dict.fromkeys((*found.damaged, *(drawn.damaged if drawn is not None else ())))
    warnings = [warning for one in opened for warning in one.warnings]
    hurt = console.report_damage(damaged, warnings)
    failed = drawn is not None and bool(drawn.failed)
    return int(hurt or failed or found.fails(settings.fail_on))
