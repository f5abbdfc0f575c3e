"""Data sets from one shard into another file as they are stored: type, chunks, filters, bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import h5py
import numpy as np

from igaviz.dump.stored import Stored


def copy_dataset(
    source: Stored, target: h5py.Group, name: str, rows: Sequence[int] | None = None
) -> h5py.Dataset:
    """The copy of `source` as `name` in `target`, or of those of its `rows` (first axis).

    Type and filters stay. Whole chunks are copied as they are stored, without unpacking them, so
    who copies maps has read them before; where rows are picked from chunks that hold several,
    they are packed anew. One map is held at a time. Raises `DumpError` where the source can't be
    read.
    """
    shape = source.shape if rows is None else (len(rows), *source.shape[1:])
    picked = range(source.shape[0]) if rows is None else rows
    small = None if len(shape) == 3 else source.read()
    raw = _copied_raw(source, whole=rows is None)
    made = _created(source, target, name, shape, raw=raw is not None)
    if raw is not None:
        for offset, origin in _places(source.shape, raw, picked):
            mask, stored = source.raw_chunk(origin)
            made.id.write_direct_chunk(offset, stored, mask)
    elif small is not None:
        made[()] = small if rows is None else small[list(rows)]
    else:
        for place, row in enumerate(picked):
            made[place] = source.rows(row, 1)[0]
    return made


def _copied_raw(source: Stored, *, whole: bool) -> tuple[int, ...] | None:
    """The shape of the chunks of `source`, None where they can't be copied as they are."""
    chunks = source.chunks
    if chunks is None or any(c > n for c, n in zip(chunks, source.shape, strict=True)):
        return None
    return chunks if whole or (len(chunks) == 3 and chunks[0] == 1) else None


def _created(
    source: Stored, target: h5py.Group, name: str, shape: tuple[int, ...], *, raw: bool
) -> h5py.Dataset:
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    if source.chunks is not None:
        properties.set_chunk(source.chunks if raw else _smaller(source.chunks, shape))
        known = source.id.get_create_plist()
        for position in range(known.get_nfilters()):
            code, flags, values, _ = known.get_filter(position)
            properties.set_filter(code, flags, values)
    stored_type = source.id.get_type().copy()  # a copy: the file's own may have a name there
    space = h5py.h5s.create_simple(shape)
    return h5py.Dataset(h5py.h5d.create(target.id, name.encode(), stored_type, space, properties))


def _smaller(chunks: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Chunks no larger than `shape`; those of maps hold one head, as heads are written singly."""
    cut = tuple(min(chunk, length) for chunk, length in zip(chunks, shape, strict=True))
    return (1, *cut[1:]) if len(shape) == 3 else cut


def _places(
    shape: tuple[int, ...], chunks: tuple[int, ...], picked: Sequence[int]
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """(offset in the copy, offset in the source) of each chunk that is copied."""
    first, *others = chunks
    inside = [range(0, n, c) for n, c in zip(shape[1:], others, strict=True)]
    for place in range(0, len(picked), first):
        for rest in product(*inside):
            yield (place, *rest), (int(picked[place]), *rest)


def as_labels(data: Stored | None, n: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The numbers that label a dimension of length `n`: 0…n-1 where none are stored."""
    numbers = np.arange(n) if data is None else data.read()
    return numbers.astype(np.int64)
