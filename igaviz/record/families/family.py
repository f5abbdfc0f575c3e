"""What a recorder must know of a family of attention layers to read them from outside."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from igaviz.errors import RecordingError

TAP_INSTEAD = "tap(...) in the layer itself records what attach can't recognise"


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
                hint=TAP_INSTEAD,
            )
        return self.arguments[name]

    def output(self, part: str) -> Any:  # noqa: ANN401
        """What `part` returned. Raises `RecordingError` where it wasn't called by then."""
        if part not in self.outputs:
            raise RecordingError(f"its {part} was not called before the softmax", hint=TAP_INSTEAD)
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


def per_head(features: Tensor, heads: int, batch: Sequence[int]) -> Tensor:
    """[*, N, H·c] → [B, N, H, c] float32."""
    whole = one_batch(features, 2, batch).float()
    return whole.reshape(*whole.shape[:2], heads, -1)


def scalar_logits(q: Tensor, k: Tensor, scale: float) -> Tensor:
    """q·k × `scale` [B, H, N, N] of q and k [B, N, H, c]."""
    return torch.einsum("bihc,bjhc->bhij", q, k) * scale


def heads_first(maps: Tensor, batch: Sequence[int]) -> Tensor:
    """[*, N, N, H] → [B, H, N, N] float32."""
    return one_batch(maps, 3, batch).float().movedim(-1, 1)


def one_batch(tensor: Tensor, axes: int, batch: Sequence[int]) -> Tensor:
    """[*, …] → [B, …], where … are the last `axes` axes, and * is `batch` or broadcasts to it.

    B is 1 where `batch` has no axes. Raises `RecordingError` where * doesn't fit.
    """
    last = tensor.shape[tensor.ndim - axes :]
    try:
        whole = tensor.detach().expand(*batch, *last)
    except RuntimeError:
        raise RecordingError(
            f"a tensor of shape {tuple(tensor.shape)} doesn't fit its batch, {tuple(batch)}",
            hint=TAP_INSTEAD,
        ) from None
    return whole.reshape(math.prod(batch), *last)


def unfolded(maps: Tensor, heads: int) -> Tensor:
    """[B·H, N, N] → [B, H, N, N]."""
    return maps.detach().reshape(-1, heads, *maps.shape[-2:])


def maps_of(call: AttentionCall) -> tuple[Tensor, Tensor]:
    """The logits and the weights [*, H, N, N] of a layer that keeps heads first, or last."""
    if call.axis == -2:  # [*, N, N, H]
        return call.logits.movedim(-1, -3), call.weights.movedim(-1, -3)
    return call.logits, call.weights


def terms_among_frames(
    module: nn.Module, call: AttentionCall, logits_before: Tensor, pair_bias: Tensor | None
) -> Terms:
    """The terms of a layer over rigid frames: geometry is what is left of its logits.

    Raises `RecordingError` where more than geometry and `mask` is left: a mask of another name, a
    dropout of the logits.
    """
    _refuse_other_masks(call)
    _refuse_dropped_logits(module, call)
    logits, weights = maps_of(call)
    batch = logits.shape[:-3]
    mask = call.arguments.get("mask")
    return Terms(
        logits_before=logits_before,
        geo_bias=one_batch(logits, 3, batch).float() - logits_before,
        attention=one_batch(weights, 3, batch),
        ca=one_batch(coordinates(frames_of(call)), 2, batch),
        mask=None if mask is None else one_batch(mask, 1, batch),
        pair_bias=pair_bias,
    )


def frames_of(call: AttentionCall) -> Any:  # noqa: ANN401 (rigid transformations of several makes)
    """The argument `r` of the layer, or the first that holds translations."""
    named = call.arguments.get("r")
    if named is not None:
        return named
    frames = (value for value in call.arguments.values() if _translation(value) is not None)
    return next(frames, None)


def coordinates(frames: Any) -> Tensor:  # noqa: ANN401 (rigid transformations of several makes)
    """The translations [*, N, 3] of rigid transformations. Raises `RecordingError`."""
    found = _translation(frames)
    if found is None:
        raise RecordingError(
            f"its frames, {type(frames).__name__}, have neither get_trans() nor a translation",
            hint=TAP_INSTEAD,
        )
    return found


def _translation(frames: Any) -> Tensor | None:  # noqa: ANN401
    get_trans = getattr(frames, "get_trans", None)
    found = getattr(frames, "translation", None) if get_trans is None else get_trans()
    to_tensor = getattr(found, "to_tensor", None)  # a vector of three coordinates
    found = found if to_tensor is None else to_tensor()
    return found if isinstance(found, Tensor) else None


def dropouts(module: nn.Module) -> dict[str, nn.Module]:
    """The children of `module` that drop, by name: `terms_among_frames` asks what they returned."""
    return {
        name: child
        for name, child in module.named_children()
        if isinstance(child, nn.Dropout) and child.p > 0
    }


def _refuse_dropped_logits(module: nn.Module, call: AttentionCall) -> None:
    for name, child in dropouts(module).items():
        output = call.outputs.get(name)
        if child.training and output is not None and output.shape == call.logits.shape:
            raise RecordingError(
                f"its {name} drops logits, so that geometry can't be told from what was dropped",
                hint="record it in eval mode (a probe, steps of evaluation), or tap(...) in it",
            )


def _refuse_other_masks(call: AttentionCall) -> None:
    for name, value in call.arguments.items():
        if "mask" in name and name != "mask" and isinstance(value, Tensor):
            raise RecordingError(
                f"it was given {name}, and what that masks can't be told from geometry",
                hint=TAP_INSTEAD,
            )


def parameter(module: nn.Module, name: str) -> Tensor:
    """The parameter `name` of `module`, which `has_parameter`."""
    value: Tensor = getattr(module, name)
    return value
