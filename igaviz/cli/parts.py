"""Parts of a summary or diagnosis on the command line: printed by `--part`, joined by `--from`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from igaviz.cli import options
from igaviz.defaults import LOCAL_RADIUS
from igaviz.errors import UsageError

if TYPE_CHECKING:
    from igaviz.dump import Damage
    from igaviz.survey.parts.join import Joined
    from igaviz.survey.plan import Choice
    from igaviz.survey.work.workers import Workers


def print_part(
    paths: list[Path], part: str, choice: Choice, radius: float, workers: Workers
) -> int:
    """Print the lines of a part, and say on stderr what of it is damaged."""
    from igaviz.cli import console
    from igaviz.survey.parts.lines import part_lines
    from igaviz.survey.parts.part import Part

    damaged: list[Damage] = []
    with (
        console.progress("opening", "shards") as opening,
        console.progress("measuring", "maps") as advance,
    ):
        for line in part_lines(
            *paths,
            part=Part.parse(part),
            choice=choice,
            radius=radius,
            jobs=workers,
            opening=opening,
            progress=advance,
            report=damaged.append,
        ):
            print(line)
    options.report_cache(workers)
    return int(console.report_damage(damaged))


def gather(
    paths: list[Path], choice: Choice, radius: float, workers: Workers, *, joined: bool
) -> Joined:
    """The dump at `paths` and what to take of it; where `joined`, the paths are those of parts."""
    from igaviz.cli.console import progress
    from igaviz.survey.parts.file import is_part
    from igaviz.survey.parts.join import Joined, join_parts

    if not joined:
        for path in filter(is_part, paths):
            raise UsageError(
                f"{path}: a part that --part printed, no dump",
                hint="join parts with --from, all of them at once",
            )
        return Joined(options.open_paths(paths, workers), choice, radius, workers)
    if choice.narrows or radius != LOCAL_RADIUS:
        raise UsageError(
            "--from takes what its parts have",
            hint="give the selection and --radius where the parts are measured, with --part",
        )
    with progress("joining", "shards") as advance:
        return join_parts(*paths, jobs=workers, progress=advance)


def leave_out(verb: str, given: Mapping[str, object]) -> None:
    """Raise `UsageError` where options are given, by their names, that a part has no use for."""
    if names := options.named(given):
        raise UsageError(
            f"--part only measures: leave {names} out",
            hint=f"give them where parts are joined: igaviz {verb} --from PART...",
        )
