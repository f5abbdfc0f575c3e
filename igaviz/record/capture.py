"""The full maps of one due step: from tap calls to a record of plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from igaviz.dump.data import Floats
from igaviz.dump.write import ItemRecord, LayerRecord, StepRecord
from igaviz.errors import RecordingError
from igaviz.format import MAP_TERMS
from igaviz.record.active import TapCall
from igaviz.record.batch import BatchItem
from igaviz.record.per_item import ItemFields, PerItem
from igaviz.record.settings import Settings
from igaviz.record.tensors import Sizes, coarsest_dtype, device_cut, host_copy


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
class _Recorded:
    """What is kept of one batch item so far."""

    fields: ItemFields
    ca: Floats | None = None
    layers: list[LayerRecord] = field(default_factory=list)


class MapCapture:
    """The full maps of one step, copied from the layers' tensors call by call."""

    def __init__(self, moment: Moment, settings: Settings) -> None:
        self._moment = moment
        self._settings = settings
        self._recorded: dict[int, _Recorded] = {}
        self.skipped: set[int] = set()
        """Positions of items without a valid residue, or with more than `max_residues`."""

    def take(
        self, call: TapCall, sizes: Sizes, name: LayerName, items: Mapping[int, BatchItem]
    ) -> None:
        """Copy what the settings ask for; raises `RecordingError` for what can't be recorded."""
        settings = self._settings
        if settings.layers is not None and name.number not in settings.layers:
            return
        if settings.heads is not None and settings.heads[-1] >= sizes.heads:
            raise RecordingError(
                f"no head {settings.heads[-1]} in layer {name.number}: "
                f"it has heads 0-{sizes.heads - 1}"
            )
        for position in settings.chosen_items(sizes.items):
            item = items.get(position)
            limit = settings.max_residues
            if item is None or (limit is not None and len(item.residues) > limit):
                self.skipped.add(position)
                continue
            if position not in self._recorded:
                self._recorded[position] = _Recorded(item.fields)
            recorded = self._recorded[position]
            ca = _moved_ca(recorded, call, item)
            recorded.layers.append(self._layer(call, name, item, ca))

    def record(self, numbers: Mapping[str, float]) -> StepRecord | None:
        """The step with its `numbers`, or None where no item of it was kept."""
        if not self._recorded:
            return None
        moment = self._moment
        return StepRecord(
            step=moment.step,
            items=[self._item(position) for position in sorted(self._recorded)],
            phase=moment.phase,
            epoch=moment.epoch,
            wall_time=moment.wall_time,
            numbers=numbers,
        )

    def _item(self, position: int) -> ItemRecord:
        recorded = self._recorded[position]
        if recorded.ca is None:
            raise RecordingError(
                f"step {self._moment.step}: no layer gave ca, the Cα coordinates of the residues",
                hint="tap(..., ca=coordinates), [B, N, 3], in at least one layer",
            )
        return ItemRecord(batch=position, ca=recorded.ca, layers=recorded.layers, **recorded.fields)

    def _layer(
        self, call: TapCall, name: LayerName, item: BatchItem, ca: Floats | None
    ) -> LayerRecord:
        heads = self._settings.heads
        maps = self._maps(call, name, item)

        def per_head(values: torch.Tensor | None) -> Floats | None:
            return None if values is None else host_copy(device_cut(values, heads=heads))

        def of_item(term: str) -> torch.Tensor | None:
            values: torch.Tensor | None = getattr(call, term)
            return None if values is None else values[item.position]

        sigma = of_item("sigma")
        return LayerRecord(
            layer=name.number,
            heads=None if heads is None else np.array(heads),
            gamma=per_head(call.gamma),
            **maps,
            ca=ca,
            sigma=None
            if sigma is None
            else host_copy(device_cut(sigma, residues=item.kept, axes=1)),
            log_det_min=per_head(of_item("log_det_min")),
            sigma_floor_share=per_head(of_item("sigma_floor_share")),
            module=name.module,
            geo_bias_sign=call.geo_bias_sign,
            compute_dtype=coarsest_dtype((call.logits_before, call.geo_bias, call.logits_after)),
            attention_dtype=coarsest_dtype(
                (call.attention,), at_least=self._settings.attention_dtype
            )
            if "attention" in maps
            else None,
            training=name.training,
        )

    def _maps(self, call: TapCall, name: LayerName, item: BatchItem) -> dict[str, Any]:
        """The maps that are both wanted and given; raises where they can't be read back."""
        settings = self._settings
        maps = {}
        for term in MAP_TERMS:
            given = getattr(call, term)
            if term in settings.store and given is not None:
                cut = device_cut(
                    given[item.position], heads=settings.heads, residues=item.kept, axes=2
                )
                half = term == "attention" and settings.attention_dtype == "float16"
                maps[term] = host_copy(cut, torch.float16 if half else torch.float32)
        if "attention" not in maps and not {"logits_before", "geo_bias"} <= maps.keys():
            raise RecordingError(
                f"layer {name.number} gives too little of store={settings.store} to be read back",
                hint="store attention, or logits_before and geo_bias, as the layer gives them",
            )
        return maps


def _moved_ca(recorded: _Recorded, call: TapCall, item: BatchItem) -> Floats | None:
    """The layer's own coordinates where they aren't the item's; the first ones are the item's."""
    if call.ca is None:
        return None
    ca = host_copy(device_cut(call.ca[item.position], residues=item.kept, axes=1))
    if recorded.ca is None:
        recorded.ca = ca
    return None if np.array_equal(ca, recorded.ca, equal_nan=True) else ca
