"""The options that verbs share, and how their texts become selections."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from igaviz.errors import UsageError

if TYPE_CHECKING:
    from igaviz.dump import Dump
    from igaviz.survey.plan import Choice
    from igaviz.survey.work.workers import Workers


NOTHING_DONE = 2
"""The exit code where nothing could be done: wrong usage, or nothing that can be read."""


class FailOn(StrEnum):
    """The severity from which on findings make the exit code 1."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"
    NEVER = "never"


def given_path(text: str) -> Path:
    """The path that `text` writes. Raises `UsageError` for none, which would be the folder `.`."""
    if not text:
        raise UsageError("an empty path", hint="write . for the current folder")
    return Path(text)


DumpPaths = Annotated[
    list[Path],
    typer.Argument(
        metavar="DUMP",
        help="A shard, a folder of shards, or several.",
        show_default=False,
        parser=given_path,
    ),
]
Layer = Annotated[str, typer.Option(help="Layers: 3, 0,2-4, all.")]
Head = Annotated[str, typer.Option(help="Heads, by the model's numbers: 3, 0,2-4, all.")]
Batch = Annotated[str, typer.Option(help="Batch items, by their position in the batch.")]
Step = Annotated[str, typer.Option(help="Steps: 100, first, last, all, 1000:5000:500.")]
Rank = Annotated[str, typer.Option(help="Ranks of a distributed run.")]
Phase = Annotated[
    str | None,
    typer.Option(
        help="train, val, sample, probe or all; if left out, train if there is any, else all.",
        show_default=False,
    ),
]
Radius = Annotated[float, typer.Option(help="Residues nearer than this are local, in Å.")]
Jobs = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Worker processes; if left out, one per core where that saves time.",
        show_default=False,
    ),
]
NoCache = Annotated[
    bool,
    typer.Option("--no-cache", help="Measure every map anew, and keep nothing for next time."),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Work on the Dask cluster of this scheduler: tcp://host:8786.",
        show_default=False,
    ),
]
Part = Annotated[
    str | None,
    typer.Option(
        metavar="I/N",
        help="Do the I-th of N shares of the work, for job arrays: 3/16.",
        show_default=False,
    ),
]
From = Annotated[
    bool,
    typer.Option("--from", help="Join parts: the files given are what --part printed."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
FailOnOption = Annotated[
    FailOn | None,
    typer.Option(
        help="Exit with 1 from this severity upwards; warning if left out.", show_default=False
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite existing files.")]


F = TypeVar("F", bound=StrEnum)


def format_of(given: F | None, usual: F, *, json: bool) -> F:
    """The format that is asked for: by name, by --json, or `usual` where by neither.

    Raises `UsageError` where the two disagree.
    """
    if not json:
        return usual if given is None else given
    wanted = type(usual)("json")
    if given not in (None, wanted):
        raise UsageError(
            f"--json is --format {wanted.value}, and --format {given.value} is asked for too",
            hint="leave one of them out",
        )
    return wanted


def named(options: Mapping[str, object]) -> str:
    """The names of those of `options` that were given, as an error lists them; empty if none."""
    return ", ".join(name for name, value in options.items() if value)


def open_paths(paths: list[Path], workers: Workers | None = None) -> Dump:
    """The dump at `paths`, opened by `workers`, with progress on stderr."""
    from igaviz.cli.console import progress
    from igaviz.survey.work.opening import open_by

    with progress("opening", "shards") as advance:
        return open_by(*paths, jobs=workers or 1, progress=advance)


def choose(
    *,
    layer: str | None = None,
    head: str | None = None,
    batch: str | None = None,
    step: str | None = None,
    rank: str | None = None,
    phase: str | None = None,
) -> Choice:
    """The selection that the options write; what is None is left open.

    Raises `UsageError` where one isn't of the grammar.
    """
    from igaviz.survey.plan import Choice

    return Choice.of(layer=layer, head=head, batch=batch, step=step, rank=rank, phase=phase)


def worker_count(jobs: int | None) -> int:
    """The number of worker processes: what was asked for, else the cores."""
    from igaviz.survey.work.workers import available_cores

    return available_cores() if jobs is None else jobs


def workers(jobs: int | None, no_cache: bool, scheduler: str | None = None) -> Workers:
    """Who works, and what they know already.

    A cluster is reached at once, whether or not anything is left to measure, and stays. Raises
    `ClusterError` where it can't be.
    """
    from igaviz.survey.kept.cache import Cache
    from igaviz.survey.work.workers import Workers

    cache = None if no_cache else Cache.of_user()
    chosen = Workers(worker_count(jobs), cache, scheduler, if_worth=jobs is None)
    crew = chosen.hired(tasks=1, seconds=0.0) if scheduler is not None else None
    if crew is not None:
        with crew:
            pass
    return chosen


def report_cache(workers: Workers) -> None:
    """Say on stderr what was wrong with the cache; the result is the same without it."""
    from igaviz.cli.console import message

    cache = workers.cache
    if cache is not None and cache.spoiled:
        message(f"warning: {cache.spoiled} damaged entries of the cache {cache.folder}: rebuilt")
    if cache is not None and cache.failure:
        message(f"warning: nothing can be kept in the cache {cache.folder} ({cache.failure})")
