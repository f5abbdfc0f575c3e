"""The index of one shard: what is in it and what of it is damaged, without reading a map."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import h5py
import numpy as np

from igaviz.dump import guard
from igaviz.dump.data import Damage, LayerEntry
from igaviz.dump.stored import MAX_BYTES, Stored, expect_shape
from igaviz.errors import DumpError
from igaviz.format import (
    ANGSTROM_PER_UNIT,
    DEFAULT_PHASE,
    DTYPES,
    FORMAT_NAME,
    FORMAT_VERSION,
    HEAD_TERMS,
    MAP_TERMS,
    LayerId,
    parse_step_group,
)

_VERSION = re.compile(r"([0-9]{1,6})\.([0-9]{1,6})")
_PHASE = re.compile(r"[a-z][a-z0-9_]{0,31}")
_STEP_ATTRIBUTES = frozenset({"step", "phase", "epoch", "wall_time"})

OF_THE_STEP = "step."
"""Before the names of attributes of a merged file's item that its step has on its rank alone."""


@dataclass(frozen=True)
class ShardIndex:
    """What one shard holds: its entries (run name still empty), and what in it is damaged."""

    path: Path
    n_bytes: int
    run_id: str | None
    attempt: int
    creator: str | None
    created: str | None
    length_unit: str
    entries: tuple[LayerEntry, ...]
    damaged: tuple[Damage, ...]
    warnings: tuple[str, ...] = ()

    def at(self, path: Path) -> ShardIndex:
        """The index of the same file under another path."""
        old, new = str(self.path), str(path)
        if old == new:
            return self
        return replace(
            self,
            path=path,
            entries=tuple(replace(entry, path=new) for entry in self.entries),
            damaged=tuple(replace(piece, path=new) for piece in self.damaged),
            warnings=tuple(warning.replace(old, new) for warning in self.warnings),
        )


@dataclass
class _Walk:
    """The state of one walk over a shard: what was found, and what was damaged on the way."""

    path: Path
    rank: int
    attempt: int
    length_unit: str
    entries: list[LayerEntry] = field(default_factory=list)
    damaged: list[Damage] = field(default_factory=list)
    numbers_left_out: int = 0

    def numbers(self, owner: h5py.Group, known: frozenset[str]) -> dict[str, float]:
        """The numbers of a step or an item beside those `known`; counts what is too many."""
        found, more = guard.numeric_attributes(owner, known)
        self.numbers_left_out = max(self.numbers_left_out, more)
        return found

    def each(
        self,
        parent: h5py.Group,
        visit: Callable[[h5py.Group, int], None],
        parse: guard.Parse = guard.parse_decimal,
    ) -> None:
        """Visit every numbered group of `parent`; a damaged one costs itself only."""
        for number, name in guard.numbered(parent, parse):
            try:
                found = guard.group(parent, name)
                if found is not None:
                    visit(found, number)
            except DumpError as error:
                self.damaged.append(Damage(error.path, error.where, error.reason))


def index_shard(path: Path) -> ShardIndex:
    """The index of the shard at `path`.

    Raises `DumpError` where nothing of it can be used: no HDF5, no dump, a newer major version,
    incomplete. A damaged step, item or layer is listed in `damaged` and costs itself only.
    """
    with guard.opened(path) as file:
        warnings = _check_root(file)
        unit = guard.attribute_text(file, "length_unit")
        if unit not in ANGSTROM_PER_UNIT:
            raise guard.refuse(
                f"length_unit is {unit!r}: {' or '.join(ANGSTROM_PER_UNIT)} belongs there", file
            )
        walk = _Walk(
            path=path,
            rank=_natural(file, "rank", 0),
            attempt=_natural(file, "attempt", 0),
            length_unit=unit,
        )
        steps = guard.group(file, "steps")
        if steps is None:
            raise guard.refuse("no group `steps`: nothing is recorded", file)
        walk.each(steps, lambda group, number: _visit_step(walk, group, number), parse_step_group)
        if walk.numbers_left_out:
            warnings = (*warnings, _too_many_numbers(file, walk.numbers_left_out))
        return ShardIndex(
            path=path,
            n_bytes=path.stat().st_size,
            run_id=guard.attribute_text(file, "run_id"),
            attempt=walk.attempt,
            creator=guard.attribute_text(file, "creator"),
            created=guard.attribute_text(file, "created"),
            length_unit=unit,
            entries=tuple(walk.entries),
            damaged=tuple(walk.damaged),
            warnings=warnings,
        )


def try_to_index(path: Path) -> ShardIndex | DumpError:
    """The index of the shard at `path`, or the error that says why there is none."""
    try:
        return index_shard(path)
    except DumpError as error:
        return error


def _check_root(file: h5py.File) -> tuple[str, ...]:
    """The warnings about a file whose root says that it is a whole dump of a known version."""
    if guard.attribute_text(file, "format") != FORMAT_NAME:
        raise guard.refuse("an HDF5 file, but no igaviz dump (no attribute format = igaviz)", file)
    version = guard.attribute_text(file, "format_version") or ""
    match = _VERSION.fullmatch(version)
    if match is None:
        raise guard.refuse(f"format_version is {version!r}: something like 1.0 belongs there", file)
    major, minor = int(match[1]), int(match[2])
    if major > FORMAT_VERSION[0]:
        raise DumpError(
            f"format version {version} is newer than this igaviz reads (1.x)",
            path=str(file.filename),
            hint="install a newer igaviz",
        )
    if guard.attribute_number(file, "complete") != 1:
        raise guard.refuse("incomplete: its writer was stopped before the end", file)
    if (major, minor) > FORMAT_VERSION:
        return (f"{file.filename}: format version {version}: newer names are ignored",)
    return ()


def _natural(owner: h5py.Group, name: str, default: int) -> int:
    value = guard.attribute_number(owner, name)
    if value is None:
        return default
    if not isinstance(value, int) or not 0 <= value < 10**15:
        raise guard.refuse(f"{value} is no whole number from 0 on", owner, f"@{name}")
    return value


def _too_many_numbers(file: h5py.File, more: int) -> str:
    return (
        f"{file.filename}: {more:,} of the numbers that its training noted of a step are left out: "
        f"{guard.MOST_NUMBERS} of each step are read"
    )


def _visit_step(walk: _Walk, group: h5py.Group, number: int) -> None:
    if guard.attribute_number(group, "step") != number:
        raise guard.refuse("the attribute `step` is missing or isn't the group's name", group)
    phase = guard.attribute_text(group, "phase") or DEFAULT_PHASE
    if not _PHASE.fullmatch(phase):
        raise guard.refuse(f"{phase!r} is no name of a phase", group, "@phase")
    epoch = guard.attribute_number(group, "epoch")
    wall_time = guard.attribute_number(group, "wall_time")
    template = LayerEntry(
        id=LayerId("", phase, number, walk.rank, 0, 0),
        path=str(walk.path),
        group="",
        item="",
        n_residues=0,
        heads=(),
        terms=frozenset(),
        length_unit=walk.length_unit,
        attempt=walk.attempt,
        epoch=_whole_number(epoch),
        wall_time=None if wall_time is None else float(wall_time),
        numbers=tuple(sorted(walk.numbers(group, _STEP_ATTRIBUTES).items())),
    )
    batch = guard.group(group, "batch")
    if batch is None:
        raise guard.refuse("no group `batch`: the step holds no item", group)
    walk.each(batch, lambda item, b: _visit_item(walk, template, item, b))


def _visit_item(walk: _Walk, template: LayerEntry, group: h5py.Group, number: int) -> None:
    ca = _whole(group, "ca")
    if ca is None:
        raise guard.refuse("no `ca`: an item without coordinates", group)
    n = _check_coordinates(ca)
    expect_shape(_whole(group, "ca_reference"), (n, 3))
    for name in ("residue_index", "chain_index"):
        numbers = _whole(group, name)
        expect_shape(numbers, (n,))
        if numbers is not None and numbers.dtype.kind not in "iu":
            raise numbers.refuse(f"type {numbers.dtype}: whole numbers belong here")
    sequence = guard.text(group, "sequence")
    if sequence is not None and len(sequence) != n:
        raise guard.refuse(f"{len(sequence)} letters for {n} residues", group, "sequence")
    flow_time = guard.attribute_number(group, "flow_time")
    template = _merged(walk, template, group, number)
    template = replace(
        template,
        item=guard.attribute_text(group, "name") or "",
        n_residues=n,
        flow_time=None if flow_time is None or not math.isfinite(flow_time) else float(flow_time),
    )
    layers = guard.group(group, "layers")
    if layers is None:
        raise guard.refuse("no group `layers`: the item holds no attention", group)
    walk.each(layers, lambda layer, L: walk.entries.append(_index_layer(template, layer, L)))


def _whole(group: h5py.Group, name: str) -> Stored | None:
    """The data set `name`, of which every chunk is there."""
    found = Stored.of(group, name)
    if found is not None:
        found.check_chunks()
    return found


def _merged(walk: _Walk, template: LayerEntry, group: h5py.Group, number: int) -> LayerEntry:
    """The template with what an item of a merged file says of where it came from."""
    batch = _natural(group, "source_item", number)
    rank = _natural(group, "rank", template.id.rank)
    template = replace(template, id=template.id._replace(batch=batch, rank=rank))
    if "source_item" not in group.attrs:
        return template
    own = walk.numbers(group, frozenset({"name", "flow_time"}))
    of_step = {
        name.removeprefix(OF_THE_STEP): value
        for name, value in own.items()
        if name.startswith(OF_THE_STEP)
    }
    return replace(
        template,
        attempt=_natural(group, "attempt", template.attempt),
        epoch=_whole_number(of_step.pop("epoch", template.epoch)),
        wall_time=of_step.pop("wall_time", template.wall_time),
        numbers=tuple(sorted({**dict(template.numbers), **of_step}.items())),
    )


def _whole_number(number: float | None) -> int | None:
    return None if number is None or not math.isfinite(number) else int(number)


def _check_coordinates(ca: Stored) -> int:
    if len(ca.shape) != 2 or ca.shape[1] != 3 or ca.shape[0] == 0:
        raise ca.refuse(f"shape {ca.shape}: [N, 3] with at least one residue belongs here")
    n: int = ca.shape[0]
    if n * n * 4 > MAX_BYTES:
        raise ca.refuse(f"{n:,} residues: a map of them is over the cap of 1 GiB")
    return n


def _index_layer(template: LayerEntry, group: h5py.Group, number: int) -> LayerEntry:
    n = template.n_residues
    found = {name: _whole(group, name) for name in (*MAP_TERMS, *HEAD_TERMS, "head")}
    terms = {name: data for name, data in found.items() if data is not None}
    maps = [terms[name] for name in MAP_TERMS if name in terms]
    if (
        "attention" not in terms
        and "logits_after" not in terms
        and not ({"logits_before", "geo_bias"} <= terms.keys())
    ):
        raise guard.refuse(
            "holds neither `attention` nor both `logits_before` and `geo_bias`", group
        )
    n_heads = maps[0].shape[0] if len(maps[0].shape) == 3 else 0
    if n_heads == 0:
        raise maps[0].refuse(f"shape {maps[0].shape}: [H, N, N] belongs here")
    for name, data in terms.items():
        expect_shape(data, (n_heads, n, n) if name in MAP_TERMS else (n_heads,))
        if name in MAP_TERMS and n * n * data.dtype.itemsize > MAX_BYTES:
            raise data.refuse("one map is over the cap of 1 GiB")
    for name in ("ca", "sigma"):
        expect_shape(_whole(group, name), (n, 3))
    training = guard.attribute_number(group, "training")
    return replace(
        template,
        id=template.id._replace(layer=number),
        group=guard.place(group),
        heads=_heads(terms.get("head"), n_heads),
        terms=frozenset(terms) - {"head"},
        geo_bias_sign=_sign(group),
        compute_dtype=_coarser(_dtype_attribute(group, "compute_dtype"), None),
        attention_dtype=_coarser(
            _dtype_attribute(group, "attention_dtype"), terms.get("attention")
        ),
        module=guard.attribute_text(group, "module") or "",
        call=_natural(group, "call", 0),
        training=None if training is None else bool(training),
    )


def _heads(data: Stored | None, n_heads: int) -> tuple[int, ...]:
    if data is None:
        return tuple(range(n_heads))
    numbers = data.read()
    heads = tuple(int(number) for number in numbers if np.isfinite(number) and number >= 0)
    if data.dtype.kind not in "iu" or len(set(heads)) != n_heads:
        raise data.refuse("head numbers must be different whole numbers from 0 on")
    return heads


def _sign(group: h5py.Group) -> int:
    sign = guard.attribute_number(group, "geo_bias_sign")
    if sign not in (None, 1, -1):
        raise guard.refuse(f"{sign} is no sign: +1 or -1 belongs here", group, "@geo_bias_sign")
    return -1 if sign == -1 else 1


def _dtype_attribute(group: h5py.Group, name: str) -> str | None:
    value = guard.attribute_text(group, name)
    if value is not None and value not in DTYPES:
        raise guard.refuse(f"{value!r} is none of {', '.join(DTYPES)}", group, f"@{name}")
    return value


def _coarser(named: str | None, stored: Stored | None) -> str:
    """The coarser of the type that the writer names and the stored one: what numbers went through.

    A float32 softmax that is stored as float16 has float16's row sums.
    """
    kept = "float16" if stored is not None and stored.dtype == np.float16 else "float32"
    return max(named or kept, kept, key=DTYPES.index)
