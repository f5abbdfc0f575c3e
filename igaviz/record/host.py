"""From a tensor of the model to an array on the host, without making training wait for it."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from igaviz.record.tensors import Kept

_side_streams: dict[torch.device, torch.cuda.Stream] = {}


class HostCopy:
    """A copy of a tensor that is, or will be, in host memory; `array` waits for it.

    Its making costs the training thread one plain copy at most; what is `kept` along the last
    `axes` axes is cut out and values converted to `dtype` in `array`, in whatever thread that is
    called.
    """

    def __init__(
        self,
        tensor: Tensor,
        *,
        dtype: torch.dtype = torch.float32,
        kept: Kept | None = None,
        axes: int = 0,
    ) -> None:
        self._dtype = dtype
        self._axes = axes
        self._ready: torch.cuda.Event | None = None
        tensor = tensor.detach()
        if tensor.device.type == "cpu":
            if kept is not None:
                tensor, kept = _span(tensor, kept, axes)
            # In training tensors may change in place, and a fresh copy is as fast as it gets: in
            # the order of the tensor's own memory, or it would cost twice as much.
            self._host = tensor.clone()
            self._kept = kept
            return
        if kept is not None:
            tensor = kept.cut(tensor, axes=axes)
        self._kept = None
        if tensor.device.type == "cuda":
            self._host, self._ready = _copy_beside(_own(tensor, dtype, is_own=kept is not None))
        else:
            self._host = tensor.to("cpu", dtype, copy=True)

    @property
    def n_bytes(self) -> int:
        """The bytes of host memory it holds."""
        return self._host.untyped_storage().nbytes()

    def array(self) -> npt.NDArray[Any]:
        """The values, of `dtype`, cut."""
        if self._ready is not None:
            self._ready.synchronize()
        host = self._host
        if self._kept is not None:
            host = self._kept.cut(host, axes=self._axes)
        array: npt.NDArray[Any] = host.to(self._dtype).numpy()
        return array


def bytes_to_copy(tensor: Tensor, kept: Kept | None, dtype: torch.dtype) -> int:
    """How many bytes a `HostCopy` of these maps [H, N, N] will hold."""
    if tensor.device.type == "cpu":
        n = tensor.shape[-1] if kept is None else int(kept.residues[-1] - kept.residues[0] + 1)
        return tensor.shape[0] * n * n * tensor.element_size()
    n = tensor.shape[-1] if kept is None else len(kept)
    return tensor.shape[0] * n * n * dtype.itemsize


def _span(tensor: Tensor, kept: Kept, axes: int) -> tuple[Tensor, Kept | None]:
    """The part of `tensor` from the first to the last residue, and what is to be cut of it."""
    first, last = int(kept.residues[0]), int(kept.residues[-1]) + 1
    span = slice(first, last)
    part = tensor[..., span, span] if axes == 2 else tensor[span]
    whole = len(kept) == last - first
    return part, None if whole else Kept(kept.residues - first)


def _own(tensor: Tensor, dtype: torch.dtype, *, is_own: bool) -> Tensor:
    """`tensor` in `dtype`, in memory that training doesn't write to while it is copied."""
    return tensor.to(dtype, copy=not is_own, memory_format=torch.contiguous_format)


def _copy_beside(tensor: Tensor) -> tuple[Tensor, torch.cuda.Event]:
    """A pinned copy that a stream of its own makes while training goes on, and when it is there."""
    device = tensor.device
    if device not in _side_streams:
        _side_streams[device] = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    side = _side_streams[device]
    # By name: torch.set_default_device may be that of the GPU, which can't be pinned.
    host = torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu", pin_memory=True)
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        host.copy_(tensor, non_blocking=True)
        ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
        ready.record(side)
    # Or its memory could be given to another tensor before the copy is made.
    tensor.record_stream(side)
    return host, ready
