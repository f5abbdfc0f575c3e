"""What a step says of the items of its batch: given for the whole batch, picked for one item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
from torch import Tensor

from igaviz.errors import RecordingError

Arrays = Tensor | npt.NDArray[Any] | Sequence[Any]
"""One array per item: stacked and padded, or a sequence of them."""

_MASK_HINT = (
    "are the other residues padding? Then tap needs mask=[B, N], true for valid residues, in each "
    "layer: without it all of them are valid"
)
_LENGTH_HINT = "give one value for each residue of the padded item, or for its valid residues alone"
_INT32 = np.iinfo(np.int32)


class ItemFields(TypedDict):
    """The fields of an `ItemRecord` that a step gives."""

    name: str | None
    flow_time: float | None
    ca_reference: npt.NDArray[Any] | None
    residue_index: npt.NDArray[Any] | None
    chain_index: npt.NDArray[Any] | None
    sequence: str | None


@dataclass(frozen=True, eq=False)
class PerItem:
    """Per-item values for the whole batch, each None where not given.

    `flow_time` may be one number for all items. The values per residue may be padded to the
    length of the batch, be as long as the item before padding, or hold its valid residues only.
    """

    names: Sequence[str] | None = None
    flow_time: Arrays | float | None = None
    ca_reference: Arrays | None = None
    residue_index: Arrays | None = None
    chain_index: Arrays | None = None
    sequence: Sequence[str] | None = None

    def pick(self, item: int, residues: npt.NDArray[np.int64]) -> ItemFields:
        """The values of one item, cut to its valid `residues`; raises `RecordingError`."""
        name = self._of("names", item)
        name = name.decode(errors="replace") if isinstance(name, bytes) else name
        sequence = self._of("sequence", item)
        if sequence is not None and not isinstance(sequence, str):
            raise RecordingError(
                f"sequence of item {item} is no string: {type(sequence)}",
                hint="one string of one-letter codes per item",
            )
        letters = None
        if sequence is not None:  # as objects: numpy's own strings lose a NUL
            letters = _cut("sequence", np.array([*sequence], object), residues)
        return ItemFields(
            name=None if name is None else str(name),
            flow_time=self._flow_time(item),
            ca_reference=self._per_residue("ca_reference", item, residues),
            residue_index=self._per_residue("residue_index", item, residues),
            chain_index=self._per_residue("chain_index", item, residues),
            sequence=None if letters is None else "".join(letters),
        )

    def _of(self, field: str, item: int) -> Any:  # noqa: ANN401 (whatever the user's list holds)
        values = getattr(self, field)
        if values is None:
            return None
        if isinstance(values, str) or len(values) <= item:
            raise RecordingError(
                f"{field} holds no value for item {item} of the batch",
                hint=f"{field} takes one value for every item of the batch",
            )
        return values[item]

    def _flow_time(self, item: int) -> float | None:
        if self.flow_time is None:
            return None
        values = _to_array(self.flow_time)
        own = values if values.ndim == 0 else _to_array(self._of("flow_time", item))
        if own.dtype.kind not in "fiu" or own.size != 1:
            raise RecordingError(
                f"flow_time of item {item} is no number",
                hint="flow_time takes one number, or one for every item of the batch",
            )
        return float(own.item())

    def _per_residue(
        self, field: str, item: int, residues: npt.NDArray[np.int64]
    ) -> npt.NDArray[Any] | None:
        value = self._of(field, item)
        if value is None:
            return None
        cut = _cut(field, _to_array(value), residues)
        _check_numbers(f"{field} of item {item}", cut, whole=field.endswith("_index"))
        return cut


def _to_array(value: Any) -> npt.NDArray[Any]:  # noqa: ANN401
    if not isinstance(value, Tensor):
        return np.asarray(value)
    value = value.detach().cpu()
    # numpy has no bfloat16.
    array: npt.NDArray[Any] = (value.float() if value.is_floating_point() else value).numpy()
    return array


def _check_numbers(what: str, values: npt.NDArray[Any], *, whole: bool) -> None:
    """Raise `RecordingError` where they are no whole numbers [N], or no coordinates [N, 3]."""
    expected = (len(values),) if whole else (len(values), 3)
    if values.dtype.kind not in "biuf" or values.shape != expected:
        raise RecordingError(
            f"{what} is of type {values.dtype} and shape {values.shape}: numbers of shape "
            f"{expected} belong there",
            hint="chains, too, are given by number: 0 for the first" if whole else None,
        )
    if whole and not ((values >= _INT32.min) & (values <= _INT32.max)).all():
        raise RecordingError(f"{what} holds what is no whole number of 32 bits")


def _cut(field: str, values: npt.NDArray[Any], residues: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    if len(values) == len(residues):
        return values.copy()
    if len(values) > residues[-1]:
        return values[residues]
    raise RecordingError(
        f"{field} has {len(values)} values for an item of {len(residues)} valid residues, "
        f"the last at position {residues[-1]}",
        hint=_MASK_HINT if len(values) < len(residues) else _LENGTH_HINT,
    )
