"""What listens to taps in this process right now: all that a tap reads when nothing records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from igaviz.format import MAP_TERMS


@dataclass(frozen=True, eq=False)
class TapCall:
    """What one call of `tap` was given, as it was given; or what was read of a watched layer.

    `call` says which call of a shared module it is. `compute_dtype` is what the layer computed in,
    where its maps are not those that it computed. Where γ is not the layer's own, `gamma_source` is
    the parameter that it was made of, and `gamma_slope` its derivative by that. `recomputed` says
    that a checkpoint runs the layer anew, in backward: all but a gradient was seen before.
    """

    layer: int
    attention: Tensor | None
    logits_before: Tensor | None
    geo_bias: Tensor | None
    gamma: Tensor | None
    ca: Tensor | None
    mask: Tensor | None
    pair_bias: Tensor | None
    logits_after: Tensor | None
    sigma: Tensor | None
    log_det_min: Tensor | None
    sigma_floor_share: Tensor | None
    geo_bias_sign: int
    module: nn.Module | str | None
    call: int = 0
    compute_dtype: str | None = None
    gamma_source: Tensor | None = None
    gamma_slope: Tensor | None = None
    recomputed: bool = False

    @property
    def device(self) -> torch.device:
        """Where its maps are; γ and coordinates may be elsewhere."""
        maps: list[Tensor | None] = [getattr(self, term) for term in MAP_TERMS]
        return next(values.device for values in maps if values is not None)


class Listener(Protocol):
    """What takes tap calls while it is open."""

    def take(self, call: TapCall) -> None:
        """Keep what is wanted of `call`; its tensors are the model's own."""


listeners: tuple[Listener, ...] = ()
"""The open captures. A tuple that is replaced, never changed: a tap may be iterating over it."""

steps_entered = 0
"""How many `with recorder.step(…)` this process is inside of, due or not."""


def listen(listener: Listener) -> None:
    """Let every tap of this process call `listener.take`, until `dismiss`."""
    global listeners
    listeners = (*listeners, listener)


def dismiss(listener: Listener) -> None:
    """End `listen`; nothing where it has ended already."""
    global listeners
    listeners = tuple(other for other in listeners if other is not listener)


@contextmanager
def inside_step() -> Iterator[None]:
    """Count this process as inside a step."""
    global steps_entered
    steps_entered += 1
    try:
        yield
    finally:
        steps_entered -= 1


def _no_graph_task() -> int:
    return -1


_current_graph_task: Callable[[], int] = getattr(
    # Private, so it may go. Without it a recomputed layer still is no record: a step keeps the
    # first call of each layer.
    torch._C,
    "_current_graph_task_id",
    _no_graph_task,
)


def in_backward() -> bool:
    """Whether autograd is running backward: a forward in there recomputes a checkpoint."""
    return _current_graph_task() != -1


def capturing() -> bool:
    """Whether what runs now is captured into a CUDA graph.

    Nothing is recorded then: it is not run yet, each replay would repeat what a recorder adds, and
    waiting for the device would end the capture, and training with it.
    """
    return torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing()  # type: ignore[no-untyped-call]
