"""A part on disk: lines of JSON with what was measured of some shards, and a seal at the end.

The first line is the `Heading`. Each shard has a line `Indexed`, followed by one line `Taken` for
each of its entries that was measured, or one line `Refused`. The last line is the `Seal`, with a
digest of all lines before it: a part whose writer was stopped, or that was changed, is not used.
Numbers that are not finite are written as Python's `json` writes them.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

from igaviz.dump import Damage
from igaviz.dump.index import ShardIndex
from igaviz.errors import DumpError
from igaviz.survey.kept import codec
from igaviz.survey.kept.known import Measured
from igaviz.survey.parts.part import Part

SCHEMA = "igaviz.part/1"
_BEGINS = b'"igaviz.part/'
_HEAD = 200  # bytes, in which the schema is named

MAX_LINE = 2**30
"""Longer lines than this are not read."""

_MOST_OPEN = 64
"""Parts that are open at once: there may be more of them than a process may open."""

T = TypeVar("T")


@dataclass(frozen=True)
class Given:
    """One given path as a part saw it.

    `real` is where it really is, `shards` the number of them below it, whoever's they are, and
    `scalars` its scalars files with their ranks.
    """

    path: str
    real: str
    shards: int
    scalars: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Heading:
    """What a part is: its share of what, and all that its numbers depend on.

    `choice` holds the texts of the selection, `folder` is where relative paths begin, `damaged`
    what of the given paths could not even be listed.
    """

    schema: str
    part: Part
    igaviz: str
    code: str
    folder: str
    radius: float
    choice: Mapping[str, str | None]
    given: tuple[Given, ...]
    damaged: tuple[Damage, ...]


@dataclass(frozen=True)
class Indexed:
    """A shard of the given path at position `given`; `measured` are the groups of entries."""

    shard: ShardIndex
    given: int
    measured: tuple[str, ...]

    @property
    def path(self) -> str:
        """The shard's path."""
        return str(self.shard.path)


@dataclass(frozen=True)
class Refused:
    """A shard of which nothing can be used, and why: what a `DumpError` says."""

    refused: str
    given: int
    where: str
    reason: str
    hint: str | None

    @property
    def path(self) -> str:
        """The shard's path."""
        return self.refused

    def as_error(self) -> DumpError:
        """The error that it was."""
        return DumpError(self.reason, path=self.refused, where=self.where, hint=self.hint)


@dataclass(frozen=True)
class Taken:
    """The measurements of one entry."""

    maps: Measured


@dataclass(frozen=True)
class Seal:
    """The last line: the SHA-256 of all before it."""

    sha256: str


def sealed(lines: Iterable[str]) -> Iterator[str]:
    """The lines, without their line ends, and the seal under them."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(f"{line}\n".encode("ascii"))
        yield line
    yield codec.dumps(Seal(digest.hexdigest()))


@dataclass(frozen=True)
class Place:
    """Where the line of a shard stands in a part: the shard's path, and that of its dump."""

    shard: str
    given: int
    offset: int


@dataclass(frozen=True)
class PartFile:
    """A whole part: its heading, and where the lines of shards and of entries stand.

    `entries` has offsets by the path of the shard and the entry's group in it.
    """

    path: Path
    heading: Heading
    shards: tuple[Place, ...]
    entries: Mapping[tuple[str, str], int]


@dataclass
class _Pass:
    """One pass over a part; the lines of measurements are not parsed."""

    path: Path
    heading: Heading | None = None
    shards: list[Place] = field(default_factory=list)
    entries: dict[tuple[str, str], int] = field(default_factory=dict)
    waiting: list[tuple[str, str]] = field(default_factory=list)

    def take(self, line: bytes, offset: int) -> None:
        if self.heading is None:
            self.heading = codec.loads(Heading, line)
            if self.heading.schema != SCHEMA:
                raise ValueError
        elif line.startswith(b'{"maps"'):
            self.entries[self.waiting.pop()] = offset
        elif self.waiting:
            raise ValueError
        else:
            found = _of_shard(line)
            self.shards.append(Place(found.path, found.given, offset))
            if isinstance(found, Indexed):
                self.waiting = [(found.path, group) for group in reversed(found.measured)]


def _of_shard(line: bytes) -> Indexed | Refused:
    refused = line.startswith(b'{"refused"')
    return codec.loads(Refused, line) if refused else codec.loads(Indexed, line)


class NotWholeError(DumpError):
    """A part whose end is missing or changed; `part` is the one that its first line names."""

    def __init__(self, path: Path, part: Part) -> None:
        super().__init__(
            "not whole: its writer was stopped, or it was changed since",
            path=str(path),
            hint=f"measure part {part} once more",
        )
        self.part = part

    def __reduce__(self) -> tuple[object, ...]:
        """Cross a process border with the part."""
        return NotWholeError, (Path(self.path), self.part)


def is_part(path: Path) -> bool:
    """Whether the file at `path` begins as a part does."""
    if not path.is_file():  # opening a pipe would wait for who writes into it
        return False
    try:
        with path.open("rb") as file:
            return _BEGINS in file.readline(_HEAD)
    except OSError:
        return False


def read_part(path: Path) -> PartFile:
    """The part at `path`. Raises `DumpError` where it is none, `NotWholeError` where it was one."""
    found = _Pass(path)
    digest = hashlib.sha256()
    last, at = b"", 0
    try:
        with path.open("rb") as stream:
            while line := stream.readline(MAX_LINE):
                if last:
                    digest.update(last)
                    found.take(last, at)
                    at += len(last)
                last = line
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DumpError(f"can't be read ({reason})", path=str(path)) from error
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise DumpError(
            "no part of a summary or diagnosis", path=str(path), hint="--part prints one"
        ) from error
    if found.heading is None:
        reason = "not whole: its writer was stopped before the first line was written"
        raise DumpError(reason, path=str(path), hint="measure this part once more")
    if last != f"{codec.dumps(Seal(digest.hexdigest()))}\n".encode():
        raise NotWholeError(path, found.heading.part)
    return PartFile(path, found.heading, tuple(found.shards), found.entries)


class Lines:
    """Lines of many parts, read by their places; some of the files stay open."""

    def __init__(self) -> None:
        self._streams: OrderedDict[Path, BinaryIO] = OrderedDict()

    def taken(self, path: Path, offset: int) -> Taken:
        """The measurements whose line begins at `offset` in the part at `path`."""
        return self._read(path, offset, partial(codec.loads, Taken))

    def of_shard(self, path: Path, offset: int) -> Indexed | Refused:
        """What the line of a shard says that begins at `offset` in the part at `path`."""
        return self._read(path, offset, _of_shard)

    def _read(self, path: Path, offset: int, parse: Callable[[bytes], T]) -> T:
        try:
            stream = self._open(path)
            stream.seek(offset)
            return parse(stream.readline(MAX_LINE))
        except OSError as error:
            reason = f"can't be read any more ({error.strerror})"
            raise DumpError(reason, path=str(path)) from error
        except (ValueError, TypeError, KeyError) as error:
            raise DumpError("changed while it was joined", path=str(path)) from error

    def _open(self, path: Path) -> BinaryIO:
        stream = self._streams.get(path)
        if stream is None:
            stream = self._streams[path] = path.open("rb")
            if len(self._streams) > _MOST_OPEN:
                self._streams.popitem(last=False)[1].close()
        self._streams.move_to_end(path)
        return stream

    def close(self) -> None:
        """Close what is open."""
        while self._streams:
            self._streams.popitem()[1].close()
