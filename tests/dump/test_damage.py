"""A file whose own tables are damaged, wherever that is: said in words, and costs what it must."""

from __future__ import annotations

import random

import bare
import h5py
import pytest

from igaviz import open_dump, verify
from igaviz.errors import NothingReadableError

SIGNATURES = (b"TREE", b"SNOD", b"HEAP", b"OHDR", b"OCHK", b"FRHP", b"BTHD", b"FADB", b"FAHD")


@pytest.fixture(scope="module", params=["earliest", "latest"])
def written(request, tmp_path_factory):
    """The bytes of a dump of chunked maps, in the oldest and the newest form that HDF5 has."""
    folder = tmp_path_factory.mktemp("damage")
    plain = bare.write(folder / "plain.h5", layers=2, heads=2, n=20)
    path = folder / "chunked.h5"
    with h5py.File(plain) as before, h5py.File(path, "w", libver=request.param) as after:
        after.attrs.update(before.attrs)

        def put(name, found):
            if isinstance(found, h5py.Group):
                after.require_group(name).attrs.update(found.attrs)
            else:
                chunks = (1, 20, 20) if found.ndim == 3 else None
                after.create_dataset(name, data=found[()], chunks=chunks, fletcher32=bool(chunks))

        before.visititems(put)
    return path.read_bytes()


def verified(path, content):
    """Whether a file of this `content` is whole; what is said of damage is no bug."""
    path.write_bytes(content)
    try:
        return verify(open_dump(path)).whole
    except NothingReadableError:
        return False


def test_every_table_of_the_file(written, tmp_path):
    assert verified(tmp_path / "x.h5", written)
    places = [
        place
        for signature in SIGNATURES
        for place in range(len(written))
        if written.startswith(signature, place)
    ]
    whole = 0
    for place in places:
        content = written[:place] + b"XXXX" + written[place + 4 :]
        whole += verified(tmp_path / "x.h5", content)
    assert len(places) > 5
    assert whole < len(places) / 2


def test_bytes_anywhere(written, tmp_path):
    chance = random.Random(7)
    for _ in range(100):
        place, length = chance.randrange(8, len(written)), chance.choice((1, 4, 64, 1000))
        content = written[:place] + chance.randbytes(length) + written[place + length :]
        verified(tmp_path / "x.h5", content)
