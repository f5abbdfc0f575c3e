"""Dumps written by the page of the format with bare h5py: no code of igaviz takes part."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

Change = Callable[[h5py.File], None]


def helix(n: int, seed: int = 0) -> np.ndarray:
    """Cα coordinates [n, 3] in Å of a bent helix: 3.8 Å from each residue to the next."""
    t = np.arange(n)
    turn = np.deg2rad(100.0)
    ca = np.stack([2.3 * np.cos(t * turn), 2.3 * np.sin(t * turn), 1.5 * t], axis=1)
    ca[n // 2 :, 0] += 0.0
    fold = n // 2
    back = ca[fold:].copy()
    back[:, 2] = 2 * ca[fold, 2] - back[:, 2] - 1.5
    back[:, 0] += 9.5
    ca[fold:] = back
    return ca + np.random.default_rng(seed).normal(scale=0.05, size=ca.shape)


def terms(ca: np.ndarray, heads: int, seed: int = 0, gamma: float = 1.0) -> dict[str, np.ndarray]:
    """S, G and A [heads, n, n] float32 of a healthy kind: G falls with distance, A replays."""
    rng = np.random.default_rng(seed)
    n = len(ca)
    d = np.linalg.norm(ca[:, None] - ca[None, :], axis=-1)
    before = rng.normal(scale=1.0, size=(heads, n, n)).astype(np.float32)
    slope = np.linspace(0.6, 1.4, heads)[:, None, None]
    bias = (-gamma * slope * np.minimum(d, 40.0) ** 2 / 120.0).astype(np.float32)
    return {"logits_before": before, "geo_bias": bias, "attention": softmax(before + bias)}


def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return (weights / weights.sum(axis=-1, keepdims=True)).astype(np.float32)


def start(file: h5py.File, unit: str = "angstrom") -> h5py.File:
    file.attrs["format"] = "igaviz"
    file.attrs["format_version"] = "1.0"
    file.attrs["length_unit"] = unit
    return file


def add_item(
    file: h5py.File, step: int, batch: int, ca: np.ndarray, phase: str | None = None
) -> h5py.Group:
    group = file.require_group(f"steps/{step:09d}")
    group.attrs["step"] = step
    if phase is not None:
        group.attrs["phase"] = phase
    item = group.create_group(f"batch/{batch}")
    item["ca"] = ca.astype(np.float32)
    return item


def add_layer(item: h5py.Group, layer: int, **data: np.ndarray) -> h5py.Group:
    group = item.create_group(f"layers/{layer}")
    for name, values in data.items():
        group[name] = values
    return group


def finish(file: h5py.File) -> None:
    file.attrs["complete"] = 1


def write(
    path: Path,
    *,
    steps: tuple[int, ...] = (100,),
    layers: int = 2,
    heads: int = 4,
    n: int = 30,
    gamma: float = 1.0,
    change: Change | None = None,
) -> Path:
    """A good dump, and `change` applied to it before it is closed."""
    ca = helix(n)
    with h5py.File(path, "w") as file:
        start(file)
        for step in steps:
            item = add_item(file, step, 0, ca)
            item.attrs["name"] = "1abc_A"
            for layer in range(layers):
                data = terms(ca, heads, seed=100 * step + layer, gamma=gamma)
                add_layer(item, layer, gamma=np.full(heads, gamma, np.float32), **data)
        finish(file)
        if change is not None:
            change(file)
    return path


def write_with_broken_head(path: Path) -> Path:
    """A dump of 3 heads in 2 layers, of which head 1 of layer 0 fails its checksum."""

    def store_by_head(file: h5py.File) -> None:
        layer = file["steps/000000100/batch/0/layers/0"]
        attention = layer["attention"][:]
        del layer["attention"]
        stored = layer.create_dataset(
            "attention", data=attention, chunks=(1, 30, 30), fletcher32=True
        )
        file.attrs["at"] = stored.id.get_chunk_info(1).byte_offset

    write(path, heads=3, change=store_by_head)
    with h5py.File(path) as file:
        place = int(file.attrs["at"])
    content = bytearray(path.read_bytes())
    content[place + 8] ^= 0xFF
    path.write_bytes(content)
    return path
