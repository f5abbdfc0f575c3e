"""The per-head numbers of a step in torch: the twin of `igaviz.metrics.measure` for training.

One definition, two implementations: a test holds both to the same values. What only readers give
(contact precision, trends, mean distance) is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from igaviz.defaults import LOCAL_RADIUS
from igaviz.format import ANGSTROM_PER_UNIT
from igaviz.metrics.resolution import DIGITS
from igaviz.metrics.table import (
    BIN_LIMIT,
    BIN_PAIRS,
    FLAT_STD,
    LARGEST,
    METRICS,
    NEAR_KEYS,
    NEAR_RADIUS,
    OF_ONE_RESIDUE,
    OFFSET_LIMIT,
    RANGE_START,
    SATURATED,
    SUMMED,
)
from igaviz.record.batch_maps import (
    BatchMaps,
    Residues,
    Terms,
    batch_maps,
    some_of,
    without_padding,
)

READERS_ONLY = frozenset(
    {"contact_precision", "contact_lift", "bias_trend", "attention_trend", "mean_distance"}
)
NAMES = tuple(metric.name for metric in METRICS if metric.name not in READERS_ONLY)

_NAN = math.nan

_AT_ONCE = 1 << 22
"""How many weights [B, H, N, N] a device is given at once, or one item: large operations take it
less time than many small ones. Some 60 bytes of its memory are taken for each."""

_ONE_BY_ONE = frozenset({"cpu"})
"""Where time goes by the number of weights, items are measured alone and without padding."""


def head_numbers(
    *,
    ca: Tensor,
    length_unit: str,
    valid: Tensor | None = None,
    logits_before: Tensor | None = None,
    geo_bias: Tensor | None = None,
    attention: Tensor | None = None,
    gamma: Tensor | None = None,
    geo_bias_sign: int = 1,
    residue_index: Tensor | None = None,
    chain_index: Tensor | None = None,
    radius: float = LOCAL_RADIUS,
) -> Tensor:
    """The metrics of a batch, [B, metrics of `NAMES`, H] float64 on its device; NaN for no value.

    Terms are [B, H, N, N], `ca` [B, N, 3] in `length_unit`, `radius` in Å, `gamma` [H]. `valid`,
    `residue_index` and `chain_index` are [B, N]; what isn't `valid` counts for nothing, whatever it
    holds. Without `residue_index` valid residues are numbered as they come. Missing attention is
    derived. Nothing waits for the device.
    """
    terms = Terms(logits_before, geo_bias, attention)
    x = ca.detach().double() * ANGSTROM_PER_UNIT[length_unit]
    residues = Residues(x, valid, residue_index, chain_index)
    found = []
    for some, theirs in _parts(terms, residues):
        S, G, A = (None if term is None else term.detach().float() for term in some)
        G = G if G is None or geo_bias_sign > 0 else -G
        maps, nonfinite = batch_maps(Terms(S, G, A), theirs, radius)
        found.append(_measure(maps, nonfinite, gamma, recorded=A is not None))
    return torch.cat(found)


def _parts(terms: Terms, residues: Residues) -> Iterator[tuple[Terms, Residues]]:
    """The batch in parts that are measured at once."""
    first = next(term for term in terms if term is not None)
    n_items, n_heads, n = first.shape[:3]
    one_by_one = first.device.type in _ONE_BY_ONE
    together = 1 if one_by_one else max(1, _AT_ONCE // (n_heads * n * n))
    for start in range(0, n_items, together):
        part = some_of(terms, residues, slice(start, start + together))
        yield without_padding(*part) if one_by_one else part


def _measure(maps: BatchMaps, nonfinite: Tensor, gamma: Tensor | None, *, recorded: bool) -> Tensor:
    """[B, metrics of `NAMES`, H]."""
    no_value = torch.full_like(nonfinite, _NAN)
    found = dict.fromkeys(NAMES, no_value)
    if gamma is not None:
        found["gamma"] = gamma.detach().double().expand_as(nonfinite)
        nonfinite = nonfinite + (~found["gamma"].isfinite()).double()
    found["nonfinite"] = nonfinite
    found |= _of_bias(maps) | _of_logits(maps) | _of_attention(maps)
    if recorded and maps.attention is not None:
        found["row_sum_error"] = _largest(maps, (maps.attention.double().sum(-1) - 1).abs())
        if maps.logits is not None and maps.bias is not None:
            replayed = torch.softmax(maps.logits + maps.bias, dim=-1)
            found["replay_error"] = _largest(maps, (maps.attention - replayed).abs().amax(-1))
    several = maps.n_residues > 1
    return torch.stack(
        [
            found[name] if name in OF_ONE_RESIDUE else found[name].where(several, _NAN)
            for name in NAMES
        ],
        dim=1,
    )


def merge_items(stacked: Tensor) -> dict[str, list[float | None]]:
    """The numbers of a batch, per metric a list over heads; None where no item has a value.

    `stacked` is what `head_numbers` gave, on the host. Means are averaged over the items that have
    one, extremes take the largest, `nonfinite` the sum.
    """
    stacked = torch.where(stacked.isfinite(), stacked, _NAN)
    merged: dict[str, list[float | None]] = {}
    for position, name in enumerate(NAMES):
        values = stacked[:, position]
        if name in LARGEST:
            whole = torch.where(values.isnan(), -math.inf, values).amax(0)
        elif name in SUMMED:
            whole = values.nansum(0)
        else:
            whole = values.nanmean(0)
        merged[name] = [finite(value) for value in whole.tolist()]
    return merged


def finite(value: float) -> float | None:
    """`value` to `DIGITS` digits, None where it isn't finite.

    More than float32 sums are good for, and a third of the bytes of all digits.
    """
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def _mean(maps: BatchMaps, per_row: Tensor) -> Tensor:
    return per_row.double().where(maps.rows, 0.0).sum(-1) / maps.rows.sum(-1)


def _largest(maps: BatchMaps, per_row: Tensor) -> Tensor:
    largest = per_row.double().where(maps.rows, -math.inf).amax(-1)
    return largest.where(largest.isfinite(), _NAN)


def _median(per_row: Tensor) -> Tensor:
    """The median over [B, H, N] rows, NaN left out; the mean of the middle two where even."""
    return per_row.nanquantile(0.5, dim=-1)


def _row_stds(values: Tensor, keys: Tensor) -> Tensor:
    """[B, H, N]: the standard deviation of each row over `keys` [B, H, N, N]."""
    count = keys.sum(-1).double()
    chosen = values.double().where(keys, 0.0)
    mean = chosen.sum(-1) / count
    return ((chosen - mean[..., None]).where(keys, 0.0).square().sum(-1) / count).sqrt()


def _stds(maps: BatchMaps, values: Tensor) -> tuple[Tensor, Tensor]:
    """[B, H, N]: standard deviations over all keys, and over near ones; NaN where left out."""
    near = maps.keys & (maps.distance < NEAR_RADIUS)
    whole = _row_stds(values, maps.keys).where(maps.rows, _NAN)
    enough = maps.rows & (near.sum(-1) >= NEAR_KEYS)
    return whole, _row_stds(values, near).where(enough, _NAN)


def _of_bias(maps: BatchMaps) -> dict[str, Tensor]:
    G = maps.bias
    if G is None:
        return {}
    pairs = maps.keys & maps.others
    count = pairs.sum((-2, -1)).double()
    values = G.double().where(pairs, 0.0)
    mean = values.sum((-2, -1)) / count
    squares = (values - mean[..., None, None]).where(pairs, 0.0).square().sum((-2, -1))
    whole, near = _stds(maps, G)
    found = {
        "geo_bias_mean": mean,
        "geo_bias_std": (squares / count).sqrt(),
        "geo_bias_absmax": values.abs().amax((-2, -1)).where(count > 0, _NAN),
        "geo_bias_std_near": _median(near),
        "geo_range": _range(maps, G),
    }
    local = maps.local & maps.keys
    row_mean = G.double().where(maps.keys, 0.0).sum(-1) / maps.keys.sum(-1)
    shift = (G.double() - row_mean[..., None]).where(local, 0.0).sum((-2, -1))
    found["neighbour_shift"] = shift / local.sum((-2, -1))
    if maps.logits is not None:
        content, content_near = _stds(maps, maps.logits)
        found["geometry_ratio"] = _median((whole / content).where(content >= FLAT_STD, _NAN))
        near_ratio = (near / content_near).where(content_near >= FLAT_STD, _NAN)
        found["geometry_ratio_near"] = _median(near_ratio)
    return found


def _range(maps: BatchMaps, G: Tensor) -> Tensor:
    """[B, H]: where mean bias by bins of 1 Å has fallen 1 nat below its first bin from 3 Å on."""
    binned = maps.known & (maps.distance < BIN_LIMIT)
    bins = maps.distance.where(binned, 0.0).long()
    counted = binned & maps.keys
    sums = _class_sums(G.double().where(counted, 0.0), bins, BIN_LIMIT)
    counts = _class_sums(counted.double(), bins, BIN_LIMIT)
    places = torch.arange(BIN_LIMIT, device=G.device)
    full = (counts >= BIN_PAIRS) & (places >= RANGE_START)
    means = sums / counts
    first = full.double().argmax(-1, keepdim=True)
    level = means.gather(-1, first) - 1.0
    fallen = full & (means <= level)
    after = fallen.double().argmax(-1, keepdim=True)
    before = (places * (full & (places < after))).amax(-1, keepdim=True)
    high, low = means.gather(-1, before), means.gather(-1, after)
    reached = before + 0.5 + (high - level) / (high - low) * (after - before)
    return reached.squeeze(-1).where(fallen.any(-1), _NAN)


def _class_sums(values: Tensor, classes: Tensor, n_classes: int) -> Tensor:
    """[B, H, classes]: sums of `values` [B, H, N, N] by the classes [B, 1, N, N] of their pairs."""
    n_items, n_heads = values.shape[:2]
    of_items = n_classes * torch.arange(n_items, device=values.device)[:, None, None, None]
    zeros = values.new_zeros(n_heads, n_items * n_classes)
    sums = zeros.index_add(1, (classes + of_items).flatten(), values.transpose(0, 1).flatten(1))
    return sums.view(n_heads, n_items, n_classes).transpose(0, 1)


def _of_logits(maps: BatchMaps) -> dict[str, Tensor]:
    S = maps.logits
    if S is None:
        return {}
    mean = S.double().where(maps.keys, 0.0).sum(-1) / maps.keys.sum(-1)
    centred = (S.double() - mean[..., None]).where(maps.keys, 0.0)
    n_classes = 2 * OFFSET_LIMIT + 2
    sums = _class_sums(centred, maps.offsets, n_classes)
    counts = _class_sums(maps.keys.double(), maps.offsets, n_classes)
    explained = (sums.square() / counts.clamp(min=1)).sum(-1)
    variance = centred.square().sum((-2, -1))
    blind = torch.softmax(S, dim=-1)
    return {
        "sequence_share": (explained / variance).where(variance > 0, _NAN),
        "content_saturation": _mean(maps, blind.amax(-1) > SATURATED),
    }


def _of_attention(maps: BatchMaps) -> dict[str, Tensor]:
    A = maps.attention
    if A is None:
        return {}
    local, distant = _group_sums(maps, A, maps.known)
    n_local, n_distant = _group_sums(maps, torch.ones_like(A), maps.known)
    local_attn, global_attn = local / n_local, distant / n_distant
    entropy = _mean(maps, -(A * A.clamp(min=torch.finfo(A.dtype).tiny).log()).double().sum(-1))
    columns = A.double().where(maps.rows[..., None], 0.0).sum(-2)
    enriched = {
        "local": _enrichment(maps, A, maps.known),
        "longrange": _enrichment(maps, A, maps.known & maps.longrange),
    }
    found = {
        "local_attn": local_attn,
        "global_attn": global_attn,
        "local_global_ratio": (local_attn / global_attn).where(global_attn != 0, _NAN),
        "local_mass": (local / maps.rows.sum(-1)).where(n_local > 0, _NAN),
        "local_enrichment": enriched["local"],
        "longrange_enrichment": enriched["longrange"],
        "self_mass": _mean(maps, A.diagonal(dim1=-2, dim2=-1)),
        "saturation": _mean(maps, A.amax(-1) > SATURATED),
        "sink": columns.amax(-1) / maps.rows.sum(-1),
        "entropy": entropy,
        "uniform_kl": maps.n_residues.double().log() - entropy,
    }
    if maps.logits is not None:
        blind = torch.softmax(maps.logits, dim=-1)
        found["geometry_effect"] = _mean(maps, 0.5 * (A - blind).abs().double().sum(-1))
        gain = enriched["local"] / _enrichment(maps, blind, maps.known)
        found["local_gain"] = gain.where(gain.isfinite(), _NAN)
        gain = enriched["longrange"] / _enrichment(maps, blind, maps.known & maps.longrange)
        found["longrange_gain"] = gain.where(gain.isfinite(), _NAN)
    if maps.bias is not None:
        alone = torch.softmax(maps.bias, dim=-1)
        found["content_effect"] = _mean(maps, 0.5 * (A - alone).abs().double().sum(-1))
    return found


def _group_sums(maps: BatchMaps, values: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor]:
    """[B, H]: sums over the local and over the global ones of `pairs` [B, 1, N, N]."""
    rows = maps.rows[..., None]
    local = values.double().where(rows & pairs & maps.local, 0.0).sum((-2, -1))
    distant = values.double().where(rows & pairs & ~maps.local, 0.0).sum((-2, -1))
    return local, distant


def _enrichment(maps: BatchMaps, weights: Tensor, pairs: Tensor) -> Tensor:
    local, distant = _group_sums(maps, weights, pairs)
    n_local, n_distant = _group_sums(maps, torch.ones_like(weights), pairs)
    share = local / (local + distant) / (n_local / (n_local + n_distant))
    return share.where((n_local > 0) & (n_distant > 0), _NAN)
