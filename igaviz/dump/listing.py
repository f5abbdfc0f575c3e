"""What lies at the given paths: shards, scalars files, or why neither; nothing is opened."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from igaviz.dump.data import Damage
from igaviz.dump.run_file import Ended, recordings_that_ended, why_nothing
from igaviz.errors import UsageError
from igaviz.format import SHARD_SUFFIX, parse_scalars_name

_FOLDERS_NAMED = 4
"""Folders that a hint names."""

_LIKE = 0.7
"""How like a name must be to one that is there, to be what was meant."""

_FOLDERS_OF_SHARDS = (
    "name the folder that training wrote into: it holds step-….h5 and scalars.rank-….jsonl"
)


@dataclass(frozen=True)
class Place:
    """One given path: the shards and the scalars files (with their ranks) below it, by name."""

    path: Path
    shards: tuple[Path, ...]
    scalars: tuple[tuple[Path, int], ...] = ()
    ended: tuple[Ended, ...] = ()


@dataclass(frozen=True)
class Listing:
    """What lies at the given paths; nothing of it is opened yet."""

    places: tuple[Place, ...]
    damaged: tuple[Damage, ...]


def list_paths(*paths: str | Path) -> Listing:
    """What lies at the paths, each real place once; folders are not searched recursively."""
    damaged: list[Damage] = []
    places = tuple(_list_place(path, damaged) for path in _distinct(paths))
    return Listing(places, tuple(damaged))


def _distinct(paths: Sequence[str | Path]) -> list[Path]:
    """The given paths, each real place once. Raises `UsageError` for what is none."""
    if not paths:
        raise UsageError("no path was given", hint="name a shard, or a folder of shards")
    for path in paths:
        if not isinstance(path, str | os.PathLike):
            raise UsageError(
                f"a path belongs there, and not a {type(path).__name__}",
                hint="write open_dump(*paths) for several"
                if isinstance(path, Iterable)
                else "name a shard, or a folder of shards",
            )
        if not str(path):
            raise UsageError("an empty path", hint="write . for the current folder")
    found = {os.path.realpath(path): Path(path) for path in reversed(paths)}
    return list(reversed(found.values()))


def _list_place(path: Path, damaged: list[Damage]) -> Place:
    if not _is_folder(path):
        return _list_file(path, damaged)
    try:
        names = sorted(entry.name for entry in os.scandir(path))
    except OSError as error:
        damaged.append(Damage(str(path), "", f"the folder can't be read ({error.strerror})"))
        return Place(path, ())
    ranks = [(path / name, parse_scalars_name(name)) for name in names]
    place = Place(
        path,
        tuple(path / name for name in names if _is_shard(name)),
        tuple((file, rank) for file, rank in ranks if rank is not None and file.is_file()),
        recordings_that_ended(path),
    )
    if not place.shards and not place.scalars:
        why = why_nothing(path, place.ended)
        damaged.append(Damage(str(path), "", f"no shard (.h5) in this folder{why}"))
    return place


def _list_file(path: Path, damaged: list[Damage]) -> Place:
    """A given file, which may have any name; what is certainly no shard is said at once."""
    if _is_missing(path):
        like = difflib.get_close_matches(path.name, _names_beside(path), n=1, cutoff=_LIKE)
        guess = f"; did you mean {path.with_name(like[0])}?" if like else ""
        damaged.append(Damage(str(path), "", f"no such file{guess}"))
        return Place(path, ())
    if parse_scalars_name(path.name) is not None:
        damaged.append(Damage(str(path), "", "no dump: scalars are read with their folder"))
        return Place(path, ())
    return Place(path, (path,))


def _is_missing(path: Path) -> bool:
    """Whether nothing is there; what can't be looked at is not missing, and opening it says why."""
    try:
        path.stat()
    except OSError as error:
        return isinstance(error, FileNotFoundError | NotADirectoryError)
    return False


def _names_beside(path: Path) -> list[str]:
    return sorted(entry.name for entry in _entries_of(path.parent))


def where_to_look(paths: Sequence[Path]) -> str | None:
    """A hint where nothing is found in folders: those with shards one level below them."""
    found = [
        below.path
        for path in paths
        if _is_folder(path)
        for below in sorted(_entries_of(path), key=lambda entry: entry.name)
        if below.is_dir() and any(_is_shard(entry.name) for entry in _entries_of(below.path))
    ]
    if not found:
        return _FOLDERS_OF_SHARDS if any(_is_folder(path) for path in paths) else None
    named = " ".join(found[:_FOLDERS_NAMED])
    more = len(found) - _FOLDERS_NAMED
    others = f" and {more} more" if more > 0 else ""
    return f"a folder is one run; name those below it: {named}{others}"


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 (is_dir raises where it may not look)


def _entries_of(folder: str | Path) -> list[os.DirEntry[str]]:
    try:
        return list(os.scandir(folder))
    except OSError:
        return []  # a folder that can't be read has nothing to name


def _is_shard(name: str) -> bool:
    return name.endswith(SHARD_SUFFIX) and not name.startswith(".")
