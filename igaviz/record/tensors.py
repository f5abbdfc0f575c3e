"""The tensors that a layer gives: checked against each other, named by type, cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from igaviz.errors import RecordingError
from igaviz.format import MAP_TERMS
from igaviz.record.active import TapCall

_AXES = {
    **dict.fromkeys(MAP_TERMS, "BHNN"),
    "gamma": "H",
    "ca": "BN3",
    "mask": "BN",
    "sigma": "BN3",
    "log_det_min": "BH",
    "sigma_floor_share": "BH",
}
TENSORS = tuple(_AXES)
"""What a layer gives as tensors."""

_FLOAT_NAMES = {
    torch.float64: "float32",
    torch.float32: "float32",
    torch.float16: "float16",
    torch.bfloat16: "bfloat16",
}
_GAMMA_HINT = (
    "gamma has one value per head: gamma.flatten() of [1, H, 1, 1], gamma[0] where it is the same "
    "for each item, gamma.expand(n_heads) of one number"
)
_SHAPE_HINT = "B is the number of batch items, H of heads, N of residues with padding"
_COARSENESS = ("float32", "float16", "bfloat16").index


class Sizes(NamedTuple):
    """B, H and N of one call."""

    items: int
    heads: int
    residues: int


def check_call(call: TapCall) -> Sizes:
    """The sizes that all tensors of `call` agree on; raises `RecordingError` where they don't."""
    given = {name: getattr(call, name) for name in _AXES if getattr(call, name) is not None}
    for name, value in given.items():
        if not isinstance(value, Tensor):
            raise RecordingError(f"tap, layer {call.layer}: {name} is no tensor: {type(value)}")
    if "attention" not in given and not {"logits_before", "geo_bias"} <= given.keys():
        raise RecordingError(
            f"tap, layer {call.layer}: neither attention nor both logits_before and geo_bias",
            hint="give attention, or the two terms of the logits, or all three",
        )
    if call.geo_bias_sign not in (1, -1):
        raise RecordingError(f"tap, layer {call.layer}: geo_bias_sign is {call.geo_bias_sign!r}")
    first = next(name for name in MAP_TERMS if name in given)
    shape = tuple(given[first].shape)
    if len(shape) != 4 or shape[2] != shape[3]:
        raise RecordingError(
            f"tap, layer {call.layer}: {first} has shape {shape}, not [B, H, N, N]",
            hint=_hint_for_a_map(shape),
        )
    sizes = Sizes(*given[first].shape[:3])
    if not sizes.heads:
        raise RecordingError(f"tap, layer {call.layer}: {first} has shape {shape}: no head")
    size_of = {"B": sizes.items, "H": sizes.heads, "N": sizes.residues, "3": 3}
    for name, value in given.items():
        expected = tuple(size_of[axis] for axis in _AXES[name])
        if tuple(value.shape) != expected:
            raise RecordingError(
                f"tap, layer {call.layer}: {name} has shape {tuple(value.shape)}, "
                f"not {expected} [{', '.join(_AXES[name])}]",
                hint=_GAMMA_HINT if name == "gamma" else _hint(tuple(value.shape), expected, first),
            )
    return sizes


def _hint_for_a_map(shape: tuple[int, ...]) -> str:
    """What may be wrong with a map that isn't [B, H, N, N], and what to do."""
    if len(shape) == 3 and shape[1] == shape[2]:
        return f"{_SHAPE_HINT}: unsqueeze(0) makes a batch of one item"
    if len(shape) == 4 and shape[1] == shape[2]:
        return f"{_SHAPE_HINT}; where its heads stand last, movedim(-1, 1) puts them second"
    return _SHAPE_HINT


def _hint(shape: tuple[int, ...], expected: tuple[int, ...], first: str) -> str:
    """What may be wrong with a tensor of `shape`, where the map `first` asks for another one."""
    as_in = f"{_SHAPE_HINT}, as in {first}"
    if (1, *shape) == expected:
        return f"{as_in}: unsqueeze(0) makes a batch of one item"
    if sorted(shape) == sorted(expected):
        return f"{as_in}: its axes seem to stand in another order"
    if [n for n in shape if n > 1] == [n for n in expected if n > 1]:
        return f"{as_in}: reshape{expected} brings it there"
    return as_in


def coarsest_dtype(tensors: Sequence[Tensor | None], *, at_least: str | None = None) -> str | None:
    """The name of the coarsest type among `tensors` and `at_least`, None where there is none."""
    names = [_float_name(tensor) for tensor in tensors if tensor is not None]
    return max(names if at_least is None else [*names, at_least], key=_COARSENESS, default=None)


def _float_name(tensor: Tensor) -> str:
    try:
        return _FLOAT_NAMES[tensor.dtype]
    except KeyError:
        raise RecordingError(
            f"a map in {tensor.dtype} can't be recorded", hint="widen it to float32 for tap"
        ) from None


class Kept:
    """The residues that are kept of an item, in rising order; brought to a device once."""

    def __init__(self, residues: npt.NDArray[np.int64]) -> None:
        self.residues = residues
        self._on: dict[torch.device, Tensor] = {}

    def __len__(self) -> int:
        return len(self.residues)

    def cut(self, tensor: Tensor, *, axes: int) -> Tensor:
        """`tensor` without its history, cut to these residues on the device where it is.

        They are taken along the last 2 axes, or along the first if `axes` is 1.
        """
        tensor = tensor.detach()
        if tensor.device not in self._on:
            self._on[tensor.device] = on_device(self.residues, tensor.device)
        keep = self._on[tensor.device]
        return tensor[..., keep[:, None], keep] if axes == 2 else tensor[keep]


def on_device(values: npt.NDArray[Any], device: torch.device) -> Tensor:
    """A copy of `values` on `device`. No thread waits for a GPU: it takes them when it comes to it.

    Only from pinned memory: from any other, each copy would wait for all that the GPU has to do.
    """
    host = torch.from_numpy(values)
    if device.type == "cuda":
        return host.pin_memory().to(device, non_blocking=True)
    return host.to(device, copy=True)
