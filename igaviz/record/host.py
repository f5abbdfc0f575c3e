"""From tensors of the model to arrays on the host, without making training wait for them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy.typing as npt
import torch
from torch import Tensor

from igaviz.record.tensors import Kept

Name = TypeVar("Name", bound=Hashable)

_side_streams: dict[torch.device, torch.cuda.Stream] = {}


@dataclass(frozen=True, eq=False)
class Source:
    """A tensor to be copied: what is `kept` of it along the last `axes` axes, in `dtype`.

    Of one axis it is the first.
    """

    tensor: Tensor
    dtype: torch.dtype = torch.float32
    kept: Kept | None = None
    axes: int = 0


@dataclass(frozen=True, eq=False)
class HostCopy:
    """A copy that is in host memory, or will be when `ready`; `array` waits for it.

    What is still to be cut and converted is so in `array`, in whatever thread that is called.
    """

    host: Tensor
    dtype: torch.dtype
    kept: Kept | None = None
    axes: int = 0
    ready: torch.cuda.Event | None = None

    @property
    def n_bytes(self) -> int:
        """The bytes of host memory it holds."""
        return self.host.untyped_storage().nbytes()

    def array(self) -> npt.NDArray[Any]:
        """The values, of `dtype`, cut."""
        if self.ready is not None:
            self.ready.synchronize()
        host = self.host
        if self.kept is not None:
            host = self.kept.cut(host, axes=self.axes)
        array: npt.NDArray[Any] = host.to(self.dtype).numpy()
        return array


def copy_to_host(sources: Mapping[Name, Source]) -> dict[Name, HostCopy]:
    """A copy of each source, as it stands now.

    It costs the training thread one plain copy of each at most. What lies on one GPU is brought
    over together: its streams wait for each other once, not once for each tensor.
    """
    copies: dict[Name, HostCopy] = {}
    on_gpus: dict[torch.device, dict[Name, Source]] = {}
    for name, source in sources.items():
        device = source.tensor.device
        if device.type == "cpu":
            copies[name] = _copy_on_cpu(source)
        elif device.type == "cuda":
            on_gpus.setdefault(device, {})[name] = source
        else:
            host = _cut(source).to("cpu", source.dtype, copy=True)
            copies[name] = HostCopy(host, source.dtype)
    for device, theirs in on_gpus.items():
        copies |= _copies_beside(device, theirs)
    return copies


def bytes_to_copy(source: Source) -> int:
    """How many bytes a copy of these maps [H, N, N] will hold."""
    tensor, kept = source.tensor, source.kept
    if tensor.device.type == "cpu":
        n = tensor.shape[-1] if kept is None else int(kept.residues[-1] - kept.residues[0] + 1)
        return tensor.shape[0] * n * n * tensor.element_size()
    n = tensor.shape[-1] if kept is None else len(kept)
    return tensor.shape[0] * n * n * source.dtype.itemsize


def _copy_on_cpu(source: Source) -> HostCopy:
    tensor, kept = source.tensor.detach(), source.kept
    if kept is not None:
        tensor, kept = _span(tensor, kept, source.axes)
    # In training tensors may change in place, and a fresh copy is as fast as it gets: in the order
    # of the tensor's own memory, or it would cost twice as much.
    return HostCopy(tensor.clone(), source.dtype, kept, source.axes)


def _span(tensor: Tensor, kept: Kept, axes: int) -> tuple[Tensor, Kept | None]:
    """The part of `tensor` from the first to the last residue, and what is to be cut of it."""
    first, last = int(kept.residues[0]), int(kept.residues[-1]) + 1
    span = slice(first, last)
    part = tensor[..., span, span] if axes == 2 else tensor[span]
    whole = len(kept) == last - first
    return part, None if whole else Kept(kept.residues - first)


def _cut(source: Source) -> Tensor:
    """What is kept of it, on its device."""
    if source.kept is None:
        return source.tensor.detach()
    return source.kept.cut(source.tensor, axes=source.axes)


def _copies_beside(device: torch.device, sources: Mapping[Name, Source]) -> dict[Name, HostCopy]:
    """Pinned copies that a stream of its own makes while training goes on.

    Training's stream makes memory of their own first, all of it before the other stream waits for
    it: what training then writes to its tensors doesn't reach the copies.
    """
    if device not in _side_streams:
        _side_streams[device] = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    side = _side_streams[device]
    own = {name: _own(source) for name, source in sources.items()}
    # By name: torch.set_default_device may be that of the GPU, which can't be pinned.
    pinned = {
        name: torch.empty(values.shape, dtype=values.dtype, device="cpu", pin_memory=True)
        for name, values in own.items()
    }
    ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        for name, values in own.items():
            pinned[name].copy_(values, non_blocking=True)
            # Or its memory could be given to another tensor before the copy is made.
            values.record_stream(side)
        ready.record(side)
    return {name: HostCopy(host, host.dtype, ready=ready) for name, host in pinned.items()}


def _own(source: Source) -> Tensor:
    """What is kept of it, in memory that training doesn't write to while it is copied."""
    is_own = source.kept is not None
    return _cut(source).to(source.dtype, copy=not is_own, memory_format=torch.contiguous_format)
