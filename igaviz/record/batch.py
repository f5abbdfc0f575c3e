"""The items of one step's batch: which residues are valid, and what the step says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from igaviz.errors import RecordingError
from igaviz.record.active import TapCall
from igaviz.record.per_item import ItemFields, PerItem
from igaviz.record.tensors import Kept, Sizes


@dataclass(frozen=True, eq=False)
class BatchItem:
    """One item: its position in the batch and its valid residues, in rising order."""

    position: int
    residues: npt.NDArray[np.int64]
    is_cut: bool
    per_item: PerItem

    @cached_property
    def fields(self) -> ItemFields:
        """What the step says of this item, cut to its valid residues."""
        return self.per_item.pick(self.position, self.residues)

    @cached_property
    def kept(self) -> Kept | None:
        """The residues to cut to, None where that is all of them."""
        return Kept(self.residues) if self.is_cut else None


class BatchItems:
    """The items as the layers of one step show them; all layers must show the same."""

    def __init__(self, per_item: PerItem) -> None:
        self._per_item = per_item
        self._seen: dict[int, BatchItem] = {}
        self._mask: tuple[object, ...] | None = None
        self._alive: Tensor | None = None
        self._valid: npt.NDArray[np.bool_] | None = None
        self._found: tuple[npt.NDArray[np.bool_], Mapping[int, BatchItem]] | None = None

    def of(self, call: TapCall, sizes: Sizes) -> Mapping[int, BatchItem]:
        """Position → item, for the items of this call that have a valid residue.

        Raises `RecordingError` where another layer showed other residues.
        """
        if call.mask is None:
            valid = np.ones((sizes.items, sizes.residues), dtype=bool)
        else:
            valid = self._on_host(call.mask)
            if self._found is not None and self._found[0] is valid:
                return self._found[1]
        found = {}
        for position, row in enumerate(valid):
            residues = np.flatnonzero(row)
            if len(residues):
                found[position] = self._item(position, residues, call.layer, sizes)
        self._found = valid, found
        return found

    def _on_host(self, mask: Tensor) -> npt.NDArray[np.bool_]:
        """The mask as an array; training waits for a device once, not for each layer."""
        identity = _identity(mask)
        if self._valid is None or identity is None or identity != self._mask:
            # The mask is kept alive, or another could come to stand at its address.
            self._mask, self._alive = identity, mask
            self._valid = mask.detach().to("cpu", torch.bool, copy=True).numpy()
        return self._valid

    def _item(
        self, position: int, residues: npt.NDArray[np.int64], layer: int, sizes: Sizes
    ) -> BatchItem:
        item = self._seen.setdefault(
            position,
            BatchItem(position, residues, len(residues) < sizes.residues, self._per_item),
        )
        if not np.array_equal(item.residues, residues):
            raise RecordingError(
                f"item {position}: layer {layer} has other valid residues than a layer before it",
                hint="layers that see different residues belong to different recorders",
            )
        return item


def _identity(mask: Tensor) -> tuple[object, ...] | None:
    """What is equal for two views of one unchanged mask, both alive; None where nobody can tell."""
    if mask.is_inference():  # such tensors don't count their changes
        return None
    return mask.data_ptr(), mask.shape, mask.stride(), mask.dtype, mask._version
