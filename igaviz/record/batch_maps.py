"""A batch's maps as the formulas take them: padding and bad rows out of the way, pairs classed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from igaviz.metrics.table import LONG_RANGE, OFFSET_LIMIT


@dataclass(frozen=True)
class BatchMaps:
    """S, G, A [B, H, N, N] float32 and the tables of their pairs.

    `keys` [B, H, N, N] are those that count in their row, `left_out` the others: there all terms
    are 0. `rows` [B, H, N] are those that count, `n_rows` [B, H] how many they are, `n_keys`
    [B, H, N] float64 how many keys each has. `addends` are S and G beside each other, [0-2, B, H,
    N, N], for what is computed of both. Tables of pairs are [B, 1, N, N], and False for padding.
    `n_residues` is [B, 1].
    """

    logits: Tensor | None
    bias: Tensor | None
    attention: Tensor | None
    addends: Tensor
    keys: Tensor
    left_out: Tensor
    rows: Tensor
    n_rows: Tensor
    n_keys: Tensor
    n_residues: Tensor
    distance: Tensor
    others: Tensor
    local: Tensor
    known: Tensor
    longrange: Tensor
    offsets: Tensor


class Terms(NamedTuple):
    """What a layer gave of S, G and A, [B, H, N, N] float32 with the sign that geometry has."""

    logits: Tensor | None
    bias: Tensor | None
    attention: Tensor | None


class Residues(NamedTuple):
    """The residues of a batch: `x` [B, N, 3] float64 in Å, the others [B, N].

    What isn't `valid` is padding. Without `number`, valid residues are numbered as they come.
    """

    x: Tensor
    valid: Tensor | None
    number: Tensor | None
    chain: Tensor | None


def some_of(terms: Terms, residues: Residues, items: slice) -> tuple[Terms, Residues]:
    """Those of some items of the batch."""
    valid, number, chain = (None if t is None else t[items] for t in residues[1:])
    return (
        Terms(*(None if term is None else term[items] for term in terms)),
        Residues(residues.x[items], valid, number, chain),
    )


def without_padding(terms: Terms, residues: Residues) -> tuple[Terms, Residues]:
    """Those of a batch of one item, cut to its valid residues; uncut where there is none."""
    x, valid, number, chain = residues
    if valid is None or valid.all() or not valid.any():
        return terms, residues
    keep = valid[0].nonzero().squeeze(-1)
    number, chain = (None if t is None else t[:, keep] for t in (number, chain))
    return (
        Terms(*(None if term is None else term[..., keep[:, None], keep] for term in terms)),
        Residues(x[:, keep], None, number, chain),
    )


def batch_maps(terms: Terms, residues: Residues, radius: float) -> tuple[BatchMaps, Tensor]:
    """The maps with the tables of their pairs, and [B, H] how many numbers aren't finite.

    Attention that is missing is derived, and doesn't count among those numbers.
    """
    valid = residues.valid
    pairs = None if valid is None else (valid[:, :, None] & valid[:, None, :])[:, None]
    padding = None if pairs is None else ~pairs
    recorded = terms.attention is not None
    S, G, A = terms
    if A is None and S is not None and G is not None:
        A = _derived(S + G, padding)
    given = [term for term in (S, G, A) if term is not None]
    stacked = torch.stack(given)  # and so it may be written to
    masked = torch.zeros_like(given[0], dtype=torch.bool)
    if S is not None:
        masked = S.isneginf() & (A == 0) if A is not None and recorded else S.isneginf()
    if padding is not None:
        masked |= padding
        stacked.masked_fill_(padding, 0.0)
    if S is not None:
        stacked[0].masked_fill_(masked, 0.0)
    broken = (~are_finite(stacked)).sum(-1)
    rows = ~(masked.all(-1) | broken.any(0))
    keys = rows[..., None] & ~masked
    left_out = ~keys
    stacked.masked_fill_(left_out, 0.0)
    left = iter(stacked)
    n = stacked.shape[-1]
    maps = BatchMaps(
        logits=None if S is None else next(left),
        bias=None if G is None else next(left),
        attention=None if A is None else next(left),
        addends=stacked if A is None else stacked[:-1],
        keys=keys,
        left_out=left_out,
        rows=rows,
        n_rows=rows.sum(-1),
        n_keys=keys.sum(-1, dtype=torch.float64),
        n_residues=torch.full_like(rows[:, :1, 0], n, dtype=torch.int64)
        if valid is None
        else valid.sum(-1, keepdim=True),
        **_tables(residues, pairs, radius),
    )
    counted = broken if recorded or A is None else broken[:-1]
    return maps, counted.sum((0, -1), dtype=torch.float64)


def are_finite(values: Tensor) -> Tensor:
    """Where they are; half the operations of `isfinite`."""
    return values.abs() < math.inf


def _derived(logits: Tensor, padding: Tensor | None) -> Tensor:
    """Attention from the logits after the bias; to padding none is given."""
    if padding is not None:
        logits = logits.masked_fill(padding, -math.inf)
    return torch.softmax(logits, dim=-1)


def _tables(residues: Residues, pairs: Tensor | None, radius: float) -> dict[str, Tensor]:
    """What all heads share, [B, 1, N, N]."""
    x, valid, number, chain = residues
    n_items, n = x.shape[:2]
    distance = (x[:, :, None] - x[:, None, :]).square().sum(-1).sqrt().float()
    distance.diagonal(dim1=-2, dim2=-1).zero_()
    others = ~torch.eye(n, dtype=torch.bool, device=x.device).expand(n_items, n, n)
    if pairs is not None:
        others = others & pairs[:, 0]
    if number is None:
        as_they_come = torch.ones_like(x[..., 0], dtype=torch.bool) if valid is None else valid
        number = as_they_come.cumsum(-1)
    chain = torch.zeros_like(number) if chain is None else chain
    apart = number[:, None, :] - number[:, :, None]
    same_chain = chain[:, :, None] == chain[:, None, :]
    offsets = apart.clamp(-OFFSET_LIMIT, OFFSET_LIMIT) + OFFSET_LIMIT
    tables = {
        "distance": distance,
        "others": others,
        "local": others & (distance < radius),
        "known": others & (distance < math.inf),
        "longrange": others & ((apart.abs() >= LONG_RANGE) | ~same_chain),
        "offsets": torch.where(same_chain, offsets, 2 * OFFSET_LIMIT + 1),
    }
    return {name: table[:, None] for name, table in tables.items()}
