"""What FORMAT tells readers to refuse, put into a good dump with bare h5py."""

from __future__ import annotations

from collections.abc import Callable

import h5py
import numpy as np

Make = Callable[[h5py.Group, str], None]


def _shape_of(layer):
    return layer["logits_before"].shape


def _soft(layer, name):
    layer[name] = h5py.SoftLink(f"{layer.name}/logits_before")


def _external(layer, name):
    layer[name] = h5py.ExternalLink("/etc/passwd", "/")


def _virtual(layer, name):
    layout = h5py.VirtualLayout(_shape_of(layer), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", _shape_of(layer))
    layer.create_virtual_dataset(name, layout)


def _outside(layer, name):
    shape = _shape_of(layer)
    layer.create_dataset(name, shape, "f4", external=[("other.bin", 0, 4 * int(np.prod(shape)))])


def _strings(layer, name):
    layer.create_dataset(name, _shape_of(layer), h5py.string_dtype())


def _references(layer, name):
    layer.create_dataset(name, _shape_of(layer), h5py.ref_dtype)


def _compound(layer, name):
    layer.create_dataset(name, _shape_of(layer), np.dtype([("a", "f4")]))


def _empty(layer, name):
    layer.create_dataset(name, _shape_of(layer), "f4")


def _holes(layer, name):
    data = layer.create_dataset(name, _shape_of(layer), "f4", chunks=(1, 10, 10))
    data[0] = 1


def _bomb(layer, name):
    """Every chunk is there, and what is stored of it can't be what is declared."""
    heads, n, _ = _shape_of(layer)
    data = layer.create_dataset(name, _shape_of(layer), "f4", chunks=(1, n, n), compression="gzip")
    for head in range(heads):
        data.id.write_direct_chunk((head, 0, 0), b"\0")


def _shape(layer, name):
    layer[name] = np.zeros(_shape_of(layer), np.float32)[..., :-1]


def _scaleoffset(layer, name):
    layer.create_dataset(
        name, data=np.zeros(_shape_of(layer), "i4"), scaleoffset=0, chunks=(1, 10, 10)
    )


def _over_the_cap(layer, name):
    data = layer.create_dataset(
        name,
        _shape_of(layer),
        "f4",
        chunks=(1, 20000, 20000),
        maxshape=(None,) * 3,
        compression="gzip",
    )
    data.id.write_direct_chunk((0, 0, 0), b"\0" * 100)


REFUSED: dict[str, tuple[Make, str]] = {
    "soft link": (_soft, "soft link"),
    "external link": (_external, "external link"),
    "virtual": (_virtual, "virtual"),
    "external storage": (_outside, "external storage"),
    "variable-length": (_strings, "refused"),
    "references": (_references, "refused"),
    "compound": (_compound, "refused"),
    "nothing stored": (_empty, "would read as zeros"),
    "chunks missing": (_holes, "would read as zeros"),
    "inflation": (_bomb, "can't unpack"),  # from 65 kB on
    "shape": (_shape, "doesn't fit"),
    "unknown filter": (_scaleoffset, "filter"),
    "cap": (_over_the_cap, "over the cap"),
}
"""By kind: what puts it in the place of a data set, and words of the reason."""

N = 130
"""Residues of a dump in which every kind is refused."""


def instead_of_attention(kind: str, step: int = 100, layer: int = 0) -> Callable[[h5py.File], None]:
    """A change for `bare.write` that puts `kind` where the attention of one layer was."""

    def change(file: h5py.File) -> None:
        group = file[f"steps/{step:09d}/batch/0/layers/{layer}"]
        del group["attention"]
        REFUSED[kind][0](group, "attention")

    return change
