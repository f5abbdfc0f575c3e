"""The full maps of one due step: copied from the layers' tensors, and later made a record of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from igaviz.record.host import HostCopy, Source, bytes_to_copy, copy_to_host
from igaviz.record.per_item import ItemFields
from igaviz.record.settings import Settings
from igaviz.record.tensors import Sizes, coarsest_dtype, on_device

_PER_HEAD_OF_ITEM = ("log_det_min", "sigma_floor_share")
_PER_RESIDUE = ("ca", "sigma")

Hold = Callable[[int], bool]
"""Whether so many bytes more may be held in memory."""


@dataclass(frozen=True, eq=False)
class Moment:
    """The step that is being recorded, as the training loop names it."""

    step: int
    phase: str
    epoch: int | None
    wall_time: float


@dataclass(frozen=True)
class LayerName:
    """What a layer is called: its number, its qualified name, whether it is in training.

    `call` says which call of a shared module it is.
    """

    number: int
    module: str = ""
    training: bool | None = None
    call: int = 0


@dataclass(frozen=True, eq=False)
class _CopiedLayer:
    """What was copied of one layer for one item, and what is said of it."""

    arrays: Mapping[str, HostCopy]
    facts: Mapping[str, Any]
    number: int


@dataclass(eq=False)
class _CopiedItem:
    """What was copied of one batch item so far."""

    fields: ItemFields
    layers: list[_CopiedLayer] = field(default_factory=list)


class MapCapture:
    """The full maps of one step, copied from the layers' tensors call by call.

    `hold` is asked before each copy: where it says no, the whole step is `dropped`.
    """

    def __init__(self, moment: Moment, settings: Settings, hold: Hold) -> None:
        self._moment = moment
        self._settings = settings
        self._hold = hold
        self._copied: dict[int, _CopiedItem] = {}
        self.dropped = False
        self.empty: set[int] = set()
        """Positions of items without a valid residue."""

        self.batch_size = 0
        """Items of the batch, as the layers showed it; the most, where they show it differently."""

        self.too_large: set[int] = set()
        """Positions of items of more residues than may be recorded."""

    def take(
        self, call: TapCall, sizes: Sizes, name: LayerName, items: Mapping[int, BatchItem]
    ) -> None:
        """Copy what the settings ask for; raises `RecordingError` for what can't be recorded."""
        settings = self._settings
        self.batch_size = max(self.batch_size, sizes.items)
        if self.dropped or (settings.layers is not None and name.number not in settings.layers):
            return
        if settings.heads is not None and settings.heads[-1] >= sizes.heads:
            raise RecordingError(
                f"no head {settings.heads[-1]} in layer {name.number}: "
                f"it has heads 0-{sizes.heads - 1}"
            )
        for position in settings.chosen_items(sizes.items):
            item = items.get(position)
            if item is None:
                self.empty.add(position)
                continue
            if len(item.residues) > settings.most_residues:
                self.too_large.add(position)
                continue
            arrays = self._copy(call, name, item)
            if arrays is None:
                self.dropped = True
                self.let_go()
                return
            copied = self._copied.setdefault(position, _CopiedItem(item.fields))
            copied.layers.append(_CopiedLayer(arrays, self._facts(call, name, arrays), name.number))

    def record(
        self, numbers: Mapping[str, float], gamma_gradients: Mapping[int, float]
    ) -> StepRecord | None:
        """The step with its `numbers`, or None where no item of it was kept.

        Waits for the copies, so it is for another thread than training's. `gamma_gradients` are
        the norms of γ's gradient by layer.
        """
        if not self._copied:
            return None
        moment = self._moment
        return StepRecord(
            step=moment.step,
            items=[self._item(position, gamma_gradients) for position in sorted(self._copied)],
            phase=moment.phase,
            epoch=moment.epoch,
            wall_time=moment.wall_time,
            numbers=numbers,
        )

    def let_go(self) -> None:
        """Free the copies now: what refers to them may live until garbage is collected."""
        self._copied.clear()

    def _item(self, position: int, gamma_gradients: Mapping[int, float]) -> ItemRecord:
        copied = self._copied[position]
        ca: Floats | None = None
        layers = []
        for layer in copied.layers:
            arrays: dict[str, Any] = {name: copy.array() for name, copy in layer.arrays.items()}
            own: Floats | None = arrays.pop("ca", None)
            if own is not None and ca is not None and not np.array_equal(own, ca, equal_nan=True):
                arrays["ca"] = own  # the frames moved since the item's
            ca = own if ca is None else ca
            norm = gamma_gradients.get(layer.number)
            layers.append(LayerRecord(**layer.facts, **arrays, gamma_gradient_norm=norm))
        if ca is None:
            raise RecordingError(
                f"step {self._moment.step}: no layer gave ca, the Cα coordinates of the residues",
                hint="tap(..., ca=coordinates), [B, N, 3], in at least one layer",
            )
        return ItemRecord(batch=position, ca=ca, layers=layers, **copied.fields)

    def _facts(
        self, call: TapCall, name: LayerName, arrays: Mapping[str, HostCopy]
    ) -> dict[str, Any]:
        heads = self._settings.heads
        logits = (call.logits_before, call.geo_bias, call.logits_after)
        weights_dtype = None
        if "attention" in arrays:
            weights_dtype = coarsest_dtype(
                (call.attention,), at_least=self._settings.attention_dtype
            )
        return {
            "layer": name.number,
            "heads": None if heads is None else np.array(heads),
            "module": name.module,
            "call": name.call,
            "geo_bias_sign": call.geo_bias_sign,
            "compute_dtype": call.compute_dtype or coarsest_dtype(logits),
            "attention_dtype": weights_dtype,
            "training": name.training,
        }

    def _copy(self, call: TapCall, name: LayerName, item: BatchItem) -> dict[str, HostCopy] | None:
        """All that is kept of one layer for one item; None where it can't be held."""
        heads = self._settings.heads
        sources = {
            term: Source(values, self._dtype(term), item.kept, axes=2)
            for term, values in self._wanted(call, name, item).items()
        }
        if not self._hold(sum(map(bytes_to_copy, sources.values()))):
            return None
        if call.gamma is not None:
            sources["gamma"] = Source(_chosen(call.gamma, heads))
        for term in _PER_HEAD_OF_ITEM:
            values = getattr(call, term)
            if values is not None:
                sources[term] = Source(_chosen(values[item.position], heads))
        for term in _PER_RESIDUE:
            values = getattr(call, term)
            if values is not None:
                sources[term] = Source(values[item.position], kept=item.kept, axes=1)
        return copy_to_host(sources)

    def _dtype(self, term: str) -> torch.dtype:
        """What a map is on disk."""
        half = term == "attention" and self._settings.attention_dtype == "float16"
        return torch.float16 if half else torch.float32

    def _wanted(self, call: TapCall, name: LayerName, item: BatchItem) -> dict[str, torch.Tensor]:
        """The maps [H, N, N] that are both wanted and given; raises where they can't be read back.

        N still counts padding.
        """
        settings = self._settings
        maps = {
            term: _chosen(given[item.position], settings.heads)
            for term in MAP_TERMS
            if term in settings.store and (given := getattr(call, term)) is not None
        }
        if "attention" not in maps and not {"logits_before", "geo_bias"} <= maps.keys():
            raise RecordingError(
                f"layer {name.number} gives too little of store={settings.store} to be read back",
                hint="store attention, or logits_before and geo_bias, as the layer gives them",
            )
        return maps


def _chosen(values: torch.Tensor, heads: tuple[int, ...] | None) -> torch.Tensor:
    """The chosen heads of values whose first axis is heads; a view where they are neighbours."""
    if heads is None:
        return values
    if heads[-1] - heads[0] + 1 == len(heads):
        return values[heads[0] : heads[-1] + 1]
    return values[on_device(np.array(heads), values.device)]
