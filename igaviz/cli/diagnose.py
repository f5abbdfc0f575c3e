"""`igaviz diagnose`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from igaviz.cli import options


class By(StrEnum):
    """What findings are listed by."""

    LAYER = "layer"
    MAP = "map"


def diagnose(
    dump: options.DumpPaths,
    layer: options.Layer = "all",
    head: options.Head = "all",
    batch: options.Batch = "all",
    step: options.Step = "all",
    phase: options.Phase = None,
    rank: options.Rank = "all",
    by: Annotated[By, typer.Option(help="One finding per layer, or every map that shows it.")] = (
        By.LAYER
    ),
    select: Annotated[
        list[str] | None,
        typer.Option(help="Only these checks, by id or name: D101,D202.", show_default=False),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(help="Not these checks, by id or name.", show_default=False),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Another threshold: gamma-too-small.effect=0.1.", show_default=False
        ),
    ] = None,
    radius: options.Radius = 8.0,
    fail_on: options.FailOnOption = options.FailOn.WARNING,
    jobs: options.Jobs = None,
    json: options.Json = False,
) -> int:
    """Say which layers and heads are sick, by which number, why, and what to do."""
    from igaviz.checks import Settings
    from igaviz.cli import console
    from igaviz.dump import Damage
    from igaviz.report.diagnosis import diagnosis_json, print_diagnosis
    from igaviz.survey.diagnose import diagnose as judge

    settings = Settings.of(
        select=select or (), ignore=ignore or (), settings=set_ or (), fail_on=fail_on.value
    )
    choice = options.choose(layer=layer, head=head, batch=batch, step=step, rank=rank, phase=phase)
    opened = options.open_paths(dump)
    with console.progress("measuring", "maps") as advance:
        diagnosis = judge(
            opened,
            choice,
            settings=settings,
            radius=radius,
            jobs=options.worker_count(jobs),
            progress=advance,
        )
    if json:
        console.print_json(diagnosis_json(diagnosis, by=by.value))
    else:
        print_diagnosis(diagnosis, console.out(), by=by.value)
    pieces = (Damage(piece.path, piece.where, piece.reason) for piece in diagnosis.damaged)
    damaged = console.report_damage(pieces, opened.warnings)
    if damaged and not diagnosis.maps:
        return options.NOTHING_DONE
    return int(damaged or diagnosis.fails(settings.fail_on))
