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

_POINTS_OF_A_LAYER = ("no_qk_points", "num_qk_points")


class InvariantPointAttention:
    """Layers with `linear_q`, `linear_kv` or `linear_k`, `linear_q_points` and `head_weights`.

    And a known number of query points, on which γ depends.
    """

    name = "invariant point attention"

    def recognises(self, module: nn.Module) -> bool:
        """Whether `module` has the parts and the weights, and its query points are known."""
        keys = has_parts(module, "linear_kv") or has_parts(module, "linear_k")
        others = has_parts(module, "linear_q", "linear_q_points", "linear_b")
        if not (keys and others and has_parameter(module, "head_weights")):
            return False
        return _query_points(module) is not None

    def parts(self, module: nn.Module) -> Mapping[str, nn.Module]:
        """The linear layers of q, k and the pair bias; dropouts."""
        keys = "linear_kv" if has_parts(module, "linear_kv") else "linear_k"
        names = ("linear_q", keys, "linear_b")
        return {name: getattr(module, name) for name in names} | dropouts(module)

    def gamma_source(self, module: nn.Module) -> Tensor:
        """`head_weights`."""
        return parameter(module, "head_weights")

    def gamma(self, module: nn.Module, source: Tensor) -> Tensor:
        """softplus(head_weights) √(1/(3 P 9/2)) for P query points."""
        points = _query_points(module)
        assert points is not None, "it was recognised"
        scale = math.sqrt(1 / (3 * points * 9 / 2))
        return softplus(source.float()).reshape(-1) * scale

    def terms(self, module: nn.Module, call: AttentionCall) -> Terms:
        """q·k and the pair bias from the linear layers, geometry as what is left of the logits."""
        logits, _ = maps_of(call)
        batch, heads = logits.shape[:-3], logits.shape[-3]
        q = per_head(call.output("linear_q"), heads, batch)
        c = q.shape[-1]
        # A layer of keys and values gives each head its keys first.
        keys = "linear_kv" if "linear_kv" in call.outputs else "linear_k"
        k = per_head(call.output(keys), heads, batch)[..., :c]
        pair_bias = heads_first(call.output("linear_b"), batch) * math.sqrt(1 / 3)
        logits_before = scalar_logits(q, k, math.sqrt(1 / (3 * c))) + pair_bias
        return terms_among_frames(module, call, logits_before, pair_bias)


def _query_points(module: nn.Module) -> int | None:
    """P, the number of query points of each head; None where neither it nor a shape says so."""
    for name in _POINTS_OF_A_LAYER:
        points = getattr(module, name, None)
        if isinstance(points, int) and points > 0:
            return points
    features = getattr(module.linear_q_points, "out_features", None)
    # Not the shape of head_weights: a rank of a sharded model may have a part of them only.
    heads = getattr(module.linear_b, "out_features", None)
    if not isinstance(features, int) or not isinstance(heads, int) or not heads:
        return None
    # Three coordinates of each point of each head.
    points, left = divmod(features, 3 * heads)
    return points if points and not left else None
