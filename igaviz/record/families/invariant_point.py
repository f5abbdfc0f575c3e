"""Invariant Point Attention as OpenFold writes it, and what descends from it.

Jumper et al. 2021, supplement, algorithm 22: logits = √(1/3) (q·k/√c + b) − γ/2 Σ_p |Tq_p − Tk_p|².
The same layer, by other names and in other places, is in FrameDiff, FrameFlow, MultiFlow and
ESMFold; the multimer variant keeps heads last and has q, k and v apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn.functional import softplus

from igaviz.errors import RecordingError
from igaviz.record.families.family import (
    AttentionCall,
    Terms,
    coordinates,
    has_parameter,
    has_parts,
    heads_first,
    one_batch,
    parameter,
    per_head,
    remainder,
    scalar_logits,
)

_POINTS_OF_A_LAYER = ("no_qk_points", "num_qk_points")


class InvariantPointAttention:
    """Layers with `linear_q`, `linear_kv` or `linear_k`, `linear_q_points` and `head_weights`."""

    name = "invariant point attention"

    def recognises(self, module: nn.Module) -> bool:
        """Whether `module` has the parts and the weights."""
        keys = has_parts(module, "linear_kv") or has_parts(module, "linear_k")
        others = has_parts(module, "linear_q", "linear_q_points", "linear_b")
        return keys and others and has_parameter(module, "head_weights")

    def parts(self, module: nn.Module) -> Mapping[str, nn.Module]:
        """The linear layers of q, k and the pair bias."""
        keys = "linear_kv" if has_parts(module, "linear_kv") else "linear_k"
        return {name: getattr(module, name) for name in ("linear_q", keys, "linear_b")}

    def gamma_source(self, module: nn.Module) -> Tensor:
        """`head_weights`."""
        return parameter(module, "head_weights")

    def gamma(self, module: nn.Module, source: Tensor) -> Tensor:
        """softplus(head_weights) √(1/(3 P 9/2)) for P query points."""
        return softplus(source.float()) * math.sqrt(1 / (3 * _query_points(module) * 9 / 2))

    def terms(self, module: nn.Module, call: AttentionCall) -> Terms:
        """q·k and the pair bias from the linear layers, geometry as what is left of the logits."""
        heads = self.gamma_source(module).numel()
        q = per_head(call.output("linear_q"), heads)
        c = q.shape[-1]
        if "linear_kv" in call.outputs:
            k = per_head(call.output("linear_kv"), heads)[..., :c]
        else:
            k = per_head(call.output("linear_k"), heads)
        pair_bias = heads_first(call.output("linear_b")) * math.sqrt(1 / 3)
        logits_before = scalar_logits(q, k, math.sqrt(1 / (3 * c))) + pair_bias
        logits, weights = call.logits, call.weights
        if call.axis == -2:  # [*, N, N, H]
            logits, weights = logits.movedim(-1, -3), weights.movedim(-1, -3)
        return Terms(
            logits_before=logits_before,
            geo_bias=remainder(logits, logits_before),
            attention=one_batch(weights, 3),
            ca=one_batch(coordinates(call.argument("r")), 2),
            mask=one_batch(call.argument("mask"), 1),
            pair_bias=pair_bias,
        )


def _query_points(module: nn.Module) -> int:
    """P, the number of query points of each head."""
    for name in _POINTS_OF_A_LAYER:
        points = getattr(module, name, None)
        if isinstance(points, int) and points > 0:
            return points
    raise RecordingError(
        f"it says neither {' nor '.join(_POINTS_OF_A_LAYER)}, the number of its query points",
        hint="tap(...) in the layer itself records what attach can't recognise",
    )
