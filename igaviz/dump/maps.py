"""The maps of one layer entry, read from its shard one head at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
import numpy.typing as npt

from igaviz.dump import guard
from igaviz.dump.data import AttentionMap, Damage, Floats, LayerEntry, Structure
from igaviz.dump.masks import with_masks_read
from igaviz.dump.stored import Stored, expect_shape
from igaviz.errors import DumpError, SelectionError, UsageError
from igaviz.format import ANGSTROM_PER_UNIT, HEAD_TERMS, LN_ANGSTROM6_PER_NM6, MAP_TERMS, MapId
from igaviz.softmax import softmax

_AT_ONCE = 2 * 2**20
"""Bytes of one term: so many small maps are read with one call, which costs as much as its data."""

_OF_CHUNKS = 32 * 2**20
"""Bytes of one term: so many heads of a chunk are read with one call.

A chunk is unpacked with each call that reads of it: eight times where its eight heads are read one
by one. The bound is what eight heads of 1,024 residues take.
"""

ATTENTION_FROM = ("logits_after", "logits_before", "geo_bias")
"""The terms that an attention which was not recorded is derived from."""

_HALVES = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float32)
"""Every float16 as float32: looked up, three times as fast as numpy converts."""


def read_maps(
    entry: LayerEntry,
    heads: Sequence[int] | None = None,
    report: Callable[[Damage], None] | None = None,
    terms: Collection[str] = MAP_TERMS,
) -> Iterator[AttentionMap]:
    """The maps of `entry`, one head at a time, in the order of `heads` (all where None).

    Only the [N, N] data sets that `terms` names are read, and what an attention that was not
    recorded is derived from; other terms are None, as where they were not recorded.

    The shard is opened once and closed at the end; no more is held than one head's terms, or those
    of a few small heads (2 MiB a term) or of heads that share chunks (32 MiB a term). Raises
    `UsageError` for terms that no map has, `SelectionError` for a head that isn't recorded. A map
    that can't be read (a checksum, say) raises `DumpError`; with `report` it is handed over
    instead, and the next head follows.
    """
    with MapReader() as reader:
        yield from reader.read(entry, heads, report, terms)


class MapReader:
    """Reads maps as `read_maps` does; the shard it read from last stays open until it is left.

    The layers of a step lie in one shard, and their items' structures are read once. One that was
    replaced, written to or deleted since is opened anew.
    """

    def __init__(self) -> None:
        self._open = ExitStack()
        self._file: tuple[_Version, h5py.File] | None = None
        self._item: tuple[str, _Item] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def read(
        self,
        entry: LayerEntry,
        heads: Sequence[int] | None = None,
        report: Callable[[Damage], None] | None = None,
        terms: Collection[str] = MAP_TERMS,
    ) -> Iterator[AttentionMap]:
        """The maps of `entry`, as `read_maps` gives them."""
        if isinstance(terms, str) or not set(MAP_TERMS).issuperset(terms):
            raise UsageError(f"{terms!r} are no terms", hint=f"several of {', '.join(MAP_TERMS)}")
        chosen = entry.heads if heads is None else heads
        for head in chosen:
            if head not in entry.heads:
                raise SelectionError(f"no head {head} in layer {entry.id.layer}")
        try:
            layer = self._layer(entry, terms)
            for run in _runs(layer, chosen):
                yield from _read_run(layer, run, report)
        except DumpError as error:
            if report is None:
                raise
            report(Damage(error.path, error.where, error.reason))

    def _layer(self, entry: LayerEntry, terms: Collection[str]) -> _Layer:
        place, number = entry.group.rsplit("/layers/", 1)
        found = guard.descend(self._opened(entry.path), place)
        group = guard.descend(found, f"layers/{number}")
        if self._item is None or self._item[0] != place:
            self._item = (place, _Item.read(entry, found))
        sigma = Stored.of(group, "sigma")
        scale = ANGSTROM_PER_UNIT[entry.length_unit]
        return _Layer(
            entry=entry,
            group=group,
            structure=_structure(entry, self._item[1], group),
            sigma=None if sigma is None else sigma.read().astype(np.float32) * scale,
            numbers={n: _read_numbers(group, n, (len(entry.heads),)) for n in HEAD_TERMS},
            terms=terms,
        )

    def _opened(self, path: str) -> h5py.File:
        version = _version_of(path)
        if self._file is None or self._file[0] != version:
            self._open.close()
            self._file = self._item = None
            self._file = (version, self._open.enter_context(guard.opened(Path(path))))
        return self._file[1]


_Version = tuple[str, int, int, int, int] | None


def _version_of(path: str) -> _Version:
    """What tells the file at `path` from another that takes its place; None where there is none."""
    try:
        found = Path(path).stat()
    except OSError:  # whoever opens it says so
        return None
    return path, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def heads_at_once(n_residues: int) -> int:
    """How many heads of so many residues are read with one call, and best measured together."""
    return max(1, _AT_ONCE // (4 * n_residues**2 or 1))


def _runs(layer: _Layer, heads: Sequence[int]) -> Iterator[list[int]]:
    """`heads` in stretches that are stored one after the other and small enough for one read."""
    stored, most = layer.entry.heads, layer.heads_at_once
    run: list[int] = []
    for head in heads:
        follows = run and stored.index(head) == stored.index(run[-1]) + 1
        if run and (not follows or len(run) == most):
            yield run
            run = []
        run.append(head)
    if run:
        yield run


def _read_run(
    layer: _Layer, run: Sequence[int], report: Callable[[Damage], None] | None
) -> Iterator[AttentionMap]:
    """The maps of a stretch; where it can't be read, head by head, to say which ones can't."""
    try:
        maps = layer.read(run)
    except DumpError as error:
        if len(run) > 1:
            for head in run:
                yield from _read_run(layer, [head], report)
        elif report is None:
            raise
        else:
            report(Damage(error.path, f"{error.where} (head {run[0]})", error.reason))
        return
    while maps:
        yield maps.pop(0)  # not held here while the next ones are read


@dataclass(frozen=True)
class _Item:
    """What the layers of an item share, in the unit of the file; None where it isn't recorded."""

    group: h5py.Group
    n_residues: int
    ca_reference: npt.NDArray[Any] | None
    residue_index: npt.NDArray[Any] | None
    chain_index: npt.NDArray[Any] | None
    sequence: str | None

    @classmethod
    def read(cls, entry: LayerEntry, group: h5py.Group) -> _Item:
        n = entry.n_residues
        return cls(
            group=group,
            n_residues=n,
            ca_reference=_read_numbers(group, "ca_reference", (n, 3)),
            residue_index=_read_numbers(group, "residue_index", (n,)),
            chain_index=_read_numbers(group, "chain_index", (n,)),
            sequence=guard.text(group, "sequence"),
        )

    @cached_property
    def ca(self) -> npt.NDArray[Any]:
        """[N, 3]; not looked at where each layer has coordinates of its own."""
        ca = _read_numbers(self.group, "ca", (self.n_residues, 3))
        if ca is None:
            raise guard.refuse("gone since the dump was opened", self.group, "ca")
        return ca


@dataclass(frozen=True)
class _Layer:
    """An open layer group, what its heads share, and the map terms that are asked for."""

    entry: LayerEntry
    group: h5py.Group
    structure: Structure
    sigma: Floats | None
    numbers: dict[str, npt.NDArray[Any] | None]
    terms: Collection[str]

    @cached_property
    def stored(self) -> dict[str, Stored]:
        """The map terms to read that are recorded: looked up and checked once for all heads."""
        shape = (len(self.entry.heads), self.entry.n_residues, self.entry.n_residues)
        derived = "attention" in self.terms and "attention" not in self.entry.terms
        asked = {*self.terms, *(ATTENTION_FROM if derived else ())}
        found = {name: Stored.of(self.group, name) for name in MAP_TERMS if name in asked}
        for data in found.values():
            expect_shape(data, shape)
        return {name: data for name, data in found.items() if data is not None}

    @property
    def heads_at_once(self) -> int:
        """How many heads are read with one call: small ones, or those of a chunk."""
        n = self.entry.n_residues
        of_chunk = max((data.chunks[0] for data in self.stored.values() if data.chunks), default=1)
        return max(heads_at_once(n), min(of_chunk, _OF_CHUNKS // (4 * n**2 or 1)))

    def read(self, heads: Sequence[int]) -> list[AttentionMap]:
        """The maps of `heads`, which are stored one after the other."""
        first = self.entry.heads.index(heads[0])
        terms = {name: _widened(data.rows(first, len(heads))) for name, data in self.stored.items()}
        return [
            self._map(head, first + k, {name: values[k] for name, values in terms.items()})
            for k, head in enumerate(heads)
        ]

    def _map(self, head: int, position: int, terms: Mapping[str, Floats]) -> AttentionMap:
        log_det = _at(self.numbers["log_det_min"], position)
        if log_det is not None and self.entry.length_unit == "angstrom":
            log_det -= LN_ANGSTROM6_PER_NM6
        found = AttentionMap(
            id=MapId(*self.entry.id, head),
            structure=self.structure,
            gamma=_at(self.numbers["gamma"], position),
            logits_before=terms.get("logits_before"),
            geo_bias=terms.get("geo_bias"),
            logits_after_recorded=terms.get("logits_after"),
            attention=terms.get("attention"),
            pair_bias=terms.get("pair_bias"),
            sigma=self.sigma,
            attention_recorded="attention" in self.entry.terms,
            geo_bias_sign=self.entry.geo_bias_sign,
            compute_dtype=self.entry.compute_dtype,
            attention_dtype=self.entry.attention_dtype,
            log_det_min=log_det,
            sigma_floor_share=_at(self.numbers["sigma_floor_share"], position),
        )
        if found.attention is None and found.logits_after is not None:
            found = replace(found, attention=softmax(found.logits_after))
        return with_masks_read(found)


def _structure(entry: LayerEntry, item: _Item, layer: h5py.Group) -> Structure:
    """The item as this layer saw it."""
    n = entry.n_residues
    ca = _read_numbers(layer, "ca", (n, 3))
    if ca is None:
        ca = item.ca
    reference, residues, chains = item.ca_reference, item.residue_index, item.chain_index
    scale = ANGSTROM_PER_UNIT[entry.length_unit]
    return Structure(
        name=entry.item,
        ca=ca.astype(np.float64) * scale,
        ca_reference=None if reference is None else reference.astype(np.float64) * scale,
        residue_index=np.arange(n) if residues is None else residues.astype(np.int64),
        chain_index=np.zeros(n, dtype=np.int64) if chains is None else chains.astype(np.int64),
        length_unit=entry.length_unit,
        sequence=item.sequence,
        flow_time=entry.flow_time,
    )


def _read_numbers(owner: h5py.Group, name: str, shape: tuple[int, ...]) -> npt.NDArray[Any] | None:
    data = Stored.of(owner, name)
    expect_shape(data, shape)
    return None if data is None else data.read()


def _at(numbers: npt.NDArray[Any] | None, position: int) -> float | None:
    return None if numbers is None else float(numbers[position])


def _widened(values: npt.NDArray[Any]) -> Floats:
    """[H, N, N] float32, whatever was stored."""
    if values.dtype != np.float16:
        return values.astype(np.float32, copy=False)
    widened = np.empty(values.shape, np.float32)
    for halves, into in zip(values.view(np.uint16), widened, strict=True):
        # none is outside of the table: not looking for that takes a quarter less
        _HALVES.take(halves, mode="wrap", out=into)
    return widened
