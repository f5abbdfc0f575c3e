"""One file out of the layers of many shards, on disk: published whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from igaviz._version import __version__
from igaviz.dump import guard
from igaviz.dump.copying import as_labels, copy_dataset
from igaviz.dump.data import Damage, LayerEntry
from igaviz.dump.index import OF_THE_STEP
from igaviz.dump.maps import read_maps
from igaviz.dump.run import Run, describe
from igaviz.dump.stored import Stored
from igaviz.dump.write import (
    ITEM_DIMENSIONS,
    LAYER_DIMENSIONS,
    create_scale,
    set_attributes,
    sync_folder,
)
from igaviz.errors import DumpError, NothingReadableError, OutputError
from igaviz.format import (
    DEFAULT_PHASE,
    FORMAT_NAME,
    FORMAT_VERSION,
    GAMMA_GRADIENT,
    step_group,
    temporary_name,
)

Report = Callable[[Damage], None]
Progress = Callable[[int, int], None]

_TEXTS = ("module", "compute_dtype", "attention_dtype")
_NUMBERS = ("call", "geo_bias_sign", "training")


class Chosen(NamedTuple):
    """What is taken of one attention call: these of its heads."""

    entry: LayerEntry
    heads: tuple[int, ...]

    @property
    def step(self) -> tuple[int, str]:
        """(step, phase)."""
        return self.entry.id.step, self.entry.id.phase

    @property
    def item(self) -> tuple[int, int, str, str]:
        """(rank, batch item, file, group): the group that holds the item in its shard."""
        identity = self.entry.id
        return identity.rank, identity.batch, self.entry.path, _item_group(self.entry)


def write_merged(
    path: Path,
    chosen: Sequence[Chosen],
    *,
    run: Run,
    overwrite: bool,
    damaged: list[Damage],
    progress: Progress | None = None,
) -> None:
    """Make `path` of the whole maps of `chosen`, which are of `run` and of one length unit.

    Every map is read before it is copied; a damaged head, layer or item is added to `damaged`
    and costs itself only. The file is written beside `path` and renamed when it is on disk.
    Raises `OutputError` where it can't be written or is there already, `NothingReadableError`
    where nothing is whole.
    """
    in_order = sorted(chosen, key=lambda piece: (piece.step, piece.item, piece.entry.id.layer))
    with _published(path, overwrite=overwrite) as temporary:
        with h5py.File(temporary, "w", locking=False) as file:
            _begin(file, in_order, run)
            merging = _Merging(file, damaged.append, progress, sum(len(p.heads) for p in in_order))
            merging.add(in_order)
            file.attrs["world_size"] = merging.world_size
            if merging.maps:
                file.attrs["complete"] = 1
        if not merging.maps:
            raise NothingReadableError([describe(piece) for piece in dict.fromkeys(damaged)])


def _begin(file: h5py.File, chosen: Sequence[Chosen], run: Run) -> None:
    attributes = {
        "format": FORMAT_NAME,
        "format_version": ".".join(map(str, FORMAT_VERSION)),
        "length_unit": chosen[0].entry.length_unit,
        "creator": run.creator,
        "created": run.created,
        "merged_by": f"igaviz {__version__}",
        "merged": datetime.now(UTC).isoformat(timespec="seconds"),
        "run_id": run.run_id,
        "rank": min(piece.entry.id.rank for piece in chosen),
        "attempt": min(piece.entry.attempt for piece in chosen),
    }
    set_attributes(file, attributes)


@dataclass
class _Merging:
    """A merged file that is being filled."""

    file: h5py.File
    report: Report
    progress: Progress | None
    total: int
    done: int = 0
    maps: int = 0
    world_size: int = 1

    def add(self, chosen: Sequence[Chosen]) -> None:
        """Copy what is whole of `chosen`, in the order of steps and items."""
        several = len({piece.entry.id.phase for piece in chosen}) > 1
        for (step, phase), group in groupby(chosen, key=lambda piece: piece.step):
            of_step = list(group)
            name = step_group(step, phase if several else DEFAULT_PHASE)
            shared = _shared([piece.entry for piece in of_step])
            items = 0
            for _, same in groupby(of_step, key=lambda piece: piece.item):
                layers = self._whole(list(same))
                if layers:
                    place = self.file.require_group(f"steps/{name}")
                    if not items:
                        set_attributes(place, {"step": step, "phase": phase, **shared})
                    items += self._add_item(place, items, layers, shared)

    def _whole(self, of_item: Sequence[Chosen]) -> list[Chosen]:
        """The heads of an item's layers that can be read."""
        found = []
        for entry, heads in of_item:
            whole = tuple(map.id.head for map in read_maps(entry, heads, report=self.report))
            if whole:
                found.append(Chosen(entry, whole))
            self.done += len(heads)
            if self.progress is not None:
                self.progress(self.done, self.total)
        return found

    def _add_item(
        self,
        step: h5py.Group,
        number: int,
        layers: Sequence[Chosen],
        shared: Mapping[str, float],
    ) -> bool:
        """Whether the item could be copied; what is damaged of it is reported."""
        entry = layers[0].entry
        group = step.create_group(f"batch/{number}")
        copied = 0
        try:
            with guard.opened(Path(entry.path)) as file:
                of_file, _ = guard.numeric_attributes(file, frozenset())
                self.world_size = max(self.world_size, int(of_file.get("world_size", 1)))
                source = guard.descend(file, _item_group(entry))
                _copy_item(source, group, entry, shared)
                for piece in layers:
                    copied += self._add_layer(file, group, piece)
        except DumpError as error:
            self.report(Damage(error.path, error.where, error.reason))
            copied = 0
        self.maps += copied
        if not copied:
            del step[f"batch/{number}"]
        return copied > 0

    def _add_layer(self, file: h5py.File, item: h5py.Group, piece: Chosen) -> int:
        """How many maps were copied: those of the layer, or none."""
        name = f"layers/{piece.entry.id.layer}"
        try:
            source = guard.descend(file, piece.entry.group)
            _copy_layer(source, item.create_group(name), piece)
        except DumpError as error:
            self.report(Damage(error.path, error.where, error.reason))
            del item[name]
            return 0
        return len(piece.heads)


def _item_group(entry: LayerEntry) -> str:
    return entry.group.rsplit("/layers/", 1)[0]


def _of_step(entry: LayerEntry) -> dict[str, float]:
    """What its step says beside step and phase."""
    own = {"epoch": entry.epoch, "wall_time": entry.wall_time, **dict(entry.numbers)}
    return {name: value for name, value in own.items() if value is not None}


def _shared(entries: Sequence[LayerEntry]) -> dict[str, float]:
    """What the step says alike on all of its ranks."""
    first, *others = [_of_step(entry) for entry in entries]
    return {
        name: value
        for name, value in first.items()
        if all(repr(other.get(name)) == repr(value) for other in others)  # NaN is alike too
    }


def _copy_item(
    source: h5py.Group, group: h5py.Group, entry: LayerEntry, shared: Mapping[str, float]
) -> None:
    own = {n: v for n, v in _of_step(entry).items() if n not in shared}
    set_attributes(
        group,
        {
            "name": guard.attribute_text(source, "name"),
            "flow_time": guard.attribute_number(source, "flow_time"),
            "rank": entry.id.rank,
            "source_item": entry.id.batch,
            "attempt": entry.attempt,
            **{f"{OF_THE_STEP}{name}": value for name, value in own.items()},
        },
    )
    n = entry.n_residues
    labels = as_labels(Stored.of(source, "residue_index"), n)
    for dimension in ("residue", "query", "key"):
        create_scale(group, dimension, labels)
    create_scale(group, "xyz", np.arange(3))
    for name, dimensions in ITEM_DIMENSIONS.items():
        _copy_labelled(source, group, name, dimensions)
    sequence = guard.text(source, "sequence")
    if sequence is not None:
        group["sequence"] = sequence


def _copy_layer(source: h5py.Group, group: h5py.Group, piece: Chosen) -> None:
    attributes: dict[str, Any] = {name: guard.attribute_text(source, name) for name in _TEXTS}
    attributes.update({name: guard.attribute_number(source, name) for name in _NUMBERS})
    of_layer, _ = guard.numeric_attributes(source, frozenset())
    attributes[GAMMA_GRADIENT] = of_layer.get(GAMMA_GRADIENT)
    set_attributes(group, attributes)
    entry, heads = piece
    rows = None if heads == entry.heads else [entry.heads.index(head) for head in heads]
    create_scale(group, "head", np.array(heads))
    for name, dimensions in LAYER_DIMENSIONS.items():
        _copy_labelled(source, group, name, dimensions, rows)


def _copy_labelled(
    source: h5py.Group,
    group: h5py.Group,
    name: str,
    dimensions: Sequence[str],
    rows: Sequence[int] | None = None,
) -> None:
    """Copy a data set, where there is one, and name its dimensions."""
    data = Stored.of(source, name)
    if data is None:
        return
    made = copy_dataset(data, group, name, rows if dimensions[0] == "head" else None)
    item = group if "residue" in group else group.parent.parent
    for axis, dimension in enumerate(dimensions):
        made.dims[axis].attach_scale((group if dimension == "head" else item)[dimension])


@contextmanager
def _published(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """The place to write what stands at `path` afterwards, whole; nothing is left of a failure."""
    temporary = path.with_name(temporary_name(path.name))
    _refuse_existing(path, overwrite=overwrite)
    try:
        if overwrite:
            temporary.unlink(missing_ok=True)
        with temporary.open("xb") as created:  # never follows a link that is there
            ours = os.fstat(created.fileno())
    except FileExistsError as error:
        raise OutputError(
            f"{temporary}: another merge writes it, or one was killed there",
            hint="where none is running, remove it or add --force",
        ) from error
    except OSError as error:
        raise OutputError.unwritable(path, error) from error
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
            if not os.path.samestat(ours, os.fstat(written.fileno())):
                raise OutputError(f"{path}: another merge took its place")
        _refuse_existing(path, overwrite=overwrite)
        temporary.replace(path)
        sync_folder(path.parent)
    except (OSError, RuntimeError) as error:  # HDF5 raises both where the disk is full
        raise OutputError.unwritable(path, error) from error
    finally:
        if temporary.exists() and os.path.samestat(ours, temporary.stat()):
            temporary.unlink()


def _refuse_existing(path: Path, *, overwrite: bool) -> None:
    if path.exists() and not (overwrite and path.is_file()):
        hint = "overwrite it with --force" if path.is_file() else "name a file"
        raise OutputError(f"{path}: already there", hint=hint)
