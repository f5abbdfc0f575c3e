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
from igaviz.dump.unpacking import Bytes, Filter, applied, stored_sizes, unpack
from igaviz.errors import DumpError

MAX_BYTES = 2**30
"""The cap on one chunk, one map, and any data set that is read as a whole."""

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

    `shape` and `dtype` are as it is stored; `chunks` is None where it is stored in one piece, and
    `filters` are what each chunk went through, but for those that it says it didn't.
    """

    parent: h5py.Group
    name: str
    id: h5py.h5d.DatasetID
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: tuple[int, ...] | None
    filters: tuple[Filter, ...]

    @classmethod
    def of(cls, parent: h5py.Group, name: str) -> Self | None:
        """The data set `name` of `parent`, None where there is no such name.

        Raises `DumpError` for anything but numbers that are all in this file. It may still be too
        large to be read as a whole: `read` and the shard's reader of maps hold to `MAX_BYTES`.
        """
        found = guard.child(parent, name)
        if found is None:
            return None
        if isinstance(found, h5py.h5g.GroupID):
            raise guard.refuse("a group where a data set belongs", parent, name)
        shape, dtype = _shape_and_type(found, parent, name)
        try:
            properties = found.get_create_plist()
            chunked = properties.get_layout() == h5py.h5d.CHUNKED
            chunks = properties.get_chunk() if chunked else None
            filters = tuple(
                Filter(code, values)
                for code, _, values, _ in map(
                    properties.get_filter, range(properties.get_nfilters())
                )
            )
            stored = cls(parent, name, found, shape, dtype, chunks, filters)
            stored._check_storage(properties)
        except (RuntimeError, OSError, ValueError, TypeError) as error:
            raise guard.refuse(f"damaged storage ({error})", parent, name) from error
        return stored

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
        with guard.reading(self.parent, self.name):
            values = np.empty((count, *self.shape[1:]), self.dtype)
            as_stored, wanted = self.id.get_type(), h5py.h5t.py_create(self.dtype)
        first = range(start - start % chunks[0], start + count, chunks[0])
        others = [range(0, n, c) for n, c in zip(self.shape[1:], chunks[1:], strict=True)]
        for offset in product(first, *others):
            content = self._chunk(offset, math.prod(chunks) * as_stored.get_size())
            with guard.reading(self.parent, self.name):
                numbers = _numbers(content, as_stored, wanted, self.dtype).reshape(chunks)
            begin = (offset[0] - start, *offset[1:])
            into = values[
                tuple(slice(max(k, 0), k + c) for k, c in zip(begin, chunks, strict=True))
            ]
            into[...] = numbers[max(-begin[0], 0) :][tuple(map(slice, into.shape))]
        return values

    def _chunk(self, offset: tuple[int, ...], n_bytes: int) -> Bytes:
        """The `n_bytes` of the chunk at `offset`, also of what of it is beyond an edge."""
        mask, stored = self.raw_chunk(offset)
        try:
            return unpack(stored, applied(self.filters, mask), n_bytes)
        except (ValueError, MemoryError) as error:
            reason = str(error) or "it takes too much memory"
            raise self.refuse(f"chunk {offset} can't be read ({reason})") from error

    def _check_storage(self, properties: h5py.h5p.PropDCID) -> None:
        """Refuse what is stored elsewhere or not at all, or unpacks to more than it can."""
        if properties.get_layout() == h5py.h5d.VIRTUAL:
            raise self.refuse("a virtual data set is refused")
        if properties.get_external_count() > 0:
            raise self.refuse("external storage is refused")
        for code, _ in self.filters:
            if code not in _FILTERS:
                known = ", ".join(_FILTERS.values())
                raise self.refuse(f"filter {code} is refused: {known} are known")
        declared = self.n_bytes
        if declared == 0:
            return
        stored = self.id.get_storage_size()
        if stored == 0:
            raise self.refuse("nothing is stored: it would read as zeros")
        if self.chunks is not None:
            self._check_chunks(self.chunks)
        if (self.chunks is None or not self.filters) and stored < declared:
            raise self.refuse(f"{declared:,} bytes are declared, {stored:,} are stored")
        compressing = any(one.compresses for one in self.filters)
        if compressing and declared > MAX_INFLATION * stored + INFLATION_SLACK:
            raise self.refuse(f"{stored:,} stored bytes can't unpack to the declared {declared:,}")

    def _check_chunks(self, chunks: tuple[int, ...]) -> None:
        """Refuse those that are too large, not there, or not of as many bytes as one has."""
        n = math.prod(chunks)
        n_bytes = n * self.id.get_type().get_size()
        if max(n_bytes, n * self.dtype.itemsize) > MAX_BYTES:
            raise self.refuse(f"a chunk of {chunks} is over the cap of 1 GiB")
        steps = [range(0, n, chunk) for n, chunk in zip(self.shape, chunks, strict=True)]
        expected = math.prod(
            -(-length // chunk) for length, chunk in zip(self.shape, chunks, strict=True)
        )
        there: list[h5py.h5d.StoreInfo] = []
        self.id.chunk_iter(there.append)
        if len(there) < expected:
            raise self.refuse(
                f"{expected - len(there)} of {expected} chunks are not stored: "
                "they would read as zeros"
            )
        if {chunk.chunk_offset for chunk in there} != set(product(*steps)):
            raise self.refuse("chunks are stored for places that are none: others read as zeros")
        for mask in {chunk.filter_mask for chunk in there}:
            allowed = stored_sizes(applied(self.filters, mask), n_bytes)
            for chunk in there:
                if chunk.filter_mask == mask and chunk.size not in allowed:
                    raise self.refuse(f"{chunk.size:,} stored bytes are no chunk of {n_bytes:,}")


def _filters(properties: h5py.h5p.PropDCID) -> tuple[Filter, ...]:
    filters = map(properties.get_filter, range(properties.get_nfilters()))
    return tuple(Filter(code, values) for code, _, values, _ in filters)


def _shape_and_type(
    found: h5py.h5d.DatasetID, parent: h5py.Group, name: str
) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Those of a data set of numbers; anything else is refused."""
    try:
        shape, dtype = found.shape, guard.dtype_of(found)
    except (TypeError, ValueError, RuntimeError) as error:
        raise guard.refuse(f"unknown type ({error})", parent, name) from error
    if dtype.kind not in "fiu" or dtype.itemsize > 8:
        described = _NO_NUMBERS.get(dtype.kind) or f"{dtype}"
        raise guard.refuse(f"type {described} is refused: numbers belong here", parent, name)
    if shape is None:
        raise guard.refuse("holds nothing (null data space)", parent, name)
    return shape, dtype


def _numbers(
    content: Bytes, as_stored: h5py.h5t.TypeID, wanted: h5py.h5t.TypeID, dtype: np.dtype[Any]
) -> npt.NDArray[Any]:
    """The numbers that `content` is of; those of a type that numpy doesn't have are converted."""
    if as_stored == wanted:
        return np.frombuffer(content, dtype)
    n = len(content) // as_stored.get_size()
    numbers = np.zeros(n * max(as_stored.get_size(), wanted.get_size()), np.uint8)
    numbers[: len(content)] = np.frombuffer(content, np.uint8)
    h5py.h5t.convert(as_stored, wanted, n, numbers)
    return numbers[: n * wanted.get_size()].view(dtype)


def expect_shape(data: Stored | None, shape: tuple[int, ...]) -> None:
    """Raise `DumpError` where there is a data set and its shape isn't `shape`."""
    if data is not None and data.shape != shape:
        raise data.refuse(f"shape {data.shape} doesn't fit: {shape} belongs here")
