"""`tap`: the one line inside an attention layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from igaviz.record import active


def tap(
    *,
    layer: int,
    attention: Tensor | None = None,
    logits_before: Tensor | None = None,
    geo_bias: Tensor | None = None,
    gamma: Tensor | None = None,
    ca: Tensor | None = None,
    mask: Tensor | None = None,
    pair_bias: Tensor | None = None,
    logits_after: Tensor | None = None,
    sigma: Tensor | None = None,
    log_det_min: Tensor | None = None,
    sigma_floor_share: Tensor | None = None,
    geo_bias_sign: int = 1,
    module: nn.Module | str | None = None,
) -> None:
    """Hand what attention is made of to the recorder whose step is open and due.

    Maps (`attention`, `logits_before`, `geo_bias`, `pair_bias`, `logits_after`) are [B, H, N, N]
    with axes query and key, and what is needed is `attention`, or `logits_before` and `geo_bias`.
    `ca` is [B, N, 3] in the recorder's `length_unit`, `mask` [B, N] true for valid residues,
    `gamma` [H], `sigma` [B, N, 3], `log_det_min` and `sigma_floor_share` [B, H]. `geo_bias` is the
    term as it enters the logits, γ and all; `geo_bias_sign=-1` where the layer subtracts it.
    `module` is the layer itself, or its name. Without a due step this does nothing, and costs
    next to nothing; so it does in code that is being compiled, or captured into a CUDA graph.
    Where a checkpoint recomputes the layer, only the gradient of γ is taken.
    """
    # First of all: a global read before this line would be guarded by torch.compile, and each
    # change of it would compile the layer anew.
    if torch.compiler.is_compiling():
        return
    if not active.listeners or active.capturing():
        return
    call = active.TapCall(
        layer=layer,
        attention=attention,
        logits_before=logits_before,
        geo_bias=geo_bias,
        gamma=gamma,
        ca=ca,
        mask=mask,
        pair_bias=pair_bias,
        logits_after=logits_after,
        sigma=sigma,
        log_det_min=log_det_min,
        sigma_floor_share=sigma_floor_share,
        geo_bias_sign=geo_bias_sign,
        module=module,
        recomputed=active.in_backward(),
    )
    for listener in active.listeners:
        listener.take(call)


def recording() -> bool:
    """Whether a `tap` would be heard now: ask before computing what only a recorder needs.

    Compute it without gradients. Where a checkpoint recomputes the layer the answer is that of its
    forward, or the two would differ.
    """
    if torch.compiler.is_compiling():
        return False
    return bool(active.listeners) and not active.capturing()
