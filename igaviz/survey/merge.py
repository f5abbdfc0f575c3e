"""One portable file out of many shards: the work behind `igaviz merge`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from igaviz.dump import Damage, Dump, open_dump
from igaviz.dump.merged import Chosen, write_merged
from igaviz.errors import OutputError, SelectionError
from igaviz.format import SHARD_SUFFIX
from igaviz.survey.arguments import takes_dumps
from igaviz.survey.measuring.layers import Progress
from igaviz.survey.plan import EVERYTHING, Choice, plan

DEFAULT_OUT = Path("merged.h5")


@dataclass(frozen=True)
class Merged:
    """The file that was made: what of which run is in it, what was damaged, what stayed behind.

    `chosen` counts the maps that were asked for, `maps` those that are in the file.
    `scalars_left` says that the run has scalars files, which stay where they are.
    """

    path: Path
    run: str
    n_bytes: int
    maps: int
    chosen: int
    phases: tuple[str, ...]
    steps: tuple[int, ...]
    ranks: tuple[int, ...]
    layers: tuple[int, ...]
    scalars_left: bool
    damaged: tuple[Damage, ...]


@takes_dumps
def merge(
    dump: Dump,
    choice: Choice = EVERYTHING,
    *,
    out: str | Path = DEFAULT_OUT,
    force: bool = False,
    progress: Progress | None = None,
) -> Merged:
    """The file `out`, with every chosen map that is whole; terms, types, filters as they were.

    A map keeps its identity: (phase, step, rank, batch item, layer, head). What can't be read is
    left out and named in `damaged`. A few maps are held at most; `out` comes to be in one move.
    Raises `SelectionError` for an empty selection, and where `dump` is of several runs or length
    units, which one file can't hold; `OutputError` where `out` exists and `force` is not set, is
    one of the shards, is no name of a shard, or can't be written; `NothingReadableError` where no
    chosen map is whole.
    """
    out = Path(out)
    _check_out(dump, out)
    tasks = plan(dump, choice)
    _check_one({task.entry.id.run for task in tasks}, "run", _RUNS)
    _check_one({task.entry.length_unit for task in tasks}, "length unit", _UNITS)
    (run,) = (run for run in dump.runs if run.name == tasks[0].entry.id.run)
    damaged = list(dump.damaged)
    write_merged(
        out,
        [Chosen(task.entry, task.heads) for task in tasks],
        run=run,
        overwrite=force,
        damaged=damaged,
        progress=progress,
    )
    made = open_dump(out).entries
    ids = [entry.id for entry in made]
    return Merged(
        path=out,
        run=run.name,
        n_bytes=out.stat().st_size,
        maps=sum(len(entry.heads) for entry in made),
        chosen=sum(len(task.heads) for task in tasks),
        phases=tuple(sorted({identity.phase for identity in ids})),
        steps=tuple(sorted({identity.step for identity in ids})),
        ranks=tuple(sorted({identity.rank for identity in ids})),
        layers=tuple(sorted({identity.layer for identity in ids})),
        scalars_left=bool(run.scalars),
        damaged=tuple(dict.fromkeys(damaged)),
    )


_RUNS = (
    "merge each of them into a file of its own; shards without a run_id are one run where they "
    "lie in one folder"
)
_UNITS = (
    "numbers are kept as they are stored, so merge the shards of each unit into a file of its own"
)


def _check_one(found: set[str], what: str, hint: str) -> None:
    if len(found) > 1:
        first = ", ".join(sorted(found)[:4])
        more = f" and {len(found) - 4} more" if len(found) > 4 else ""
        raise SelectionError(
            f"one file holds one {what}, and there are {len(found)}: {first}{more}", hint=hint
        )


def _check_out(dump: Dump, out: Path) -> None:
    if str(out) == "-":
        raise OutputError(
            "a merged dump must be a file, not -", hint=f"name one, such as {DEFAULT_OUT}"
        )
    if out.suffix != SHARD_SUFFIX or out.name.startswith("."):
        raise OutputError(
            f"{out}: readers would not take it for a shard", hint=f"end its name in {SHARD_SUFFIX}"
        )
    shards = (Path(shard) for run in dump.runs for shard in run.shards)
    if out.exists() and any(out.samefile(shard) for shard in shards if shard.exists()):
        raise OutputError(f"{out}: one of the shards that are merged", hint="choose another name")
