"""The numeric data sets of an HDF5 file that a stranger wrote: checked before they are read.

A shard has sixty of them, and opening them is all that an index does. So each is asked once for
what it was created with, by h5py's low-level calls: `h5py.Dataset` asks again each time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import Any, Self

import h5py
import numpy as np
import numpy.typing as npt

from igaviz.dump import guard
from igaviz.dump.unpacking import Bytes, Filter, applied, largest, unpack
from igaviz.errors import DumpError

MAX_BYTES = 2**30
"""The cap on one chunk, one map, and any data set that is read as a whole."""

NOTHING_STORED = "nothing is stored: it would read as zeros"
MAX_INFLATION = 1100
INFLATION_SLACK = 64 * 1024

_FILTERS = {
    h5py.h5z.FILTER_DEFLATE: "deflate",
    h5py.h5z.FILTER_LZF: "lzf",
    h5py.h5z.FILTER_SHUFFLE: "shuffle",
    h5py.h5z.FILTER_FLETCHER32: "fletcher32",
}


_NO_NUMBERS = {"O": "variable-length or reference", "V": "compound, array or opaque"}
"""By numpy's kind."""


@dataclass(frozen=True, eq=False, slots=True)
class Stored:
    """A numeric data set, checked and not read: `name` in `parent`.

    `shape` and `type` are as it is stored; `chunks` is None where it is stored in one piece, and
    `filters` are what each chunk went through, but for those that it says it didn't.
    """

    parent: h5py.Group
    name: str
    id: h5py.h5d.DatasetID
    shape: tuple[int, ...]
    type: guard.StoredType
    chunks: tuple[int, ...] | None
    filters: tuple[Filter, ...]

    @classmethod
    def of(cls, parent: h5py.Group, name: str) -> Self | None:
        """The data set `name` of `parent`, None where there is no such name.

        Raises `DumpError` for anything but numbers that are all in this file. Its chunks may still
        be missing or damaged, which reading them tells, and it may be too large to be read as a
        whole: `read` and the shard's reader of maps hold to `MAX_BYTES`.
        """
        found = guard.child(parent, name)
        if found is None:
            return None
        if isinstance(found, h5py.h5g.GroupID):
            raise guard.refuse("a group where a data set belongs", parent, name)
        shape, kind = _shape_and_type(found, parent, name)
        try:
            properties = found.get_create_plist()
            chunked = properties.get_layout() == h5py.h5d.CHUNKED
            chunks = properties.get_chunk() if chunked else None
            stored = cls(parent, name, found, shape, kind, chunks, _filters(properties))
            stored._check_form(properties)
        except (RuntimeError, OSError, ValueError, TypeError) as error:
            raise guard.refuse(f"damaged storage ({error})", parent, name) from error
        return stored

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its numbers."""
        return self.type.dtype

    @property
    def n_bytes(self) -> int:
        """What all of it takes, unpacked."""
        return math.prod(self.shape) * self.dtype.itemsize

    def refuse(self, reason: str) -> DumpError:
        """A `DumpError` about this data set, to be raised by the caller."""
        return guard.refuse(reason, self.parent, self.name)

    def read(self) -> npt.NDArray[Any]:
        """All of a small data set. Raises `DumpError` above the cap."""
        if self.n_bytes > MAX_BYTES:
            raise self.refuse(f"shape {self.shape} is over the cap of 1 GiB")
        if self.chunks is not None:
            return self._from_chunks(self.chunks, 0, self.shape[0])
        values = np.empty(self.shape, self.dtype)
        if values.size:
            with guard.reading(self.parent, self.name):
                self.id.read(h5py.h5s.ALL, h5py.h5s.ALL, values)
        return values

    def rows(self, start: int, count: int) -> npt.NDArray[Any]:
        """So many rows (first axis) from `start` on; a failed read raises `DumpError`."""
        if self.chunks is not None:
            return self._from_chunks(self.chunks, start, count)
        shape = (count, *self.shape[1:])
        with guard.reading(self.parent, self.name):
            values = np.empty(shape, self.dtype)
            chosen = self.id.get_space()
            chosen.select_hyperslab((start, *[0] * (len(shape) - 1)), shape)
            self.id.read(h5py.h5s.create_simple(shape), chosen, values)
        return values

    def raw_chunk(self, offset: tuple[int, ...]) -> tuple[int, bytes]:
        """The filter mask and the stored bytes of the chunk at `offset`; a failed read raises."""
        try:
            mask, stored = self.id.read_direct_chunk(offset)
        except (OSError, RuntimeError, ValueError, MemoryError) as error:
            raise self.refuse(f"chunk {offset} can't be read ({error})") from error
        return int(mask), bytes(stored)

    def _from_chunks(self, chunks: tuple[int, ...], start: int, count: int) -> npt.NDArray[Any]:
        """So many rows from `start` on; HDF5 is asked for each chunk as it is stored.

        By itself it would put zeros where its index is damaged and a chunk isn't found.
        """
        first = range(start - start % chunks[0], start + count, chunks[0])
        others = [range(0, n, c) for n, c in zip(self.shape[1:], chunks[1:], strict=True)]
        with guard.reading(self.parent, self.name):
            values = np.empty((count, *self.shape[1:]), self.dtype)
            for offset in product(first, *others):
                numbers = _numbers(self._chunk(offset, chunks), self.type).reshape(chunks)
                begin = (offset[0] - start, *offset[1:])
                into = values[
                    tuple(slice(max(k, 0), k + c) for k, c in zip(begin, chunks, strict=True))
                ]
                into[...] = numbers[max(-begin[0], 0) :][tuple(map(slice, into.shape))]
        return values

    def _chunk(self, offset: tuple[int, ...], chunks: tuple[int, ...]) -> Bytes:
        """The bytes of the chunk at `offset`, also of what of it is beyond an edge."""
        mask, stored = self.raw_chunk(offset)
        try:
            return unpack(stored, applied(self.filters, mask), self._bytes_of(chunks))
        except (ValueError, MemoryError) as error:
            reason = str(error) or "it takes too much memory"
            raise self.refuse(f"chunk {offset} can't be read ({reason})") from error

    def check_chunks(self) -> None:
        """Refuse chunks that are missing, too many, or too few bytes for what they unpack to.

        For who only asks whether they are there; reading comes to each, and refuses it then.
        """
        if self.chunks is None or self.n_bytes == 0:
            return
        try:
            stored, there = self.id.get_storage_size(), self.id.get_num_chunks()
        except (RuntimeError, OSError, ValueError) as error:
            raise self.refuse(f"damaged storage ({error})") from error
        if stored == 0:
            raise self.refuse(NOTHING_STORED)
        expected = math.prod(
            -(-length // chunk) for length, chunk in zip(self.shape, self.chunks, strict=True)
        )
        if there < expected:
            raise self.refuse(
                f"{expected - there} of {expected} chunks are not stored: they would read as zeros"
            )
        if there > expected or stored > expected * largest(self._bytes_of(self.chunks)):
            raise self.refuse(
                f"{there} chunks of {stored:,} bytes are stored: more than {expected} can take"
            )
        compressing = any(one.compresses for one in self.filters)
        if compressing and self.n_bytes > MAX_INFLATION * stored + INFLATION_SLACK:
            raise self.refuse(
                f"{stored:,} stored bytes can't unpack to the declared {self.n_bytes:,}"
            )

    def _bytes_of(self, chunks: tuple[int, ...]) -> int:
        """How many bytes a chunk of that shape has, before its filters."""
        _, hdf5 = self.type
        size: int = self.dtype.itemsize if hdf5 is None else hdf5.get_size()
        return math.prod(chunks) * size

    def _check_form(self, properties: h5py.h5p.PropDCID) -> None:
        """Refuse what is stored elsewhere, in a way that nobody here reads, or not as a whole."""
        if properties.get_layout() == h5py.h5d.VIRTUAL:
            raise self.refuse("a virtual data set is refused")
        if properties.get_external_count() > 0:
            raise self.refuse("external storage is refused")
        for code, _ in self.filters:
            if code not in _FILTERS:
                known = ", ".join(_FILTERS.values())
                raise self.refuse(f"filter {code} is refused: {known} are known")
        if self.chunks is None:
            stored = self.id.get_storage_size()
            if stored < self.n_bytes:
                few = f"{self.n_bytes:,} bytes are declared, {stored:,} are stored"
                raise self.refuse(few if stored else NOTHING_STORED)
        else:
            as_numpys = math.prod(self.chunks) * self.dtype.itemsize
            if max(as_numpys, self._bytes_of(self.chunks)) > MAX_BYTES:
                raise self.refuse(f"a chunk of {self.chunks} is over the cap of 1 GiB")


def _filters(properties: h5py.h5p.PropDCID) -> tuple[Filter, ...]:
    filters = map(properties.get_filter, range(properties.get_nfilters()))
    return tuple(Filter(code, values) for code, _, values, _ in filters)


def _shape_and_type(
    found: h5py.h5d.DatasetID, parent: h5py.Group, name: str
) -> tuple[tuple[int, ...], guard.StoredType]:
    """Those of a data set of numbers; anything else is refused."""
    try:
        shape, kind = found.shape, guard.type_of(found)
    except (TypeError, ValueError, RuntimeError) as error:
        raise guard.refuse(f"unknown type ({error})", parent, name) from error
    dtype = kind.dtype
    if dtype.kind not in "fiu" or dtype.itemsize > 8:
        described = _NO_NUMBERS.get(dtype.kind) or f"{dtype}"
        raise guard.refuse(f"type {described} is refused: numbers belong here", parent, name)
    if shape is None:
        raise guard.refuse("holds nothing (null data space)", parent, name)
    return shape, kind


def _numbers(content: Bytes, kind: guard.StoredType) -> npt.NDArray[Any]:
    """The numbers that `content` is of; those of a type that numpy doesn't have are converted."""
    dtype, hdf5 = kind
    if hdf5 is None:
        return np.frombuffer(content, dtype)
    size = hdf5.get_size()
    n = len(content) // size
    numbers = np.zeros(n * max(size, dtype.itemsize), np.uint8)
    numbers[: len(content)] = np.frombuffer(content, np.uint8)
    h5py.h5t.convert(hdf5, h5py.h5t.py_create(dtype), n, numbers)
    return numbers[: n * dtype.itemsize].view(dtype)


def expect_shape(data: Stored | None, shape: tuple[int, ...]) -> None:
    """Raise `DumpError` where there is a data set and its shape isn't `shape`."""
    if data is not None and data.shape != shape:
        raise data.refuse(f"shape {data.shape} doesn't fit: {shape} belongs here")
