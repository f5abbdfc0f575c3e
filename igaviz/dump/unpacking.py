"""Filtered chunks of a file that a stranger wrote: unpacked to as many bytes as belong in one.

HDF5 doesn't look how many bytes a chunk's filters leave. Where they are too few, it reads what
lies behind them in memory, where they are too many, it unpacks them all. libdeflate, by the package
deflate, takes a length that it keeps to, and half of zlib's time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import deflate
import h5py
import numpy as np

Bytes = bytes | bytearray | memoryview

_CHECKSUM_BYTES = 4

_SIDE = 256
"""A row or column of so many words adds up to less than 2^24."""

_ONES = np.ones(_SIDE, np.float32)
_PLACES = np.arange(_SIDE, dtype=np.float64)

_WHOLE = {2: "<u2", 4: "<u4", 8: "<u8"}
"""Whole numbers of so many bytes, the lowest first."""


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


def largest(n_bytes: int) -> int:
    """The most bytes that so many of a chunk are stored as, or unpacked to on the way.

    What can't be compressed grows a little: a byte for each 32 by LZF, less by deflate.
    """
    return n_bytes + n_bytes // 16 + 1024


def unpack(stored: bytes, filters: Sequence[Filter], n_bytes: int) -> Bytes:
    """The `n_bytes` of a chunk that went through `filters` and is `stored` as these bytes.

    Raises `ValueError` where that isn't what they are. A sixteenth more is the most that is ever
    unpacked.
    """
    left: Bytes = stored
    for code, values in reversed(filters):
        if code == h5py.h5z.FILTER_DEFLATE:
            left = _inflated(left, largest(n_bytes))
        elif code == h5py.h5z.FILTER_LZF:
            left = _lzf(bytes(left), largest(n_bytes))
        elif code == h5py.h5z.FILTER_FLETCHER32:
            left = _checked(left)
        elif code == h5py.h5z.FILTER_SHUFFLE:
            left = _unshuffled(left, values)
        else:
            raise ValueError(f"filter {code} is unknown")
    if len(left) != n_bytes:
        raise ValueError(f"unpacks to {len(left):,} bytes: {n_bytes:,} belong here")
    return left


def _inflated(stored: Bytes, most: int) -> bytearray:
    try:
        return deflate.zlib_decompress(stored, most)
    except deflate.DeflateError as error:
        raise ValueError(f"damaged, or it unpacks to more than {most:,} bytes") from error


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
    inside, said = memoryview(stored)[:-_CHECKSUM_BYTES], stored[-_CHECKSUM_BYTES:]
    if len(said) < _CHECKSUM_BYTES or _fletcher32(inside) != int.from_bytes(said, "little"):
        raise ValueError("its checksum is wrong")
    return inside


def _fletcher32(content: memoryview) -> int:
    """HDF5's checksum: of 16-bit words, the high byte first; the last one is filled with a zero.

    Its upper half counts each word as often as there are words from it on. Words are laid out in
    tables, whose rows and columns add up to what float32 holds exactly.
    """
    # the low byte first: modulo 65535, to swap the bytes is to multiply by 256
    words = np.frombuffer(content, "<u2", count=len(content) // 2)
    if len(content) % 2:
        words = np.append(words, np.uint16(content[-1]))
    total = weighted = 0
    for begin in range(0, len(words), _SIDE**2):
        part = words[begin : begin + _SIDE**2]
        rows = -(-len(part) // _SIDE)
        table = np.zeros((rows, _SIDE), np.float32)
        table.reshape(-1)[: len(part)] = part
        by_row = (table @ _ONES).astype(np.float64)
        by_column = (_ONES[:rows] @ table).astype(np.float64)
        of_part = int(by_row.sum())
        before = _SIDE * int(by_row @ _PLACES[:rows]) + int(by_column @ _PLACES)
        weighted += (total + of_part) * len(part) - before
        total += of_part
    return _folded(256 * weighted) << 16 | _folded(256 * total)


def _folded(total: int) -> int:
    """`total` modulo 65535, where only nothing at all is 0."""
    return (total - 1) % 65535 + 1 if total else 0


def _unshuffled(content: Bytes, sizes: tuple[int, ...]) -> Bytes:
    """Whose first bytes, second bytes… of each number stood together, number by number."""
    if sizes == (1,):
        return content
    if len(sizes) != 1 or sizes[0] not in _WHOLE or len(content) % sizes[0]:
        raise ValueError(f"shuffle: {len(content):,} bytes are no numbers of {sizes} bytes")
    (size,) = sizes
    by_place = np.frombuffer(content, np.uint8).reshape(size, -1)
    numbers = by_place[-1].astype(_WHOLE[size])
    for place in by_place[-2::-1]:  # a third faster than putting each where it belongs
        numbers <<= 8
        numbers |= place
    return memoryview(numbers).cast("B")
