"""Measurements of shards kept in the user's cache folder, so that each map is measured once.

Two levels: a file's identity (real path, device, inode, size, time of change) gives the digest
of its content; that, with all else that numbers depend on, gives the measurements of an entry.
Verdicts are never kept. Entries are written beside and renamed, and carry a checksum: processes
that share the folder, or one that is killed, leave whole entries or none.
"""

from __future__ import annotations

import hashlib
import os
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np

from igaviz._version import __version__
from igaviz.aside import written_aside
from igaviz.dump.index import ShardIndex
from igaviz.metrics import Measurement
from igaviz.survey.kept import codec
from igaviz.survey.kept.known import Measured, of_task
from igaviz.survey.plan import LayerTask

MAX_BYTES = 2**30
"""The folder is brought below this many bytes once a day, what was not used for longest first."""

MAX_DIGESTED = 2**28
"""Larger files count as the same only where they are the same file: digesting would read all."""

_DAY = 86400.0
_SETTLED_NS = 2 * 10**9
"""A file that changed so recently may change again within the same tick of its clock."""

_MAGIC = b"igaviz-cache-1 "
_DIGEST_BYTES = 16
_STAMP = "pruned"
_CODE = ("metrics/*.py", "dump/*.py", "softmax.py", "format.py", "survey/measuring/layers.py")
"""The code that measurements depend on."""

Identity = tuple[str, int, int, int, int]
"""(real path, device, inode, size, time of change in ns) of a file."""

T = TypeVar("T")

_digests: dict[Identity, str] = {}
_MOST_DIGESTS = 4096


@dataclass(frozen=True)
class Held:
    """What is kept of one entry."""

    measurements: tuple[Measurement, ...]


@dataclass
class Cache:
    """Measurements and indexes of shards, kept in `folder`.

    `spoiled` counts entries that were damaged (they are written anew), `failure` says why nothing
    could be written.
    """

    folder: Path
    spoiled: int = field(default=0, compare=False)
    failure: str = field(default="", compare=False)

    @classmethod
    def of_user(cls) -> Cache:
        """The cache in the user's cache folder, brought below its cap where that is due."""
        from platformdirs import user_cache_path

        cache = cls(user_cache_path("igaviz", appauthor=False))
        cache.prune_daily()
        return cache

    def __reduce__(self) -> tuple[object, ...]:
        """Cross a process border as a place: counts are each process's own."""
        return Cache, (self.folder,)

    def has(self, task: LayerTask, radius: float) -> bool:
        """Whether there is an entry for the task; the shard is not read."""
        digest = self._known_digest(identity_of(task.entry.path))
        return digest is not None and any(
            path.exists() for path in self._places(task, radius, digest)
        )

    def find(self, task: LayerTask, radius: float, path: str | None = None) -> Measured | None:
        """The measurements of the task's maps, None where they aren't kept.

        `path` is where the shard lies as seen from here, where that isn't the entry's.
        """
        digest = self.digest(path or task.entry.path)
        if digest is None:
            return None
        for place in self._places(task, radius, digest):
            held = self._read(place, Held)
            if held is not None:
                found = of_task(held.measurements, task)
                return Measured(found, ()) if len(found) == len(task.heads) else None
        return None

    def keep(self, task: LayerTask, radius: float, measured: Measured, path: str) -> Measured:
        """Keep what was measured of the shard at `path`; nothing where a map was damaged."""
        digest = None if measured.damaged else self.digest(path)
        if digest is None:
            return measured
        place = self._place("maps", digest, task.entry.group, str(task.heads), repr(radius))
        return replace(measured, not_kept=self._write(place, Held(measured.measurements)))

    def has_index(self, path: Path) -> bool:
        """Whether the index of the shard at `path` is kept."""
        identity = identity_of(path)
        return identity is not None and self._index_place(identity).exists()

    def index(self, path: Path) -> ShardIndex | None:
        """The index of the shard at `path`, None where it isn't kept."""
        identity = identity_of(path)
        held = None if identity is None else self._read(self._index_place(identity), ShardIndex)
        return None if held is None else held.at(path)

    def keep_index(self, index: ShardIndex) -> None:
        """Keep the index of a whole shard; what is damaged or new is looked at every time."""
        identity = identity_of(index.path)
        if identity is not None and _settled(identity) and not index.damaged + index.warnings:
            self.failure = self._write(self._index_place(identity), index) or self.failure

    def digest(self, path: str | Path) -> str | None:
        """The digest of the file's content, read where the file is new here.

        Too large a file has that of its identity. None where it can't be read, or changed a moment
        ago.
        """
        identity = identity_of(path)
        if identity is None or not _settled(identity):
            return None
        known = self._known_digest(identity)
        if known is not None:
            return known
        try:
            with Path(path).open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError:
            return None  # whoever reads the shard says so
        if identity != identity_of(path):
            return None
        self._write(self._file_place(identity), digest)
        return _remember(identity, digest)

    def prune_daily(self) -> None:
        """Bring the folder below its cap if that wasn't done for a day."""
        stamp = self.folder / _STAMP
        try:
            if time.time() - stamp.stat().st_mtime < _DAY:
                return
        except OSError:
            pass  # never done yet
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            stamp.touch()
        except OSError as error:
            self.failure = _reason(error)
            return
        self.prune(MAX_BYTES)

    def prune(self, most: int) -> None:
        """Delete what was not used for longest, until `most` bytes are left."""
        found = sorted(_files(self.folder), reverse=True)
        total = 0
        for _, size, path in found:
            total += size
            if total > most:
                path.unlink(missing_ok=True)

    def _known_digest(self, identity: Identity | None) -> str | None:
        if identity is None:
            return None
        if identity[3] > MAX_DIGESTED:
            return _hash(*map(str, identity))
        known = _digests.get(identity) or self._read(self._file_place(identity), str)
        return None if known is None else _remember(identity, known)

    def _places(self, task: LayerTask, radius: float, digest: str) -> Iterator[Path]:
        """Where an entry with the task's heads may be: that of all heads, that of these alone."""
        for heads in dict.fromkeys((task.entry.heads, task.heads)):
            yield self._place("maps", digest, task.entry.group, str(heads), repr(radius))

    def _file_place(self, identity: Identity) -> Path:
        return self._place("files", *map(str, identity))

    def _index_place(self, identity: Identity) -> Path:
        return self._place("indexes", *map(str, identity))

    def _place(self, kind: str, *key: str) -> Path:
        name = _hash(kind, measuring_code(), *key)
        return self.folder / kind / name[:2] / name[2:]

    def _read(self, path: Path, kind: type[T]) -> T | None:
        """What is kept at `path`. A damaged entry is counted, and removed: it is written anew."""
        try:
            raw = path.read_bytes()
            if time.time() - path.stat().st_mtime > _DAY:
                os.utime(path)
        except OSError:
            return None
        start = len(_MAGIC) + _DIGEST_BYTES
        body = raw[start:]
        if raw[:start] == _MAGIC + hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest():
            try:
                return codec.loads(kind, zlib.decompress(body))
            except (zlib.error, ValueError, TypeError, KeyError):
                pass  # whole, and yet none of ours
        self.spoiled += 1
        path.unlink(missing_ok=True)
        return None

    def _write(self, path: Path, held: object) -> str:
        """Write an entry; the reason where that failed."""
        body = zlib.compress(codec.dumps(held).encode("ascii"), 1)
        check = hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest()
        beside = path.with_name(f"{path.name}.{os.urandom(8).hex()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with written_aside(path, beside):
                beside.write_bytes(_MAGIC + check + body)
        except OSError as error:
            return _reason(error)
        return ""


@lru_cache(maxsize=1)
def measuring_code() -> str:
    """A digest of the code and libraries that measurements depend on.

    It changes whenever that code does, so that nobody must remember to say so.
    """
    return code_digest(_CODE, np.__version__)


def code_digest(patterns: Sequence[str], *libraries: str) -> str:
    """A digest of igaviz's files that `patterns` name, its version, and those of libraries."""
    root = Path(__file__).parents[2]
    sources = sorted(path for pattern in patterns for path in root.glob(pattern))
    texts = [f"{path.relative_to(root)}\n{path.read_text(encoding='utf-8')}" for path in sources]
    return _hash(__version__, *libraries, *texts)


def _hash(*parts: str) -> str:
    together = hashlib.blake2b(digest_size=20)
    for part in parts:
        raw = part.encode("utf-8", "surrogateescape")
        together.update(len(raw).to_bytes(8, "little") + raw)
    return together.hexdigest()


def identity_of(path: str | Path) -> Identity | None:
    """The identity of the file at `path`, None where there is none."""
    real = os.path.realpath(path)
    try:
        found = Path(real).stat()
    except OSError:
        return None
    return real, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _remember(identity: Identity, digest: str) -> str:
    """The digest, which this process knows from now on; of the last files only."""
    if len(_digests) >= _MOST_DIGESTS:
        _digests.clear()
    _digests[identity] = digest
    return digest


def _settled(identity: Identity) -> bool:
    return time.time_ns() - identity[4] > _SETTLED_NS


def _files(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """(time of last use, size, path) of all that is in the folder."""
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            with suppress(OSError):  # another process pruned it
                found = path.stat()
                yield found.st_mtime, found.st_size, path


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
