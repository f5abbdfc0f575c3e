"""The per-head numbers of a step in torch: the twin of `igaviz.metrics.measure` for training.

One definition, two implementations: a test holds both to the same values. What only readers give
(contact precision, trends, mean distance) is left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from igaviz.format import ANGSTROM_PER_UNIT
from igaviz.metrics.table import (
    BIN_LIMIT,
    BIN_PAIRS,
    FLAT_STD,
    LOCAL_RADIUS,
    LONG_RANGE,
    METRICS,
    NEAR_KEYS,
    NEAR_RADIUS,
    OFFSET_LIMIT,
    RANGE_START,
    SATURATED,
)

READERS_ONLY = frozenset(
    {"contact_precision", "contact_lift", "bias_trend", "attention_trend", "mean_distance"}
)
NAMES = tuple(metric.name for metric in METRICS if metric.name not in READERS_ONLY)

LARGEST = frozenset({"geo_bias_absmax", "sink", "row_sum_error", "replay_error"})
_SUMMED = frozenset({"nonfinite"})
_OF_ONE_RESIDUE = frozenset({"gamma", "self_mass", "entropy", "row_sum_error", "nonfinite"})
_NAN = math.nan


@dataclass(frozen=True)
class _Item:
    """One batch item: S, G, A [H, N, N] float32 with bad rows set to 0, and its pair tables."""

    logits: Tensor | None
    bias: Tensor | None
    attention: Tensor | None
    masked: Tensor
    rows: Tensor
    distance: Tensor
    local: Tensor
    known: Tensor
    longrange: Tensor
    offsets: Tensor


def head_numbers(
    *,
    ca: Tensor,
    length_unit: str,
    logits_before: Tensor | None = None,
    geo_bias: Tensor | None = None,
    attention: Tensor | None = None,
    gamma: Tensor | None = None,
    geo_bias_sign: int = 1,
    residue_index: Tensor | None = None,
    chain_index: Tensor | None = None,
    radius: float = LOCAL_RADIUS,
) -> dict[str, Tensor]:
    """The metrics of one batch item, each [H] float64 on the tensors' device; NaN for no value.

    Terms are [H, N, N], `gamma` [H], `ca` [N, 3] in `length_unit`, `radius` in Å; only valid
    residues. Missing attention is derived. Nothing waits for the device.
    """
    terms = [
        None if t is None else t.detach().float() for t in (logits_before, geo_bias, attention)
    ]
    first = next(term for term in terms if term is not None)
    n_heads, n = first.shape[:2]
    S, G, A = terms
    if G is not None and geo_bias_sign < 0:
        G = -G
    recorded = A is not None
    if A is None and S is not None and G is not None:
        A = torch.softmax(S + G, dim=-1)
    item, nonfinite = _item(S, G, A, recorded, ca, length_unit, residue_index, chain_index, radius)
    no_value = torch.full((n_heads,), _NAN, dtype=torch.float64, device=first.device)
    found = dict.fromkeys(NAMES, no_value)
    if gamma is not None:
        found["gamma"] = gamma.detach().double().expand(n_heads)
        nonfinite = nonfinite + (~found["gamma"].isfinite()).double()
    found["nonfinite"] = nonfinite
    found |= _of_bias(item) | _of_logits(item) | _of_attention(item)
    if recorded and item.attention is not None:
        found["row_sum_error"] = _largest(item, (item.attention.double().sum(-1) - 1).abs())
        if item.logits is not None and item.bias is not None:
            replayed = torch.softmax(item.logits + item.bias, dim=-1)
            found["replay_error"] = _largest(item, (item.attention - replayed).abs().amax(-1))
    if n < 2:
        found |= {name: no_value for name in NAMES if name not in _OF_ONE_RESIDUE}
    return found


def stack_items(items: Sequence[dict[str, Tensor]]) -> Tensor:
    """[items, metrics of `NAMES`, H]: the numbers of a batch as one tensor on their device."""
    return torch.stack([torch.stack([item[name] for name in NAMES]) for item in items])


def merge_items(stacked: Tensor) -> dict[str, list[float | None]]:
    """The numbers of a batch, per metric a list over heads; None where no item has a value.

    `stacked` is what `stack_items` gave, on the host. Means are averaged over the items that have
    one, extremes take the largest, `nonfinite` the sum.
    """
    stacked = torch.where(stacked.isfinite(), stacked, _NAN)
    merged: dict[str, list[float | None]] = {}
    for position, name in enumerate(NAMES):
        values = stacked[:, position]
        if name in LARGEST:
            whole = torch.where(values.isnan(), -math.inf, values).amax(0)
        elif name in _SUMMED:
            whole = values.nansum(0)
        else:
            whole = values.nanmean(0)
        merged[name] = [finite(value) for value in whole.tolist()]
    return merged


def finite(value: float) -> float | None:
    """`value` to six digits, None where it isn't finite.

    More than float32 sums are good for, and a third of the bytes of all digits.
    """
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _item(
    S: Tensor | None,
    G: Tensor | None,
    A: Tensor | None,
    recorded: bool,
    ca: Tensor,
    length_unit: str,
    residue_index: Tensor | None,
    chain_index: Tensor | None,
    radius: float,
) -> tuple[_Item, Tensor]:
    first = next(term for term in (S, G, A) if term is not None)
    n_heads, n = first.shape[:2]
    masked = torch.zeros_like(first, dtype=torch.bool)
    if S is not None:
        masked = S.isneginf() if A is None or not recorded else S.isneginf() & (A == 0)
    rows = ~masked.all(-1)
    nonfinite = torch.zeros(n_heads, dtype=torch.float64, device=first.device)
    for term, counted in ((S, True), (G, True), (A, recorded)):
        if term is not None:
            broken = ~term.isfinite() & ~masked if term is S else ~term.isfinite()
            rows = rows & ~broken.any(-1)
            nonfinite = nonfinite + broken.sum((-2, -1)).double() * float(counted)
    keep = rows[..., None]
    S = None if S is None else S.where(keep, 0.0)
    A = None if A is None else A.where(keep, 0.0)
    G = None if G is None else G.where(keep, 0.0).masked_fill(masked & keep, -math.inf)
    x = ca.detach().double() * ANGSTROM_PER_UNIT[length_unit]
    distance = (x[:, None] - x[None, :]).square().sum(-1).sqrt().float()
    others = ~torch.eye(n, dtype=torch.bool, device=x.device)
    number = torch.arange(n, device=x.device) if residue_index is None else residue_index.long()
    chain = torch.zeros_like(number) if chain_index is None else chain_index.to(number.device)
    apart = number[None, :] - number[:, None]
    same_chain = chain[:, None] == chain[None, :]
    offsets = apart.clamp(-OFFSET_LIMIT, OFFSET_LIMIT) + OFFSET_LIMIT
    item = _Item(
        logits=S,
        bias=G,
        attention=A,
        masked=masked & keep,
        rows=rows,
        distance=distance.fill_diagonal_(0.0),
        local=others & (distance < radius),
        known=others & distance.isfinite(),
        longrange=others & ((apart.abs() >= LONG_RANGE) | ~same_chain),
        offsets=torch.where(same_chain, offsets, 2 * OFFSET_LIMIT + 1),
    )
    return item, nonfinite


def _mean(item: _Item, per_row: Tensor) -> Tensor:
    return per_row.double().where(item.rows, 0.0).sum(-1) / item.rows.sum(-1)


def _largest(item: _Item, per_row: Tensor) -> Tensor:
    largest = per_row.double().where(item.rows, -math.inf).amax(-1)
    return largest.where(largest.isfinite(), _NAN)


def _median(per_row: Tensor) -> Tensor:
    """The median over [H, N] rows, NaN left out; the mean of the middle two where even."""
    return per_row.nanquantile(0.5, dim=-1)


def _row_stds(values: Tensor, keys: Tensor) -> Tensor:
    """[H, N]: the standard deviation of each row over `keys` [H, N, N]."""
    count = keys.sum(-1).double()
    chosen = values.double().where(keys, 0.0)
    mean = chosen.sum(-1) / count
    return ((chosen - mean[..., None]).where(keys, 0.0).square().sum(-1) / count).sqrt()


def _stds(item: _Item, values: Tensor) -> tuple[Tensor, Tensor]:
    """[H, N]: standard deviations over all keys, and over near ones; NaN where left out."""
    keys = ~item.masked
    near = keys & (item.distance < NEAR_RADIUS)
    whole = _row_stds(values, keys).where(item.rows, _NAN)
    enough = item.rows & (near.sum(-1) >= NEAR_KEYS)
    return whole, _row_stds(values, near).where(enough, _NAN)


def _of_bias(item: _Item) -> dict[str, Tensor]:
    G = item.bias
    if G is None:
        return {}
    keys = item.rows[..., None] & ~item.masked
    pairs = keys & ~torch.eye(G.shape[-1], dtype=torch.bool, device=G.device)
    count = pairs.sum((-2, -1)).double()
    values = G.double().where(pairs, 0.0)
    mean = values.sum((-2, -1)) / count
    squares = (values - mean[:, None, None]).where(pairs, 0.0).square().sum((-2, -1))
    whole, near = _stds(item, G)
    found = {
        "geo_bias_mean": mean,
        "geo_bias_std": (squares / count).sqrt(),
        "geo_bias_absmax": values.abs().amax((-2, -1)).where(count > 0, _NAN),
        "geo_bias_std_near": _median(near),
        "geo_range": _range(item, G),
    }
    local = item.local & keys
    row_mean = G.double().where(keys, 0.0).sum(-1) / keys.sum(-1)
    shift = (G.double() - row_mean[..., None]).where(local, 0.0).sum((-2, -1))
    found["neighbour_shift"] = shift / local.sum((-2, -1))
    if item.logits is not None:
        content, content_near = _stds(item, item.logits)
        found["geometry_ratio"] = _median((whole / content).where(content >= FLAT_STD, _NAN))
        near_ratio = (near / content_near).where(content_near >= FLAT_STD, _NAN)
        found["geometry_ratio_near"] = _median(near_ratio)
    return found


def _range(item: _Item, G: Tensor) -> Tensor:
    """[H]: where the mean bias by bins of 1 Å has fallen 1 nat below its first bin from 3 Å on."""
    n_heads = G.shape[0]
    binned = item.known & (item.distance < BIN_LIMIT)
    bins = item.distance.where(binned, 0.0).long().flatten()
    counted = binned & item.rows[..., None] & ~item.masked
    zeros = torch.zeros(n_heads, BIN_LIMIT, dtype=torch.float64, device=G.device)
    sums = zeros.index_add(1, bins, G.double().where(counted, 0.0).flatten(1))
    counts = zeros.index_add(1, bins, counted.double().flatten(1))
    places = torch.arange(BIN_LIMIT, device=G.device)
    full = (counts >= BIN_PAIRS) & (places >= RANGE_START)
    means = sums / counts
    first = full.double().argmax(-1, keepdim=True)
    level = means.gather(1, first) - 1.0
    fallen = full & (means <= level)
    after = fallen.double().argmax(-1, keepdim=True)
    before = (places * (full & (places < after))).amax(-1, keepdim=True)
    high, low = means.gather(1, before), means.gather(1, after)
    reached = before + 0.5 + (high - level) / (high - low) * (after - before)
    return reached.squeeze(-1).where(fallen.any(-1), _NAN)


def _of_logits(item: _Item) -> dict[str, Tensor]:
    S = item.logits
    if S is None:
        return {}
    keys = item.rows[..., None] & ~item.masked
    mean = S.double().where(keys, 0.0).sum(-1) / keys.sum(-1)
    centred = (S.double() - mean[..., None]).where(keys, 0.0)
    zeros = torch.zeros(len(S), 2 * OFFSET_LIMIT + 2, dtype=torch.float64, device=S.device)
    classes = item.offsets.flatten()
    sums = zeros.index_add(1, classes, centred.flatten(1))
    counts = zeros.index_add(1, classes, keys.double().flatten(1))
    explained = (sums.square() / counts.clamp(min=1)).sum(-1)
    variance = centred.square().sum((-2, -1))
    blind = torch.softmax(S, dim=-1)
    return {
        "sequence_share": (explained / variance).where(variance > 0, _NAN),
        "content_saturation": _mean(item, blind.amax(-1) > SATURATED),
    }


def _of_attention(item: _Item) -> dict[str, Tensor]:
    A = item.attention
    if A is None:
        return {}
    n = A.shape[-1]
    local, distant = _group_sums(item, A, item.known)
    n_local, n_distant = _group_sums(item, torch.ones_like(A), item.known)
    local_attn, global_attn = local / n_local, distant / n_distant
    entropy = _mean(item, -(A * A.clamp(min=torch.finfo(A.dtype).tiny).log()).double().sum(-1))
    columns = A.double().where(item.rows[..., None], 0.0).sum(-2)
    enriched = {
        "local": _enrichment(item, A, item.known),
        "longrange": _enrichment(item, A, item.known & item.longrange),
    }
    found = {
        "local_attn": local_attn,
        "global_attn": global_attn,
        "local_global_ratio": (local_attn / global_attn).where(global_attn != 0, _NAN),
        "local_mass": (local / item.rows.sum(-1)).where(n_local > 0, _NAN),
        "local_enrichment": enriched["local"],
        "longrange_enrichment": enriched["longrange"],
        "self_mass": _mean(item, A.diagonal(dim1=-2, dim2=-1)),
        "saturation": _mean(item, A.amax(-1) > SATURATED),
        "sink": columns.amax(-1) / item.rows.sum(-1),
        "entropy": entropy,
        "uniform_kl": math.log(n) - entropy,
    }
    if item.logits is not None:
        blind = torch.softmax(item.logits, dim=-1)
        found["geometry_effect"] = _mean(item, 0.5 * (A - blind).abs().double().sum(-1))
        gain = enriched["local"] / _enrichment(item, blind, item.known)
        found["local_gain"] = gain.where(gain.isfinite(), _NAN)
        gain = enriched["longrange"] / _enrichment(item, blind, item.known & item.longrange)
        found["longrange_gain"] = gain.where(gain.isfinite(), _NAN)
    if item.bias is not None:
        alone = torch.softmax(item.bias, dim=-1)
        found["content_effect"] = _mean(item, 0.5 * (A - alone).abs().double().sum(-1))
    return found


def _group_sums(item: _Item, values: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor]:
    """[H]: sums over the local and over the global ones of `pairs` [N, N]."""
    rows = item.rows[..., None]
    local = values.double().where(rows & pairs & item.local, 0.0).sum((-2, -1))
    distant = values.double().where(rows & pairs & ~item.local, 0.0).sum((-2, -1))
    return local, distant


def _enrichment(item: _Item, weights: Tensor, pairs: Tensor) -> Tensor:
    local, distant = _group_sums(item, weights, pairs)
    n_local, n_distant = _group_sums(item, torch.ones_like(weights), pairs)
    share = local / (local + distant) / (n_local / (n_local + n_distant))
    return share.where((n_local > 0) & (n_distant > 0), _NAN)
