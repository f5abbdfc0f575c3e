"""The gradient that reaches γ in the backward pass of a due step."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from igaviz.record.host import HostCopy


class GammaGradient:
    """Listens for the gradient of one layer's γ, until `norm` or `leave`.

    γ is the layer's own tensor, or was computed element by element from the parameter `source`;
    then the gradient of γ is that of `source` divided by dγ/dsource. Loss scaling is in it.
    """

    def __init__(self, gamma: Tensor, source: Tensor | None) -> None:
        self._norm: Tensor | None = None
        self._slope: Tensor | None = None
        watched = gamma if source is None else source
        self._handle: RemovableHandle | None = None
        if not (watched.requires_grad and gamma.requires_grad):  # neither in inference mode
            return
        if source is not None:
            (self._slope,) = torch.autograd.grad(gamma.sum(), source)
        self._handle = watched.register_hook(self._reached)  # type: ignore[no-untyped-call]

    def _reached(self, gradient: Tensor) -> None:
        if self._slope is not None:
            gradient = gradient / self._slope
        self._norm = gradient.detach().float().norm()

    def leave(self) -> None:
        """Stop listening."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    def norm(self) -> HostCopy | None:
        """The Euclidean norm over heads of ∂loss/∂γ; None where no gradient reached it."""
        self.leave()
        return None if self._norm is None else HostCopy(self._norm)
