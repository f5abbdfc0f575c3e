"""Data sets from one shard into another file as they are stored: type, chunks, filters, bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import h5py
import numpy as np

from igaviz.dump import guard


def copy_dataset(
    source: h5py.Dataset, target: h5py.Group, name: str, rows: Sequence[int] | None = None
) -> h5py.Dataset:
    """The copy of `source` as `name` in `target`, or of those of its `rows` (first axis).

    Type and filters stay. Whole chunks are copied as they are stored, without unpacking them, so
    who copies maps has read them before; where rows are picked from chunks that hold several,
    they are packed anew. One map is held at a time. Raises `DumpError` where the source can't be
    read.
    """
    shape = source.shape if rows is None else (len(rows), *source.shape[1:])
    picked = range(source.shape[0]) if rows is None else rows
    small = None if len(shape) == 3 else guard.read_whole(source)
    raw = _copied_raw(source, whole=rows is None)
    made = _created(source, target, name, shape, raw=raw)
    if raw:
        for offset, origin in _chunks(source, picked):
            mask, stored = guard.raw_chunk(source, origin)
            made.id.write_direct_chunk(offset, stored, mask)
    elif small is not None:
        made[()] = small if rows is None else small[list(rows)]
    else:
        for place, row in enumerate(picked):
            made[place] = guard.read(source, row)
    return made


def _copied_raw(source: h5py.Dataset, *, whole: bool) -> bool:
    """Whether the chunks of `source` can be copied as they are."""
    chunks = source.chunks
    if chunks is None or any(c > n for c, n in zip(chunks, source.shape, strict=True)):
        return False
    return whole or (len(chunks) == 3 and chunks[0] == 1)


def _created(
    source: h5py.Dataset, target: h5py.Group, name: str, shape: tuple[int, ...], *, raw: bool
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


def _chunks(
    source: h5py.Dataset, picked: Sequence[int]
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """(offset in the copy, offset in the source) of each chunk that is copied."""
    first, *others = source.chunks
    inside = [range(0, n, c) for n, c in zip(source.shape[1:], others, strict=True)]
    for place in range(0, len(picked), first):
        for rest in product(*inside):
            yield (place, *rest), (int(picked[place]), *rest)


def as_labels(data: h5py.Dataset | None, n: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The numbers that label a dimension of length `n`: 0…n-1 where none are stored."""
    numbers = np.arange(n) if data is None else guard.read_whole(data)
    return numbers.astype(np.int64)
