"""`igaviz diagnose`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from igaviz.cli import options, parts
from igaviz.defaults import LOCAL_RADIUS
from igaviz.errors import UsageError

if TYPE_CHECKING:
    from igaviz.checks import Diagnosis, Settings


class By(StrEnum):
    """What findings are listed by."""

    LAYER = "layer"
    MAP = "map"


class Format(StrEnum):
    """The formats of a diagnosis."""

    TABLE = "table"
    JSON = "json"
    GITHUB = "github"
    JUNIT = "junit"


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
        typer.Option(help="Skip these checks, by id or name.", show_default=False),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Change a threshold: gamma-too-small.effect=0.1.", show_default=False
        ),
    ] = None,
    checks: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A TOML file with the same settings.", show_default=False
        ),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Accept what is known: the --json output of an earlier diagnosis.",
            show_default=False,
        ),
    ] = None,
    radius: options.Radius = LOCAL_RADIUS,
    fail_on: options.FailOnOption = None,
    jobs: options.Jobs = None,
    no_cache: options.NoCache = False,
    scheduler: options.Scheduler = None,
    part: options.Part = None,
    from_: options.From = False,
    format: Annotated[
        Format | None, typer.Option(help="What to print.", show_default="table")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> int:
    """Say which layers and heads are sick, which number shows it, why, and what to do."""
    from igaviz.checks import Baseline, Settings
    from igaviz.cli import console
    from igaviz.dump import Damage
    from igaviz.survey.diagnose import diagnose as judge

    chosen = options.format_of(format, Format.TABLE, json=json)
    choice = options.choose(layer=layer, head=head, batch=batch, step=step, rank=rank, phase=phase)
    workers = options.workers(jobs, no_cache, scheduler)
    if part is not None:
        judging = {
            "--by": by is not By.LAYER,
            "--select": select,
            "--ignore": ignore,
            "--set": set_,
            "--checks": checks,
            "--baseline": baseline,
            "--fail-on": fail_on,
            "--format": chosen is not Format.TABLE,
        }
        parts.leave_out("diagnose", {**judging, "--from": from_})
        return parts.print_part(dump, part, choice, radius, workers)
    if by is By.MAP and chosen in (Format.GITHUB, Format.JUNIT):
        raise UsageError(
            f"--format {chosen.value} is by layer", hint="leave --by out, or see --by map --json"
        )
    settings = Settings.of(
        select=select or (),
        ignore=ignore or (),
        settings=set_ or (),
        fail_on=None if fail_on is None else fail_on.value,
        file=checks,
    )
    known = None if baseline is None else Baseline.read(baseline)
    given = parts.gather(dump, choice, radius, workers, joined=from_)
    with console.progress("measuring", "maps") as advance:
        diagnosis = judge(
            given.dump,
            given.choice,
            settings=settings,
            baseline=known,
            radius=given.radius,
            jobs=given.jobs,
            progress=advance,
        )
    _print(diagnosis, chosen, by, settings)
    pieces = (Damage(piece.path, piece.where, piece.reason) for piece in diagnosis.damaged)
    options.report_cache(workers)
    damaged = console.report_damage(pieces, given.dump.warnings)
    if not diagnosis.judged:
        return options.NOTHING_DONE
    return int(damaged or diagnosis.fails(settings.fail_on))


def _print(diagnosis: Diagnosis, format: Format, by: By, settings: Settings) -> None:
    from igaviz.cli import console
    from igaviz.report import diagnosis as report

    if format is Format.TABLE:
        report.print_diagnosis(diagnosis, console.out(), by=by.value)
    elif format is Format.JSON:
        console.print_json(report.diagnosis_json(diagnosis, by=by.value))
    else:
        from igaviz.report.pipelines import github_annotations, junit_xml
        from igaviz.report.terminal import print_line

        if format is Format.GITHUB:
            for line in github_annotations(diagnosis).split("\n"):
                print_line(console.out(), line)
        else:
            print(junit_xml(diagnosis, settings.fail_on))
