"""Invariant Point Attention of the package `invariant-point-attention`: heads in the batch axis."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn.functional import softplus

from igaviz.record.families.family import (
    AttentionCall,
    Terms,
    has_parameter,
    has_parts,
    one_batch,
    parameter,
    per_head,
    scalar_logits,
    unfolded,
)


class FoldedPointAttention:
    """Layers with `to_scalar_q`, `to_scalar_k`, `to_point_q` and `point_weights`.

    Their maps are [B·H, N, N]; their softmax is a method of the logits.
    """

    name = "invariant point attention, heads folded into the batch"

    def recognises(self, module: nn.Module) -> bool:
        """Whether `module` has the parts, the weights and the scales."""
        return (
            has_parts(module, "to_scalar_q", "to_scalar_k", "to_point_q", "to_point_k")
            and has_parameter(module, "point_weights")
            and hasattr(module, "scalar_attn_logits_scale")
            and hasattr(module, "point_attn_logits_scale")
        )

    def parts(self, module: nn.Module) -> Mapping[str, nn.Module]:
        """The linear layers of q, k and, where there is one, the pair bias."""
        names = ["to_scalar_q", "to_scalar_k"]
        names += ["to_pairwise_attn_bias"] * has_parts(module, "to_pairwise_attn_bias")
        return {name: getattr(module, name) for name in names}

    def gamma_source(self, module: nn.Module) -> Tensor:
        """`point_weights`."""
        return parameter(module, "point_weights")

    def gamma(self, module: nn.Module, source: Tensor) -> Tensor:
        """softplus(point_weights) × the scale of the point term."""
        return softplus(source.float()) * _scale(module, "point")

    def terms(self, module: nn.Module, call: AttentionCall) -> Terms:
        """q·k and the pair bias from the linear layers, geometry as what is left of the logits."""
        heads = self.gamma_source(module).numel()
        logits = unfolded(call.logits, heads).float()
        batch = logits.shape[:1]
        q = per_head(call.output("to_scalar_q"), heads, batch)
        k = per_head(call.output("to_scalar_k"), heads, batch)
        logits_before = scalar_logits(q, k, _scale(module, "scalar"))
        pair_bias = None
        if "to_pairwise_attn_bias" in call.outputs:
            pair_bias = unfolded(call.output("to_pairwise_attn_bias"), heads)
            pair_bias = pair_bias.float() * _scale(module, "pairwise")
            logits_before = logits_before + pair_bias
        mask = call.arguments.get("mask")
        return Terms(
            logits_before=logits_before,
            geo_bias=logits - logits_before,
            attention=unfolded(call.weights, heads),
            ca=one_batch(call.argument("translations"), 2, batch),
            mask=None if mask is None else one_batch(mask, 1, batch),
            pair_bias=pair_bias,
        )


def _scale(module: nn.Module, term: str) -> float:
    """What the layer multiplies one of its three terms with."""
    return float(getattr(module, f"{term}_attn_logits_scale"))
