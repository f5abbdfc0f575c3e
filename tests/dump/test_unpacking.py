"""Chunks are unpacked as HDF5 does it, and only to what belongs in them."""

from __future__ import annotations

import zlib

import bare
import h5py
import numpy as np
import pytest

from igaviz import open_dump, read_maps
from igaviz.dump.stored import Stored
from igaviz.dump.unpacking import Filter, unpack
from igaviz.errors import DumpError, NothingReadableError

N = 30
ATTENTION = "steps/000000100/batch/0/layers/0/attention"
DEFLATED, LZF, SHUFFLED, SUMMED = (
    {"compression": "gzip"},
    {"compression": "lzf"},
    {"shuffle": True},
    {"fletcher32": True},
)
FORMS = {
    "deflate": DEFLATED,
    "shuffle, deflate, checksum": {**DEFLATED, **SHUFFLED, **SUMMED},
    "lzf": LZF,
    "shuffle, lzf, checksum": {**LZF, **SHUFFLED, **SUMMED},
}


def brain_floats() -> h5py.h5t.TypeID:
    """bfloat16, which numpy doesn't have."""
    found = h5py.h5t.IEEE_F32BE.copy()
    found.set_fields(15, 7, 8, 0, 7)
    found.set_size(2)
    return found


@pytest.mark.parametrize("kind", ["<f4", ">f2", "u1", brain_floats])
@pytest.mark.parametrize("form", FORMS)
def test_numbers_are_those_that_hdf5_unpacks(form, kind, tmp_path):
    """One of a checksum's odd bytes, chunks that stick out, values that repeat and that don't."""
    values = np.random.default_rng(0).integers(0, 200, (5, 9, 11))
    values[1:3] = 7
    with h5py.File(tmp_path / "x.h5", "w") as file:
        stored = kind() if callable(kind) else np.dtype(kind)
        made = file.create_dataset(
            "x", values.shape, stored, chunks=(2, 3, 11), track_times=False, **FORMS[form]
        )
        made[...] = values
        data = Stored.of(file, "x")
        np.testing.assert_array_equal(data.read(), made[...])
        for start in range(5):
            np.testing.assert_array_equal(data.rows(start, 5 - start), made[start:])
            np.testing.assert_array_equal(data.rows(start, 1), made[start : start + 1])


@pytest.mark.parametrize("n", [1, 2, 511, 131_072, 300_001])
@pytest.mark.parametrize("least", [0, 255])
def test_checksums_of_many_words_are_hdf5s(n, least, tmp_path):
    values = np.random.default_rng(n).integers(least, 256, n, dtype="u1")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=values, chunks=(n,), **SUMMED)
        np.testing.assert_array_equal(Stored.of(file, "x").read(), values)


def bomb(n_bytes):
    """So many zeros, deflated a thousandfold."""
    return zlib.compress(bytes(n_bytes), 9)


WHOLE = 4 * N * N
HOSTILE = {
    # filters of the data set, what is stored of a chunk, its mask, what is said
    "too few": (DEFLATED, zlib.compress(bytes(64)), 0, r"unpacks to 64 bytes: 3,600 belong here"),
    "too many": (DEFLATED, bomb(2**21), 0, r"unpacks to more than 4,849 bytes"),
    "cut off": (DEFLATED, zlib.compress(bytes(WHOLE))[:-1], 0, "damaged"),
    "no stream": (DEFLATED, b"x" * 100, 0, "damaged"),
    "too few, lzf": (LZF, b"\x1f" + bytes(32), 0, r"unpacks to 32 bytes: 3,600 belong here"),
    "too many, lzf": (LZF, b"\0\0" + b"\xe0\xff\0" * 100, 0, r"unpacks to more than 4,849 bytes"),
    "cut off, lzf": (LZF, b"\x1f", 0, "cut off"),
    "before the beginning, lzf": (LZF, b"\xe0\xff\0", 0, "before the beginning"),
    "checksum": ({**DEFLATED, **SUMMED}, zlib.compress(bytes(WHOLE) + b"abcd"), 0, "checksum"),
    "too few as they are": (DEFLATED, bytes(64), 1, r"unpacks to 64 bytes: 3,600 belong here"),
    "too few, shuffled": (SHUFFLED, bytes(64), 0, r"unpacks to 64 bytes: 3,600 belong here"),
    "too few, unchecked": (SUMMED, bytes(64), 1, r"unpacks to 64 bytes: 3,600 belong here"),
    "too long": (DEFLATED, bytes(2 * WHOLE), 0, r"2 chunks of 14,400 bytes are stored"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_chunk_of_other_bytes_than_belong_in_it(kind, tmp_path):
    form, stored, mask, said = HOSTILE[kind]

    def change(file):
        del file[ATTENTION]
        made = file.create_dataset(ATTENTION, (2, N, N), "f4", chunks=(1, N, N), **form)
        for head in range(2):
            made.id.write_direct_chunk((head, 0, 0), stored, mask)

    path = bare.write(tmp_path / "x.h5", layers=1, heads=2, n=N, change=change)
    with pytest.raises((DumpError, NothingReadableError), match=rf"layers/0/attention.*{said}"):
        list(read_maps(open_dump(path).entries[0]))


@pytest.mark.parametrize("values", [(10**6,), (3,), (8,), ()])
def test_a_shuffle_of_no_numbers(values):
    with pytest.raises(ValueError, match="no numbers"):
        unpack(bytes(12), [Filter(h5py.h5z.FILTER_SHUFFLE, values)], 12)


def test_a_type_whose_bits_are_outside_of_it(tmp_path):
    """HDF5 converts to and from such types with what lies beside in memory."""

    def change(file):
        layer = file[ATTENTION].parent
        gamma = layer["gamma"][()]
        del layer["gamma"]
        layer["gamma"] = gamma.astype(">f4")

    path = bare.write(tmp_path / "x.h5", layers=1, heads=2, n=N, change=change)
    content = path.read_bytes()
    big_endian = bytes.fromhex("11 21 1f 00 04 00 00 00 00 00 20 00")
    assert content.count(big_endian) == 1
    shifted = big_endian[:8] + b"\x03" + big_endian[9:]
    path.write_bytes(content.replace(big_endian, shifted))
    with pytest.raises(NothingReadableError, match=r"layers/0/gamma: unknown type \(damaged: bits"):
        open_dump(path)


def elsewhere(content, at):
    """The chunk under a place that there isn't."""
    return content[: at + 8] + np.array([5], "<u8").tobytes() + content[at + 16 :]


def beside(content, at):
    """The chunk before it in the middle of a number: it is listed, and not found."""
    return content[: at - 16] + np.array([4], "<u8").tobytes() + content[at - 8 :]


@pytest.mark.parametrize("damage", [elsewhere, beside])
@pytest.mark.parametrize("form", [{}, SUMMED])
def test_a_chunk_that_is_there_and_not_in_its_place(form, damage, tmp_path):
    """Nothing is missing but where it is looked for: that place would read as zeros."""

    def change(file):
        attention = file[ATTENTION][()]
        del file[ATTENTION]
        file.create_dataset(ATTENTION, data=attention, chunks=(1, N, N), **form)

    path = bare.write(tmp_path / "x.h5", layers=1, heads=2, n=N, change=change)
    content = path.read_bytes()
    size = WHOLE + 4 * len(form)
    second = np.array([size, 0], "<u4").tobytes() + np.array([1, 0, 0, 0], "<u8").tobytes()
    assert content.count(second) == 1
    path.write_bytes(damage(content, content.index(second)))
    with pytest.raises(DumpError, match=r"layers/0/attention.*not allocated"):
        list(read_maps(open_dump(path).entries[0]))


def opaque(tag):
    found = h5py.h5t.create(h5py.h5t.OPAQUE, 8)
    found.set_tag(tag)
    return found


def compounds(depth):
    found = h5py.h5t.NATIVE_FLOAT
    for _ in range(depth):
        inside, found = found, h5py.h5t.create(h5py.h5t.COMPOUND, 4)
        found.insert(b"a", 0, inside)
    return found


@pytest.mark.parametrize(
    "kind",
    [opaque(b"NUMPY:<f8"), opaque(b"NUMPY:(1,"), opaque(b"NUMPY:M8[1s/0]"), compounds(400)],
    ids=["tagged as numbers", "tagged as nothing", "tagged as 1 s / 0", "400 compounds deep"],
)
def test_types_that_numpy_is_not_asked_for(kind, tmp_path):
    """Of the second it raises `SyntaxError`; the third ends the process."""

    def change(file):
        layer = file[ATTENTION].parent
        del layer["gamma"]
        h5py.h5d.create(layer.id, b"gamma", kind, h5py.h5s.create_simple((2,)))
        scalar = h5py.h5s.create(h5py.h5s.SCALAR)
        h5py.h5a.create(file["steps/000000100"].id, b"other", kind, scalar)

    path = bare.write(tmp_path / "x.h5", layers=1, heads=2, n=N, change=change)
    with pytest.raises(NothingReadableError, match=r"gamma: type compound, array or opaque is ref"):
        open_dump(path)
