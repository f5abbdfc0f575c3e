"""One shard: built in memory from plain arrays, published by rename (docs/format.md)."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import numpy.typing as npt

from igaviz._version import __version__
from igaviz.dump.data import Floats, Integers
from igaviz.dump.guard import MAX_TEXT
from igaviz.errors import OutputError, RecordingError
from igaviz.format import (
    DEFAULT_PHASE,
    FORMAT_NAME,
    FORMAT_VERSION,
    parse_shard_name,
    step_group,
    temporary_name,
)

Compression = Literal["gzip"] | None

ATTRIBUTES_OF_A_STEP = ("step", "phase", "epoch", "wall_time")
"""The step's own attributes: further numbers of the step must have other names."""

LAYER_DIMENSIONS: Mapping[str, tuple[str, ...]] = {
    "gamma": ("head",),
    "logits_before": ("head", "query", "key"),
    "geo_bias": ("head", "query", "key"),
    "attention": ("head", "query", "key"),
    "pair_bias": ("head", "query", "key"),
    "logits_after": ("head", "query", "key"),
    "ca": ("residue", "xyz"),
    "sigma": ("residue", "xyz"),
    "log_det_min": ("head",),
    "sigma_floor_share": ("head",),
}
"""The data sets of a layer, and the dimensions of each."""

ITEM_DIMENSIONS: Mapping[str, tuple[str, ...]] = {
    "ca": ("residue", "xyz"),
    "ca_reference": ("residue", "xyz"),
    "residue_index": ("residue",),
    "chain_index": ("residue",),
}
"""The data sets of an item, and the dimensions of each."""

_ROWS_PER_CHUNK = 512
_WHOLE_MAP_CHUNK = 1024
_BLOCK_BYTES = 4 << 20


@dataclass(frozen=True, eq=False)
class LayerRecord:
    """One attention call on one batch item. Maps are [H, N, N], numbers per head [H].

    `heads` holds the model's own head numbers, 0…H-1 where None. `ca` stands here only where the
    frames moved since the item's `ca`. Lengths are in the shard's unit.
    """

    layer: int
    heads: Integers | None = None
    gamma: Floats | None = None
    logits_before: Floats | None = None
    geo_bias: Floats | None = None
    attention: Floats | None = None
    pair_bias: Floats | None = None
    logits_after: Floats | None = None
    ca: Floats | None = None
    sigma: Floats | None = None
    log_det_min: Floats | None = None
    sigma_floor_share: Floats | None = None
    module: str = ""
    call: int = 0
    geo_bias_sign: int = 1
    compute_dtype: str | None = None
    attention_dtype: str | None = None
    training: bool | None = None
    gamma_gradient_norm: float | None = None

    @property
    def n_heads(self) -> int:
        """H, the number of heads recorded."""
        for name, dimensions in LAYER_DIMENSIONS.items():
            array = getattr(self, name)
            if array is not None and dimensions[0] == "head":
                return len(array)
        return 0


@dataclass(frozen=True, eq=False)
class ItemRecord:
    """One batch item at one step: N valid residues, and the layers that saw them."""

    batch: int
    ca: Floats
    layers: Sequence[LayerRecord]
    name: str | None = None
    flow_time: float | None = None
    ca_reference: Floats | None = None
    residue_index: Integers | None = None
    chain_index: Integers | None = None
    sequence: str | None = None

    @property
    def n_residues(self) -> int:
        """N, the number of valid residues."""
        return len(self.ca)


@dataclass(frozen=True, eq=False)
class StepRecord:
    """One step: what a shard holds of it. `numbers` are the step's own (loss, learning rate)."""

    step: int
    items: Sequence[ItemRecord]
    phase: str = DEFAULT_PHASE
    epoch: int | None = None
    wall_time: float | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)


def shard_image(
    steps: Iterable[StepRecord],
    *,
    length_unit: str,
    run_id: str,
    rank: int = 0,
    world_size: int = 1,
    attempt: int = 0,
    compression: Compression = "gzip",
) -> bytes:
    """The bytes of a shard that holds `steps`; `publish` puts them on disk.

    Nothing touches a disk here, so a full disk or a kill can't damage what HDF5 writes. Raises
    `RecordingError` where an array's shape doesn't fit its layer.
    """
    # No libver: with HDF5 < 2.0 an image written with one can't be opened again.
    with h5py.File.in_memory(block_size=_BLOCK_BYTES) as file:
        about = {
            "format": FORMAT_NAME,
            "format_version": ".".join(map(str, FORMAT_VERSION)),
            "length_unit": length_unit,
            "creator": f"igaviz {__version__}",
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "run_id": run_id,
            "rank": rank,
            "world_size": world_size,
            "attempt": attempt,
        }
        set_attributes(file, about)
        group = file.create_group("steps")
        for step in steps:
            _write_step(group.create_group(step_group(step.step)), step, compression)
        file.attrs["complete"] = 1
        file.flush()
        image: bytes = file.id.get_file_image()
    return image


def publish(folder: Path, name: str, image: bytes) -> Path:
    """The path of the shard, whole and on disk. Raises `OutputError`; never overwrites a shard."""
    path = folder / name
    if path.exists():
        raise OutputError(
            f"{path}: there is a shard of this name already",
            hint="two recorders write the same rank into one folder: give each its own",
        )
    replace_file(folder, name, image)
    return path


def replace_file(folder: Path, name: str, content: bytes) -> None:
    """Put `content` under `name` in one move: readers see the old file or the new one, whole.

    Raises `OutputError`, and then leaves no temporary file behind.
    """
    temporary = folder / temporary_name(name)
    try:
        # "x" is O_EXCL: a link planted under this name is never followed.
        with temporary.open("xb") as file:
            try:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                temporary.replace(folder / name)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        sync_folder(folder)
    except OSError as error:
        raise OutputError(
            f"can't write {folder / name}: {error.strerror or error}",
            hint="look at the folder's free space and permissions",
        ) from error


def remove_leftovers(folder: Path, rank: int, also: Sequence[str] = ()) -> int:
    """How many temporary files of a killed recorder were removed: this rank's, and of `also`."""
    removed = 0
    for path in folder.glob(temporary_name("*")):
        name = path.name[len(".") : -len(".tmp")]
        shard = parse_shard_name(name)
        ours = name in also or (shard is not None and shard.rank == rank)
        if ours and stat.S_ISREG(path.lstat().st_mode):
            path.unlink(missing_ok=True)
            removed += 1
    return removed


def sync_folder(folder: Path) -> None:
    """Put what was renamed in `folder` on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # Some network file systems can't sync a folder; the file itself is on disk already.
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_step(group: h5py.Group, step: StepRecord, compression: Compression) -> None:
    taken = sorted(set(step.numbers) & set(ATTRIBUTES_OF_A_STEP))
    if taken:
        raise RecordingError(
            f"step {step.step}: {taken[0]!r} is the format's own name",
            hint="give this number of the step another name",
        )
    own = {"step": step.step, "phase": step.phase, "epoch": step.epoch, "wall_time": step.wall_time}
    set_attributes(group, {**own, **step.numbers})
    for item in step.items:
        _write_item(group.create_group(f"batch/{item.batch}"), item, compression)


def _write_item(group: h5py.Group, item: ItemRecord, compression: Compression) -> None:
    n = item.n_residues
    set_attributes(group, {"name": item.name, "flow_time": item.flow_time})
    index = np.arange(n) if item.residue_index is None else np.asarray(item.residue_index)
    for dimension in ("residue", "query", "key"):
        create_scale(group, dimension, index)
    create_scale(group, "xyz", np.arange(3))

    sizes = {"residue": n, "query": n, "key": n, "xyz": 3}
    scales = {dimension: group[dimension] for dimension in sizes}
    for name, dimensions in ITEM_DIMENSIONS.items():
        array = getattr(item, name)
        if array is not None:
            array = np.asarray(array, np.int32 if name.endswith("_index") else np.float32)
            _write_array(group, name, array, dimensions, sizes, scales, compression)
    if item.sequence is not None:
        if len(item.sequence) != n:
            raise RecordingError(
                f"{group.name}/sequence: {len(item.sequence)} letters for {n} residues"
            )
        group["sequence"] = _storable(item.sequence)
    for layer in item.layers:
        _write_layer(group.create_group(f"layers/{layer.layer}"), layer, sizes, scales, compression)


def _write_layer(
    group: h5py.Group,
    layer: LayerRecord,
    sizes: Mapping[str, int],
    scales: Mapping[str, h5py.Dataset],
    compression: Compression,
) -> None:
    training = None if layer.training is None else int(layer.training)
    set_attributes(
        group,
        {
            "module": layer.module or None,
            "call": layer.call,
            "geo_bias_sign": layer.geo_bias_sign,
            "compute_dtype": layer.compute_dtype,
            "attention_dtype": layer.attention_dtype,
            "training": training,
            "gamma_gradient_norm": layer.gamma_gradient_norm,
        },
    )
    heads = np.arange(layer.n_heads) if layer.heads is None else np.asarray(layer.heads)
    if len(heads) != layer.n_heads:
        raise RecordingError(f"{group.name}: {len(heads)} head numbers for {layer.n_heads} heads")
    create_scale(group, "head", heads)
    sizes = {**sizes, "head": len(heads)}
    scales = {**scales, "head": group["head"]}
    for name, dimensions in LAYER_DIMENSIONS.items():
        array = getattr(layer, name)
        if array is not None:
            half = name == "attention" and array.dtype == np.float16
            array = np.asarray(array, np.float16 if half else np.float32)
            _write_array(group, name, array, dimensions, sizes, scales, compression)


def _write_array(
    group: h5py.Group,
    name: str,
    array: npt.NDArray[Any],
    dimensions: tuple[str, ...],
    sizes: Mapping[str, int],
    scales: Mapping[str, h5py.Dataset],
    compression: Compression,
) -> None:
    expected = tuple(sizes[dimension] for dimension in dimensions)
    if array.shape != expected:
        raise RecordingError(
            f"{group.name}/{name} has shape {array.shape}, not {expected} ({', '.join(dimensions)})"
        )
    dataset = group.create_dataset(name, data=array, **_storage(array, compression))
    for axis, dimension in enumerate(dimensions):
        dataset.dims[axis].attach_scale(scales[dimension])


def _storage(array: npt.NDArray[Any], compression: Compression) -> dict[str, Any]:
    if array.size == 0:
        return {}  # HDF5 has no empty chunks
    if array.ndim < 3:
        return {"chunks": array.shape, "fletcher32": True}
    n = array.shape[-1]
    rows = n if n <= _WHOLE_MAP_CHUNK else _ROWS_PER_CHUNK
    options: dict[str, Any] = {"chunks": (1, rows, n), "fletcher32": True}
    if compression == "gzip":
        options |= {"shuffle": True, "compression": "gzip", "compression_opts": 1}
    return options


def create_scale(group: h5py.Group, name: str, values: npt.NDArray[Any]) -> None:
    """Make a dimension scale of `group`: the labels of one dimension."""
    group.create_dataset(name, data=values.astype(np.int32)).make_scale(name)


def set_attributes(group: h5py.Group, attributes: Mapping[str, Any]) -> None:
    """Set the attributes that have a value; of text what HDF5 can hold and readers take."""
    for name, value in attributes.items():
        if value is not None:
            group.attrs[name] = _storable(value) if isinstance(value, str) else value


def _storable(text: str) -> str:
    """`text` with "?" for characters that HDF5 can't hold, and no longer than readers take."""
    encoded = text.replace("\0", "?").encode("utf-8", "replace")
    return encoded[:MAX_TEXT].decode("utf-8", "ignore")
