"""What a recorder must know of a family of attention layers to read them from outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from igaviz.errors import RecordingError


@dataclass(frozen=True, eq=False)
class AttentionCall:
    """One call of an attention layer, at the moment in which its softmax returned.

    `arguments` are those of its `forward` by name, `outputs` what its parts returned, `logits` and
    `weights` what the softmax was given and gave, all as the layer holds them; the softmax ran over
    `axis`, counted from the end: -1 is the last.
    """

    arguments: Mapping[str, Any]
    outputs: Mapping[str, Any]
    logits: Tensor
    weights: Tensor
    axis: int = -1

    def argument(self, name: str) -> Any:  # noqa: ANN401 (whatever the layer is called with)
        """The argument `name`. Raises `RecordingError` where the layer has none of that name."""
        if name not in self.arguments:
            raise RecordingError(
                f"its forward was given no {name!r}, only {', '.join(self.arguments) or 'nothing'}",
                hint="tap(...) in the layer itself records what attach can't recognise",
            )
        return self.arguments[name]

    def output(self, part: str) -> Any:  # noqa: ANN401
        """What `part` returned. Raises `RecordingError` where it wasn't called by then."""
        if part not in self.outputs:
            raise RecordingError(
                f"its {part} was not called before the softmax",
                hint="tap(...) in the layer itself records what attach can't recognise",
            )
        return self.outputs[part]


@dataclass(frozen=True, eq=False)
class Terms:
    """What one call of a layer was made of, as `tap` takes it; maps are [B, H, N, N]."""

    logits_before: Tensor
    geo_bias: Tensor
    attention: Tensor
    ca: Tensor
    mask: Tensor | None = None
    pair_bias: Tensor | None = None


class Family(Protocol):
    """How layers of one structure are read. Has no state: one object serves all of them."""

    name: str
    """What the layers are, for people."""

    def recognises(self, module: nn.Module) -> bool:
        """Whether `module` has the structure of this family, whatever its class is called."""

    def parts(self, module: nn.Module) -> Mapping[str, nn.Module]:
        """The children of `module` whose outputs `terms` asks for, by name."""

    def gamma_source(self, module: nn.Module) -> Tensor:
        """The parameter [H] that γ is made of."""

    def gamma(self, module: nn.Module, source: Tensor) -> Tensor:
        """γ [H], element by element from `source`, as it enters the geometric term."""

    def terms(self, module: nn.Module, call: AttentionCall) -> Terms:
        """What `call` was made of. Raises `RecordingError` where it isn't as expected."""


def has_parts(module: nn.Module, *names: str) -> bool:
    """Whether `module` has children of all these names."""
    return all(isinstance(getattr(module, name, None), nn.Module) for name in names)


def has_parameter(module: nn.Module, name: str) -> bool:
    """Whether `module` has a parameter [H], or [1] and the like, of this name."""
    value = getattr(module, name, None)
    return isinstance(value, Tensor) and value.ndim >= 1


def per_head(features: Tensor, heads: int) -> Tensor:
    """[*, N, H·c] → [B, N, H, c] float32, whatever comes before N."""
    n, width = features.shape[-2:]
    return features.detach().float().reshape(-1, n, heads, width // heads)


def scalar_logits(q: Tensor, k: Tensor, scale: float) -> Tensor:
    """q·k × `scale` [B, H, N, N] of q and k [B, N, H, c]."""
    return torch.einsum("bihc,bjhc->bhij", q, k) * scale


def heads_first(maps: Tensor) -> Tensor:
    """[*, N, N, H] → [B, H, N, N] float32."""
    return one_batch(maps, 3).float().movedim(-1, 1)


def one_batch(tensor: Tensor, axes: int) -> Tensor:
    """[*, …] → [B, …], where … are the last `axes` axes."""
    return tensor.detach().reshape(-1, *tensor.shape[tensor.ndim - axes :])


def coordinates(frames: Any) -> Tensor:  # noqa: ANN401 (rigid transformations of several makes)
    """The translations [*, N, 3] of rigid transformations. Raises `RecordingError`."""
    if hasattr(frames, "get_trans"):
        found = frames.get_trans()
    else:
        found = getattr(frames, "translation", None)
        to_tensor = getattr(found, "to_tensor", None)
        found = found if to_tensor is None else to_tensor()
    if not isinstance(found, Tensor):
        raise RecordingError(
            f"its frames, {type(frames).__name__}, have neither get_trans() nor a translation",
            hint="tap(...) in the layer itself records what attach can't recognise",
        )
    return found


def unfolded(maps: Tensor, heads: int) -> Tensor:
    """[B·H, N, N] → [B, H, N, N]."""
    return maps.detach().reshape(-1, heads, *maps.shape[-2:])


def remainder(logits: Tensor, logits_before: Tensor) -> Tensor:
    """What geometry added: `logits` [*, H, N, N] less all else. Masked pairs hold the mask."""
    return one_batch(logits, 3).float() - logits_before


def parameter(module: nn.Module, name: str) -> Tensor:
    """The parameter `name` of `module`, which `has_parameter`."""
    value: Tensor = getattr(module, name)
    return value
