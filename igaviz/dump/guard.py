"""The only way to a group, a data set or an attribute of an HDF5 file that a stranger wrote.

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
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from igaviz.errors import DumpError

MAX_BYTES = 2**30
"""The cap on one chunk, one map, and any data set that is read as a whole."""

MAX_TEXT = 2**20
MAX_INFLATION = 1100
INFLATION_SLACK = 64 * 1024

_FILTERS = {
    h5py.h5z.FILTER_DEFLATE: "deflate",
    h5py.h5z.FILTER_SHUFFLE: "shuffle",
    h5py.h5z.FILTER_FLETCHER32: "fletcher32",
    h5py.h5z.FILTER_LZF: "lzf",
}
_DECIMAL = re.compile(r"[0-9]{1,18}")
Parse = Callable[[str], int | None]
"""From a link's name to its number."""

_COMPRESSING = (h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_LZF)


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


def place(thing: h5py.Group | h5py.Dataset) -> str:
    """The path of a group or data set inside its file, without the leading slash."""
    return str(thing.name).lstrip("/")


def refuse(reason: str, inside: h5py.Group | h5py.Dataset, name: str = "") -> DumpError:
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


def child(parent: h5py.Group, name: str) -> h5py.Group | h5py.Dataset | None:
    """What the hard link `name` of `parent` points to, None where there is no such name."""
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
        found = h5py.h5o.open(parent.id, key)  # `parent[name]` takes twice as long
    except (RuntimeError, OSError, KeyError, ValueError, TypeError) as error:
        raise refuse(f"damaged object ({error})", parent, name) from error
    if isinstance(found, h5py.h5g.GroupID):
        return h5py.Group(found)
    if isinstance(found, h5py.h5d.DatasetID):
        return h5py.Dataset(found, readonly=True)
    raise refuse("neither a group nor a data set", parent, name)


def group(parent: h5py.Group, name: str) -> h5py.Group | None:
    """The group `name` of `parent`, None where there is no such name."""
    found = child(parent, name)
    if found is None or isinstance(found, h5py.Group):
        return found
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


def dataset(parent: h5py.Group, name: str) -> h5py.Dataset | None:
    """The numeric data set `name` of `parent`, checked, None where there is no such name.

    It may still be too large to be read as a whole: `read_whole` and the shard's reader of maps
    hold to `MAX_BYTES`.
    """
    found = child(parent, name)
    if found is None:
        return None
    if isinstance(found, h5py.Group):
        raise refuse("a group where a data set belongs", parent, name)
    _check_type(found)
    try:
        _check_storage(found)
    except (RuntimeError, OSError, ValueError, TypeError) as error:
        raise refuse(f"damaged storage ({error})", found) from error
    return found


def _check_type(data: h5py.Dataset) -> None:
    try:
        dtype = data.dtype
    except (TypeError, ValueError, RuntimeError) as error:
        raise refuse(f"unknown type ({error})", data) from error
    if dtype.kind not in "fiu" or dtype.itemsize > 8 or dtype.subdtype is not None:
        described = "variable-length or reference" if dtype.kind == "O" else f"{dtype}"
        raise refuse(f"type {described} is refused: numbers belong here", data)
    if data.shape is None:
        raise refuse("holds nothing (null data space)", data)


def _check_storage(data: h5py.Dataset) -> None:
    # what it was created with, asked for once: `data.chunks` and the like ask each time
    properties = data.id.get_create_plist()
    layout = properties.get_layout()
    if layout == h5py.h5d.VIRTUAL:
        raise refuse("a virtual data set is refused", data)
    if properties.get_external_count() > 0:
        raise refuse("external storage is refused", data)
    filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
    for code in filters:
        if code not in _FILTERS:
            raise refuse(
                f"filter {code} is refused: deflate, lzf, shuffle, fletcher32 are known", data
            )
    declared = math.prod(data.shape) * data.dtype.itemsize
    if declared == 0:
        return
    stored = data.id.get_storage_size()
    if stored == 0:
        raise refuse("nothing is stored: it would read as zeros", data)
    if layout == h5py.h5d.CHUNKED:
        _check_chunks(data, properties.get_chunk())
    if not filters and stored < declared:
        raise refuse(f"{declared:,} bytes are declared, {stored:,} are stored", data)
    compressing = any(code in _COMPRESSING for code in filters)
    if compressing and declared > MAX_INFLATION * stored + INFLATION_SLACK:
        raise refuse(f"{stored:,} stored bytes can't unpack to the declared {declared:,}", data)


def _check_chunks(data: h5py.Dataset, chunks: tuple[int, ...]) -> None:
    if math.prod(chunks) * data.dtype.itemsize > MAX_BYTES:
        raise refuse(f"a chunk of {chunks} is over the cap of 1 GiB", data)
    expected = math.prod(
        -(-length // chunk) for length, chunk in zip(data.shape, chunks, strict=True)
    )
    there = data.id.get_num_chunks()
    if there != expected:
        raise refuse(
            f"{expected - there} of {expected} chunks are not stored: they would read as zeros",
            data,
        )


def expect_shape(data: h5py.Dataset | None, shape: tuple[int, ...]) -> None:
    """Raise `DumpError` where there is a data set and its shape isn't `shape`."""
    if data is not None and data.shape != shape:
        raise refuse(f"shape {data.shape} doesn't fit: {shape} belongs here", data)


def read(data: h5py.Dataset, selection: Any = ()) -> npt.NDArray[Any]:  # noqa: ANN401 (h5py's own)
    """`data[selection]`, a failed read (checksum, damaged chunk) raised as `DumpError`."""
    with _reading(data):
        return np.asarray(data[selection])


@contextmanager
def _reading(data: h5py.Dataset) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, ValueError, TypeError, MemoryError) as error:
        text = str(error).split("(")[-1].rstrip(")") or type(error).__name__
        raise refuse(f"can't be read ({text})", data) from error


def raw_chunk(data: h5py.Dataset, offset: tuple[int, ...]) -> tuple[int, bytes]:
    """The filter mask and the stored bytes of the chunk at `offset`; a failed read raises."""
    try:
        mask, stored = data.id.read_direct_chunk(offset)
    except (OSError, RuntimeError, ValueError, MemoryError) as error:
        raise refuse(f"chunk {offset} can't be read ({error})", data) from error
    return int(mask), bytes(stored)


def read_whole(data: h5py.Dataset) -> npt.NDArray[Any]:
    """All of a small data set. Raises `DumpError` above the cap."""
    if math.prod(data.shape) * data.dtype.itemsize > MAX_BYTES:
        raise refuse(f"shape {data.shape} is over the cap of 1 GiB", data)
    values = np.empty(data.shape, data.dtype)
    if values.size:  # `data[()]` takes five times as long
        with _reading(data):
            data.id.read(h5py.h5s.ALL, h5py.h5s.ALL, values)
    return values


def text(parent: h5py.Group, name: str) -> str | None:
    """The scalar string data set `name`, None where there is no such name."""
    found = child(parent, name)
    if found is None:
        return None
    if isinstance(found, h5py.Group):
        raise refuse("a group where a string belongs", parent, name)
    if found.is_virtual or found.external is not None:
        raise refuse("a string stored outside its data set is refused", parent, name)
    try:
        dtype = found.dtype
    except (TypeError, ValueError, RuntimeError) as error:
        raise refuse(f"unknown type ({error})", parent, name) from error
    _check_text_type(dtype, found.shape, parent, name)
    return _decode(read_whole(found).item(), parent, name)


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


def numeric_attributes(owner: h5py.Group, known: frozenset[str]) -> dict[str, float]:
    """All further numeric scalar attributes, by name; anything else under other names is left."""
    numbers: dict[str, float] = {}
    try:
        names = list(owner.attrs)
    except (RuntimeError, OSError, KeyError, ValueError) as error:
        raise refuse(f"damaged attributes ({error})", owner) from error
    for name in names:
        if not isinstance(name, str) or name in known or len(numbers) >= 64:
            continue
        try:
            found = _attribute(owner, name)
            if found is not None and found.dtype.kind in "fiu" and found.shape == ():
                numbers[_printable(name)] = float(found.value())
        except DumpError:  # under a name that isn't ours, nothing is refused
            continue
    return numbers


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
        return _Attribute(owner, name, found, found.dtype, found.shape)
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
