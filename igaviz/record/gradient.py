"""The gradient that reaches γ in the backward pass of a due step."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.hooks import RemovableHandle

from igaviz.record.sharded import held_here


class GammaGradient:
    """Listens for the first gradient of one layer's γ, until `norm` or `leave`.

    `watched` is γ itself, or the parameter that it is computed from element by element; then
    `slope` is dγ/dparameter, and γ's gradient that of the parameter divided by it. Loss scaling is
    in it.
    """

    def __init__(self, watched: Tensor, slope: Tensor | None) -> None:
        self._norm: Tensor | None = None
        self._slope = slope
        self._handle: RemovableHandle | None = watched.register_hook(  # type: ignore[no-untyped-call]
            self._reached
        )

    def _reached(self, gradient: Tensor) -> None:
        if self._norm is not None:  # of another micro-batch than the one that is recorded
            return
        own = held_here(gradient)
        if own is None:  # a sum over ranks that they haven't made yet
            return
        gradient = own if self._slope is None else own / self._slope
        self._norm = gradient.detach().float().norm()

    def leave(self) -> None:
        """Stop listening."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    def norm(self) -> Tensor | None:
        """The Euclidean norm over heads of ∂loss/∂γ; None where no gradient reached it."""
        self.leave()
        return self._norm


def with_slope(function: Callable[[Tensor], Tensor], source: Tensor) -> tuple[Tensor, Tensor]:
    """`function(source)` and its derivative, element by element, apart from training's graph."""
    # A checkpoint counts the tensors that are saved within it, and fails where its recomputation
    # saves others: hooks of our own keep ours from being counted.
    with torch.inference_mode(False), torch.enable_grad(), saved_tensors_hooks(_itself, _itself):
        own = source.detach().clone().requires_grad_()
        value = function(own)
        (slope,) = torch.autograd.grad(value.sum(), own)
    return value.detach(), slope


def _itself(tensor: Tensor) -> Tensor:
    return tensor
