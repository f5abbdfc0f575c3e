"""The one line per layer that users know, printed while training and by the reading side."""

from __future__ import annotations


def classic_line(
    layer: int,
    step: int,
    gamma: float | None,
    geo_bias: float | None,
    local_attn: float | None,
    global_attn: float | None,
) -> str:
    """The classic line, letter for letter; `nan` for a number that has no value.

    `gamma` is γ, `geo_bias` the mean of the geometric bias over pairs, `local_attn` and
    `global_attn` the mean attention over local and over global pairs.
    """
    gamma, geo_bias, local_attn, global_attn = (
        float("nan") if value is None else value
        for value in (gamma, geo_bias, local_attn, global_attn)
    )
    return (
        f"[IGA Vis Layer {layer}] Step {step}: γ={gamma:.3f}, geo_bias={geo_bias:.3f}, "
        f"local_attn={local_attn:.4f}, global_attn={global_attn:.4f}"
    )
