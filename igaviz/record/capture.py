"""What one due step has seen: from tap calls to a record of plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from igaviz.dump.data import Floats
from igaviz.dump.write import ItemRecord, LayerRecord, StepRecord
from igaviz.errors import RecordingError
from igaviz.format import MAP_TERMS
from igaviz.record.active import TapCall
from igaviz.record.per_item import ItemFields, PerItem
from igaviz.record.settings import Settings
from igaviz.record.tensors import Sizes, coarsest_dtype, host_copy, valid_residues


@dataclass(frozen=True, eq=False)
class Moment:
    """The step that is being recorded, as the training loop names it."""

    step: int
    phase: str
    epoch: int | None
    wall_time: float
    per_item: PerItem


@dataclass(frozen=True)
class LayerName:
    """What a layer is called: its number, its qualified name, and whether it is in training."""

    number: int
    module: str = ""
    training: bool | None = None


@dataclass(eq=False)
class _Item:
    """One batch item as the layers so far saw it."""

    residues: npt.NDArray[np.int64]
    fields: ItemFields
    ca: Floats | None = None
    layers: list[LayerRecord] = field(default_factory=list)


class MapCapture:
    """The full maps of one step, copied from the layers' tensors call by call."""

    def __init__(self, moment: Moment, settings: Settings) -> None:
        self._moment = moment
        self._settings = settings
        self._items: dict[int, _Item] = {}
        self.skipped: set[int] = set()
        """Positions of items without a valid residue, or with more than `max_residues`."""

    def take(self, call: TapCall, sizes: Sizes, name: LayerName) -> None:
        """Copy what the settings ask for; raises `RecordingError` for what can't be recorded."""
        settings = self._settings
        if settings.layers is not None and name.number not in settings.layers:
            return
        _check_heads(settings.heads, sizes, name)
        for position in settings.chosen_items(sizes.items):
            residues = valid_residues(call.mask, position, sizes.residues)
            limit = settings.max_residues
            if len(residues) == 0 or (limit is not None and len(residues) > limit):
                self.skipped.add(position)
                continue
            item = self._item(position, residues, name)
            item.layers.append(self._layer(call, sizes, name, position, item))

    def record(self, numbers: Mapping[str, float]) -> StepRecord | None:
        """The step with its `numbers`, or None where no item of it was kept."""
        if not self._items:
            return None
        moment = self._moment
        items = []
        for position, item in sorted(self._items.items()):
            if item.ca is None:
                raise RecordingError(
                    f"step {moment.step}: no layer gave ca, the Cα coordinates of the residues",
                    hint="tap(..., ca=coordinates), [B, N, 3], in at least one layer",
                )
            items.append(ItemRecord(batch=position, ca=item.ca, layers=item.layers, **item.fields))
        return StepRecord(
            step=moment.step,
            items=items,
            phase=moment.phase,
            epoch=moment.epoch,
            wall_time=moment.wall_time,
            numbers=numbers,
        )

    def _item(self, position: int, residues: npt.NDArray[np.int64], name: LayerName) -> _Item:
        item = self._items.get(position)
        if item is None:
            item = _Item(residues, self._moment.per_item.pick(position, residues))
            self._items[position] = item
        elif not np.array_equal(item.residues, residues):
            raise RecordingError(
                f"item {position}: layer {name.number} has other valid residues than the layers "
                "before it",
                hint="layers that see different residues belong to different steps or recorders",
            )
        return item

    def _layer(
        self, call: TapCall, sizes: Sizes, name: LayerName, position: int, item: _Item
    ) -> LayerRecord:
        settings = self._settings
        residues = None if len(item.residues) == sizes.residues else item.residues

        def per_residue(field: str) -> Floats | None:
            value = getattr(call, field)
            return None if value is None else host_copy(value[position], residues=residues, axes=1)

        def per_head(field: str) -> Floats | None:
            value = getattr(call, field)
            return None if value is None else host_copy(value[position], heads=settings.heads)

        stored = settings.attention_dtype
        maps: dict[str, Any] = {
            term: host_copy(
                getattr(call, term)[position],
                heads=settings.heads,
                residues=residues,
                axes=2,
                dtype=getattr(torch, stored) if term == "attention" else torch.float32,
            )
            for term in MAP_TERMS
            if term in settings.store and getattr(call, term) is not None
        }
        if "attention" not in maps and not {"logits_before", "geo_bias"} <= maps.keys():
            raise RecordingError(
                f"layer {name.number} gives too little of store={settings.store} to be read back",
                hint="store attention, or logits_before and geo_bias, as the layer gives them",
            )
        ca = per_residue("ca")
        moved = (
            ca is not None
            and item.ca is not None
            and not np.array_equal(ca, item.ca, equal_nan=True)
        )
        if item.ca is None:
            item.ca = ca
        return LayerRecord(
            layer=name.number,
            heads=None if settings.heads is None else np.array(settings.heads),
            gamma=None if call.gamma is None else host_copy(call.gamma, heads=settings.heads),
            **maps,
            ca=ca if moved else None,
            sigma=per_residue("sigma"),
            log_det_min=per_head("log_det_min"),
            sigma_floor_share=per_head("sigma_floor_share"),
            module=name.module,
            geo_bias_sign=call.geo_bias_sign,
            compute_dtype=coarsest_dtype((call.logits_before, call.geo_bias, call.logits_after)),
            attention_dtype=coarsest_dtype((call.attention,), at_least=stored)
            if "attention" in maps
            else None,
            training=name.training,
        )


def _check_heads(heads: tuple[int, ...] | None, sizes: Sizes, name: LayerName) -> None:
    if heads is not None and heads[-1] >= sizes.heads:
        raise RecordingError(
            f"no head {heads[-1]} in layer {name.number}: it has heads 0-{sizes.heads - 1}"
        )
