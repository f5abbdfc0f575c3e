"""Invariant Gaussian Attention in its original shape: q·k/√c + pair bias + γ·overlap + offset."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn.functional import softplus

from igaviz.record.families.family import (
    AttentionCall,
    Terms,
    dropouts,
    has_parameter,
    has_parts,
    heads_first,
    maps_of,
    parameter,
    per_head,
    scalar_logits,
    terms_among_frames,
)

_GAMMA = ("geo_scale", "head_weights")


class GaussianAttention:
    """Layers with `linear_q`, `linear_k`, perhaps `linear_b`, and `geo_scale` or `head_weights`.

    Unlike invariant point attention they have no query points, and nothing scales q·k but 1/√c.
    """

    name = "invariant Gaussian attention"

    def recognises(self, module: nn.Module) -> bool:
        """Whether `module` has the parts and the weights, and no query points."""
        return (
            has_parts(module, "linear_q", "linear_k")
            and not has_parts(module, "linear_q_points")
            and any(has_parameter(module, name) for name in _GAMMA)
        )

    def parts(self, module: nn.Module) -> Mapping[str, nn.Module]:
        """The linear layers of q, k and, where there is one, the pair bias; dropouts."""
        names = ["linear_q", "linear_k"] + ["linear_b"] * has_parts(module, "linear_b")
        return {name: getattr(module, name) for name in names} | dropouts(module)

    def gamma_source(self, module: nn.Module) -> Tensor:
        """`geo_scale`, else `head_weights`."""
        return parameter(module, next(name for name in _GAMMA if has_parameter(module, name)))

    def gamma(self, module: nn.Module, source: Tensor) -> Tensor:
        """softplus(source)."""
        return softplus(source.float()).reshape(-1)

    def terms(self, module: nn.Module, call: AttentionCall) -> Terms:
        """q·k and the pair bias from the linear layers, geometry as what is left of the logits."""
        logits, _ = maps_of(call)
        batch, heads = logits.shape[:-3], logits.shape[-3]
        q = per_head(call.output("linear_q"), heads, batch)
        k = per_head(call.output("linear_k"), heads, batch)
        logits_before = scalar_logits(q, k, 1 / math.sqrt(q.shape[-1]))
        pair_bias = None
        if "linear_b" in call.outputs:
            pair_bias = heads_first(call.output("linear_b"), batch)
            logits_before = logits_before + pair_bias
        return terms_among_frames(module, call, logits_before, pair_bias)
