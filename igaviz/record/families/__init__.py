"""Families of attention layers that a recorder reads without a changed line in the model."""

from collections.abc import Iterable

from torch import nn

from igaviz.record.families.family import AttentionCall, Family, Terms
from igaviz.record.families.gaussian import GaussianAttention
from igaviz.record.families.invariant_point import InvariantPointAttention
from igaviz.record.families.lucidrains import FoldedPointAttention

FAMILIES: tuple[Family, ...] = (
    InvariantPointAttention(),
    GaussianAttention(),
    FoldedPointAttention(),
)
"""What `Recorder.attach` knows, in the order in which they are asked."""


def family_of(module: nn.Module, families: Iterable[Family] = FAMILIES) -> Family | None:
    """The first of `families` that recognises `module`, None where none does."""
    return next((family for family in families if family.recognises(module)), None)


__all__ = ["FAMILIES", "AttentionCall", "Family", "Terms", "family_of"]
