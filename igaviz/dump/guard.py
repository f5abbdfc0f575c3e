"""The only way to a group, a string or an attribute of an HDF5 file that a stranger wrote.

HDF5 can point outside the file (soft and external links, external storage, virtual data sets),
declare data that isn't stored (it reads as zeros) or unpacks to any size, and hold types whose
reading runs code paths that nobody tested. Everything here walks one name at a time, follows hard
links only, and refuses the rest with `DumpError` before anything is read.
"""

from __future__ import annotations

import math
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from igaviz.errors import DumpError

MAX_TEXT = 2**20
MOST_NUMBERS = 64
"""Numbers under names that aren't ours, which are read of one group."""

_DECIMAL = re.compile(r"[0-9]{1,18}")
Parse = Callable[[str], int | None]
"""From a link's name to its number."""


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """The HDF5 file at `path`, open for reading without a lock.

    Raises `DumpError` where it is missing, no regular file (a FIFO would block), empty, or not
    readable as HDF5.
    """
    try:
        status = path.stat()
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else _plain(error)
        raise DumpError(reason, path=str(path)) from error
    if not stat.S_ISREG(status.st_mode):
        raise DumpError("not a regular file", path=str(path))
    if status.st_size == 0:
        raise DumpError("the file is empty", path=str(path))
    try:
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        raise DumpError(_why_not_hdf5(path, error), path=str(path)) from error
    with file:
        yield file


def _why_not_hdf5(path: Path, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "permission denied"
    try:
        with path.open("rb") as stream:
            signature = stream.read(8)
    except OSError as again:
        return _plain(again)
    if signature == b"\x89HDF\r\n\x1a\n":
        return "truncated or damaged: HDF5 can't open it"
    return "no dump: not an HDF5 file"


def _plain(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def parse_decimal(name: str) -> int | None:
    """The number that `name` is, None where it is none."""
    return int(name) if _DECIMAL.fullmatch(name) else None


def place(thing: h5py.Group) -> str:
    """The path of a group inside its file, without the leading slash."""
    return str(thing.name).lstrip("/")


def refuse(reason: str, inside: h5py.Group, name: str = "") -> DumpError:
    """A `DumpError` about `name` in `inside`, to be raised by the caller."""
    where = "/".join(part for part in (place(inside), name) if part)
    return DumpError(reason, path=str(inside.file.filename), where=where)


def numbered(parent: h5py.Group, parse: Parse = parse_decimal) -> list[tuple[int, str]]:
    """The links of `parent` whose names `parse` makes numbers, ascending; other names are left."""
    try:  # h5py gives names that are no UTF-8 as bytes
        names = [name for name in parent if isinstance(name, str)]
    except (RuntimeError, OSError, KeyError, ValueError) as error:
        raise refuse(f"damaged group ({error})", parent) from error
    return sorted((number, name) for name in names if (number := parse(name)) is not None)


def child(parent: h5py.Group, name: str) -> h5py.h5g.GroupID | h5py.h5d.DatasetID | None:
    """What the hard link `name` of `parent` points to, None where there is no such name.

    As h5py's low-level calls give it: its classes look up much that nobody here asks for.
    """
    key = name.encode()
    try:
        if not parent.id.links.exists(key):
            return None
        kind = parent.id.links.get_info(key).type
    except (RuntimeError, OSError, KeyError, ValueError) as error:
        raise refuse(f"damaged link ({error})", parent, name) from error
    if kind != h5py.h5l.TYPE_HARD:
        described = {h5py.h5l.TYPE_SOFT: "a soft link", h5py.h5l.TYPE_EXTERNAL: "an external link"}
        raise refuse(f"{described.get(kind, 'a link of unknown kind')} is refused", parent, name)
    try:
        found = h5py.h5o.open(parent.id, key)
    except (RuntimeError, OSError, KeyError, ValueError, TypeError) as error:
        raise refuse(f"damaged object ({error})", parent, name) from error
    if isinstance(found, h5py.h5g.GroupID | h5py.h5d.DatasetID):
        return found
    raise refuse("neither a group nor a data set", parent, name)


def group(parent: h5py.Group, name: str) -> h5py.Group | None:
    """The group `name` of `parent`, None where there is no such name."""
    found = child(parent, name)
    if found is None:
        return None
    if isinstance(found, h5py.h5g.GroupID):
        return h5py.Group(found)
    raise refuse("a data set where a group belongs", parent, name)


def descend(start: h5py.Group, path: str) -> h5py.Group:
    """The group at `path` below `start`, which was there when the dump was opened."""
    found = start
    for name in path.split("/"):
        below = group(found, name)
        if below is None:
            raise refuse("gone since the dump was opened", found, name)
        found = below
    return found


def text(parent: h5py.Group, name: str) -> str | None:
    """The scalar string data set `name`, None where there is no such name."""
    found = child(parent, name)
    if found is None:
        return None
    if isinstance(found, h5py.h5g.GroupID):
        raise refuse("a group where a string belongs", parent, name)
    try:
        properties, dtype, shape = found.get_create_plist(), type_of(found).dtype, found.shape
        elsewhere = properties.get_external_count() or (properties.get_layout() == h5py.h5d.VIRTUAL)
    except (TypeError, ValueError, RuntimeError) as error:
        raise refuse(f"unknown type ({error})", parent, name) from error
    if elsewhere:
        raise refuse("a string stored outside its data set is refused", parent, name)
    _check_text_type(dtype, shape, parent, name)
    value = np.empty((), dtype)
    with reading(parent, name):
        found.read(h5py.h5s.ALL, h5py.h5s.ALL, value)
    return _decode(value.item(), parent, name)


class StoredType(NamedTuple):
    """The type of a data set or attribute: as numpy's, and as HDF5's where that has other bytes."""

    dtype: np.dtype[Any]
    hdf5: h5py.h5t.TypeID | None


def type_of(found: h5py.h5d.DatasetID | h5py.h5a.AttrID) -> StoredType:
    """The type of a data set or attribute; h5py works it out anew for each.

    Of what is neither numbers nor text only the kind is said: "O" or "V".

    Raises `TypeError`, `ValueError` or `RuntimeError` for one that numpy doesn't have, or that is
    damaged.
    """
    return _type(found.get_type().encode())


_NEITHER_NUMBERS_NOR_TEXT: dict[str, Any] = {
    "V": h5py.h5t.TypeCompoundID | h5py.h5t.TypeArrayID | h5py.h5t.TypeOpaqueID,
    "O": h5py.h5t.TypeVlenID | h5py.h5t.TypeReferenceID,
}
"""Nobody asks for more than their kind, and h5py would have numpy read what a file says of them.

An opaque type may be tagged as any of numpy's: h5py takes it for numbers, and numpy divides by
zero for some. Others go deeper than a stack does.
"""


@lru_cache(maxsize=64)
def _type(encoded: bytes) -> StoredType:
    found = h5py.h5t.decode(encoded)
    for kind, types in _NEITHER_NUMBERS_NOR_TEXT.items():
        if isinstance(found, types):
            return StoredType(np.dtype(kind), found)
    _check_bits(found.get_super() if isinstance(found, h5py.h5t.TypeEnumID) else found)
    dtype: np.dtype[Any] = found.dtype
    return StoredType(dtype, None if found == h5py.h5t.py_create(dtype) else found)


def _check_bits(found: h5py.h5t.TypeID) -> None:
    """Of numbers whose bits are outside of them HDF5 reads, and writes, what is beside them."""
    if not isinstance(found, h5py.h5t.TypeIntegerID | h5py.h5t.TypeFloatID):
        return
    bits = found.get_precision()
    fits = 0 < bits <= 8 * found.get_size() - found.get_offset()
    if isinstance(found, h5py.h5t.TypeFloatID):
        sign, exponent, exponent_bits, mantissa, mantissa_bits = found.get_fields()
        fits = fits and max(sign + 1, exponent + exponent_bits, mantissa + mantissa_bits) <= bits
    if not fits:
        raise ValueError("damaged: bits of its numbers are outside of them")


@contextmanager
def reading(parent: h5py.Group, name: str) -> Iterator[None]:
    """A failed read (checksum, damaged chunk) of `name` is raised as `DumpError`."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, TypeError, MemoryError) as error:
        text = str(error).split("(")[-1].rstrip(")") or type(error).__name__
        raise refuse(f"can't be read ({text})", parent, name) from error


def attribute_text(owner: h5py.Group, name: str) -> str | None:
    """The string attribute `name`, None where it is missing. Raises `DumpError` for other types."""
    found = _attribute(owner, name)
    if found is None:
        return None
    _check_text_type(found.dtype, found.shape, owner, f"@{name}")
    return _decode(found.value(), owner, f"@{name}")


def attribute_number(owner: h5py.Group, name: str) -> float | int | None:
    """The numeric attribute `name`, None where it is missing; other types raise."""
    found = _attribute(owner, name)
    if found is None:
        return None
    if found.dtype.kind not in "fiub" or found.shape is None or math.prod(found.shape) != 1:
        raise refuse("a single number belongs here", owner, f"@{name}")
    # by the type of the file: numpy's long double is no Python float
    return float(found.value()) if found.dtype.kind == "f" else int(found.value())


def numeric_attributes(owner: h5py.Group, known: frozenset[str]) -> tuple[dict[str, float], int]:
    """`MOST_NUMBERS` further numeric scalar attributes, by name, and how many more there may be.

    Anything else under other names is left.
    """
    numbers: dict[str, float] = {}
    more = 0
    try:
        names = list(owner.attrs)
    except (RuntimeError, OSError, KeyError, ValueError) as error:
        raise refuse(f"damaged attributes ({error})", owner) from error
    for name in names:
        if not isinstance(name, str) or name in known:
            continue
        if len(numbers) == MOST_NUMBERS:
            more += 1
            continue
        try:
            found = _attribute(owner, name)
            if found is not None and found.dtype.kind in "fiu" and found.shape == ():
                numbers[_printable(name)] = float(found.value())
        except DumpError:  # under a name that isn't ours, nothing is refused
            continue
    return numbers, more


@dataclass(frozen=True)
class _Attribute:
    """An attribute that is there; its type and shape, which HDF5 works out anew when asked."""

    owner: h5py.Group
    name: str
    id: h5py.h5a.AttrID
    dtype: np.dtype[Any]
    shape: tuple[int, ...] | None

    def value(self) -> Any:  # noqa: ANN401
        """The only value of a number or string; `owner.attrs[name]` opens it anew."""
        try:
            value = np.empty(self.shape or (), self.dtype)
            self.id.read(value)
            return value.item()
        except (RuntimeError, OSError, KeyError, ValueError, TypeError, UnicodeError) as error:
            raise refuse(f"damaged attribute ({error})", self.owner, f"@{self.name}") from error


def _attribute(owner: h5py.Group, name: str) -> _Attribute | None:
    try:
        if not h5py.h5a.exists(owner.id, name.encode()):
            return None
        found = h5py.h5a.open(owner.id, name.encode())
        return _Attribute(owner, name, found, type_of(found).dtype, found.shape)
    except (RuntimeError, OSError, KeyError, ValueError, TypeError) as error:
        raise refuse(f"damaged attribute ({error})", owner, f"@{name}") from error


def _check_text_type(
    dtype: np.dtype[Any], shape: tuple[int, ...] | None, owner: h5py.Group, name: str
) -> None:
    if shape != () or h5py.check_string_dtype(dtype) is None:
        raise refuse("a single string belongs here", owner, name)
    if dtype.kind == "S" and dtype.itemsize > MAX_TEXT:
        raise refuse("a string over 1 MiB is refused", owner, name)


def _decode(value: Any, owner: h5py.Group, name: str) -> str:  # noqa: ANN401 (str or bytes)
    if len(value) > MAX_TEXT:
        raise refuse("a string over 1 MiB is refused", owner, name)
    decoded = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return _printable(decoded)


def _printable(text: str) -> str:
    # Names reach terminals and pictures: an escape sequence in one must stay text.
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
