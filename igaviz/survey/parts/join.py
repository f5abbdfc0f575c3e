"""Parts of a summary or diagnosis, measured apart (`part_lines`), joined into one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from igaviz._version import __version__
from igaviz.dump import Damage, Dump
from igaviz.dump.index import ShardIndex
from igaviz.dump.listing import Listing
from igaviz.dump.listing import Place as GivenPlace
from igaviz.dump.run import describe, open_listing
from igaviz.errors import DumpError, NothingReadableError, UsageError
from igaviz.selection import format_numbers
from igaviz.survey.kept.known import Measured, of_task
from igaviz.survey.measuring.layers import Progress
from igaviz.survey.parts.file import (
    Heading,
    Indexed,
    Lines,
    NotWholeError,
    PartFile,
    Place,
    read_part,
)
from igaviz.survey.parts.part import Part
from igaviz.survey.plan import Choice, LayerTask
from igaviz.survey.work.workers import Jobs, Workers


@dataclass(frozen=True)
class Joined:
    """What parts have together: the dump, what was chosen of it, and workers that know it all."""

    dump: Dump
    choice: Choice
    radius: float
    jobs: Workers


def join_parts(*files: str | Path, jobs: Jobs = 1, progress: Progress | None = None) -> Joined:
    """The dump whose parts lie at `files`, measured: what it gives is what one run would give.

    No shard is read. Scalars files are, where they lie. A part that is not whole, or missing, and
    shards that came while parts were measured, are damage of the dump. Raises `UsageError` where
    the parts don't belong together, `NothingReadableError` where none is whole.
    """
    parts: list[PartFile] = []
    damaged: list[Damage] = []
    begun: list[Part] = []
    for file in files:
        try:
            parts.append(read_part(Path(file)))
        except DumpError as error:
            if isinstance(error, NotWholeError):
                begun.append(error.part)
            reason = f"{error.reason}; {error.hint}" if error.hint else error.reason
            damaged.append(Damage(error.path, "", reason))
    if not parts:
        raise NothingReadableError([describe(piece) for piece in damaged])
    _check_together(parts)
    parts.sort(key=lambda part: part.heading.part.number)
    first = parts[0].heading
    known = Parts(parts, first.radius)
    workers = replace(Workers.of(jobs), measured=known)
    listing = Listing(
        tuple(known.places), (*damaged, *_missing(parts, begun, known), *first.damaged)
    )
    dump = open_listing(listing, indexes=known.indexes, progress=progress)
    return Joined(dump, Choice.of(**_texts(first)), first.radius, workers)


def _texts(heading: Heading) -> dict[str, str]:
    return {name: text for name, text in heading.choice.items() if text is not None}


class Parts:
    """The measurements of whole parts, found by task, and the indexes of their shards."""

    def __init__(self, parts: Sequence[PartFile], radius: float) -> None:
        self.radius = radius
        self.lines = Lines()
        self.entries = {
            key: (part.path, offset) for part in parts for key, offset in part.entries.items()
        }
        self.shards: dict[str, tuple[Path, Place]] = {}
        for part in parts:
            for place in part.shards:
                self.shards.setdefault(place.shard, (part.path, place))
        self.places = _places(parts, self.shards)

    def has(self, task: LayerTask, radius: float) -> bool:
        """Whether the task's entry was measured by a part."""
        return radius == self.radius and (task.entry.path, task.entry.group) in self.entries

    def find(self, task: LayerTask, radius: float) -> Measured | None:
        """The measurements of the task's maps, None where no part has them all."""
        if not self.has(task, radius):
            return None
        path, offset = self.entries[task.entry.path, task.entry.group]
        measured = self.lines.taken(path, offset).maps
        found = of_task(measured.measurements, task)
        if len(found) < len(task.heads) and not measured.damaged:
            return None
        return Measured(found, measured.damaged)

    def indexes(self, shards: Sequence[Path]) -> Iterator[ShardIndex | DumpError]:
        """The index of each shard, or what is wrong with it."""
        for shard in shards:
            path, place = self.shards[str(shard)]
            line = self.lines.of_shard(path, place.offset)
            yield line.shard if isinstance(line, Indexed) else line.as_error()


def _places(
    parts: Sequence[PartFile], shards: Mapping[str, tuple[Path, Place]]
) -> tuple[GivenPlace, ...]:
    """The given paths with the shards of all parts, and the scalars files that any of them saw."""
    below: dict[int, list[str]] = defaultdict(list)
    for path, (_, place) in shards.items():
        below[place.given].append(path)
    return tuple(
        GivenPlace(
            Path(given.real), tuple(map(Path, sorted(below[number]))), _scalars(parts, number)
        )
        for number, given in enumerate(parts[0].heading.given)
    )


def _scalars(parts: Sequence[PartFile], number: int) -> tuple[tuple[Path, int], ...]:
    here = str(Path.cwd())
    return tuple(
        (Path(path) if folder == here else Path(folder, path), rank)
        for folder, path, rank in sorted(
            {
                (part.heading.folder, path, rank)
                for part in parts
                for path, rank in part.heading.given[number].scalars
            }
        )
    )


def _check_together(parts: Sequence[PartFile]) -> None:
    """Raise `UsageError` where parts are of different work, or one is there twice."""
    first = parts[0]
    seen: dict[int, PartFile] = {}
    for part in parts:
        for what, of_this, of_first in zip(
            _WHAT, _work(part.heading), _work(first.heading), strict=True
        ):
            if of_this != of_first:
                raise UsageError(
                    f"{part.path} and {first.path} don't belong together: they have {what}",
                    hint="join the parts of one command",
                )
        other = seen.setdefault(part.heading.part.number, part)
        if other is not part:
            raise UsageError(
                f"{other.path} and {part.path} are both part {part.heading.part}",
                hint="give each part once",
            )
    if first.heading.igaviz != __version__:
        raise UsageError(
            f"the parts were measured by igaviz {first.heading.igaviz}, this is {__version__}",
            hint="join them with the same version",
        )


_WHAT = (
    "different numbers of parts",
    "different dumps",
    "different selections",
    "different radii",
    "been measured by different igaviz or numpy",
)


def _work(heading: Heading) -> tuple[object, ...]:
    """All that parts must have in common."""
    return (
        heading.part.of,
        [given.real for given in heading.given],
        heading.choice,
        heading.radius,
        (heading.igaviz, heading.code),
    )


def _missing(parts: Sequence[PartFile], begun: Sequence[Part], known: Parts) -> Iterator[Damage]:
    """The parts that were not given; where all were, the shards that are in none.

    Those that were `begun` and are not whole are named already.
    """
    of = parts[0].heading.part.of
    absent = set(range(1, of + 1)) - {part.heading.part.number for part in parts}
    untold = absent - {part.number for part in begun if part.of == of}
    if untold:
        reason = "not given, or not whole: its shards are left out"
        yield Damage(f"part {format_numbers(untold)} of {of}", "", reason)
    if absent:
        return
    for number, place in enumerate(known.places):
        seen = max(part.heading.given[number].shards for part in parts)
        if len(place.shards) < seen:
            path = parts[0].heading.given[number].path
            reason = (
                f"{seen - len(place.shards)} of its {seen} shards are in no part: they came later"
            )
            yield Damage(path, "", reason)
