"""Filtered chunks of a file that a stranger wrote: unpacked to as many bytes as belong in one.

HDF5 doesn't look how many bytes a chunk's filters leave. Where they are too few, it reads what
lies behind them in memory, where they are too many, it unpacks them all.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import NamedTuple

import h5py
import numpy as np

Bytes = bytes | bytearray | memoryview

CHECKSUM_BYTES = 4

_WORDS = 2**16
"""So many words of a checksum are added up at once: their sums are exact in float64."""

_WEIGHTS = np.arange(_WORDS, 0, -1, dtype=np.float64)


class Filter(NamedTuple):
    """One of the filters that chunks go through when they are written, and its parameters."""

    code: int
    values: tuple[int, ...]

    @property
    def compresses(self) -> bool:
        """Whether what it leaves has no length of its own."""
        return self.code in (h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_LZF)


def applied(filters: Sequence[Filter], mask: int) -> list[Filter]:
    """Those of `filters` that a chunk went through: `mask` has a bit for each that it didn't."""
    return [one for place, one in enumerate(filters) if not mask >> place & 1]


def stored_sizes(filters: Sequence[Filter], n_bytes: int) -> range:
    """How many bytes a chunk of `n_bytes` can be stored as that went through `filters`."""
    if any(one.compresses for one in filters):
        return range(1, _largest(n_bytes) + 1)
    checksums = sum(one.code == h5py.h5z.FILTER_FLETCHER32 for one in filters)
    return range(n_bytes + CHECKSUM_BYTES * checksums, n_bytes + CHECKSUM_BYTES * checksums + 1)


def _largest(n_bytes: int) -> int:
    """What can't be compressed grows a little: a byte for each 32 by LZF, less by deflate."""
    return n_bytes + n_bytes // 16 + 1024


def unpack(stored: bytes, filters: Sequence[Filter], n_bytes: int) -> Bytes:
    """The `n_bytes` of a chunk that went through `filters` and is `stored` as these bytes.

    Raises `ValueError` where that isn't what they are. A sixteenth more is the most that is ever
    unpacked.
    """
    left: Bytes = stored
    for code, values in reversed(filters):
        if code == h5py.h5z.FILTER_DEFLATE:
            left = _inflated(left, values, _largest(n_bytes))
        elif code == h5py.h5z.FILTER_LZF:
            left = _lzf(bytes(left), _largest(n_bytes))
        elif code == h5py.h5z.FILTER_FLETCHER32:
            left = _checked(left)
        elif code == h5py.h5z.FILTER_SHUFFLE:
            left = _unshuffled(left, values)
        else:
            raise ValueError(f"filter {code} is unknown")
    if len(left) != n_bytes:
        raise ValueError(f"unpacks to {len(left):,} bytes: {n_bytes:,} belong here")
    return left


def _inflated(stored: Bytes, level: tuple[int, ...], most: int) -> bytes:
    if len(level) != 1 or level[0] > 9:  # HDF5 refuses it
        raise ValueError(f"deflate: no level is {level}")
    stream = zlib.decompressobj()
    try:
        found = stream.decompress(stored, most + 1)
    except zlib.error as error:
        raise ValueError(f"deflate: {error}") from error
    _check_length(len(found), most)
    if not stream.eof:
        raise ValueError("deflate: cut off")
    return found


def _lzf(stored: bytes, most: int) -> bytearray:
    """Runs of bytes as they are, and copies of what is a little further ahead."""
    found = bytearray()
    place = 0
    try:
        while place < len(stored):
            token = stored[place]
            place += 1
            if token < 32:
                run = stored[place : place + token + 1]
                if len(run) != token + 1:
                    raise ValueError("lzf: cut off")
                found += run
                place += len(run)
            else:
                length = token >> 5
                if length == 7:
                    length += stored[place]
                    place += 1
                begin = len(found) - ((token & 31) << 8) - stored[place] - 1
                place += 1
                if begin < 0:
                    raise ValueError("lzf: a copy of what is before the beginning")
                source = found[begin : begin + length + 2]
                # a copy may reach into itself: then it repeats
                found += (source * (-(-(length + 2) // len(source))))[: length + 2]
            _check_length(len(found), most)
    except IndexError as error:
        raise ValueError("lzf: cut off") from error
    return found


def _check_length(length: int, most: int) -> None:
    if length > most:
        raise ValueError(f"unpacks to more than {most:,} bytes")


def _checked(stored: Bytes) -> memoryview:
    """What is before the checksum, which is of it."""
    inside, said = memoryview(stored)[:-CHECKSUM_BYTES], stored[-CHECKSUM_BYTES:]
    if len(said) < CHECKSUM_BYTES or _fletcher32(inside) != int.from_bytes(said, "little"):
        raise ValueError("its checksum is wrong")
    return inside


def _fletcher32(content: memoryview) -> int:
    """HDF5's checksum: of 16-bit words, the high byte first; the last one is filled with a zero."""
    # the low byte first: modulo 65535, to swap the bytes is to multiply by 256
    words = np.frombuffer(content, "<u2", count=len(content) // 2)
    if len(content) % 2:
        words = np.append(words, np.uint16(content[-1]))
    first = second = 0
    for begin in range(0, len(words), _WORDS):
        part = words[begin : begin + _WORDS].astype(np.float64)
        second += first * len(part) + int(part @ _WEIGHTS[-len(part) :])
        first += int(part.sum())
    return _folded(256 * second) << 16 | _folded(256 * first)


def _folded(total: int) -> int:
    """`total` modulo 65535, where only nothing at all is 0."""
    return (total - 1) % 65535 + 1 if total else 0


def _unshuffled(content: Bytes, sizes: tuple[int, ...]) -> Bytes:
    """Whose first bytes, second bytes… of each number stood together, number by number."""
    if len(sizes) != 1 or not 1 <= sizes[0] <= 8:
        raise ValueError(f"shuffle: no number has a size of {sizes}")
    (size,) = sizes
    count = len(content) // size
    if size == 1 or count < 2:
        return content
    found = np.empty(len(content), np.uint8)
    by_place = np.frombuffer(content, np.uint8)
    numbers = found[: count * size].reshape(count, size)
    for place in range(size):  # twice as fast as transposing
        numbers[:, place] = by_place[place * count : (place + 1) * count]
    found[count * size :] = by_place[count * size :]
    return found.data
