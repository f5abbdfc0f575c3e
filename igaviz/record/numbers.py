"""The per-head numbers of a step in torch: the twin of `igaviz.metrics.measure` for training.

One definition, two implementations: a test holds both to the same values. What only readers give
(contact precision, trends, mean distance) is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
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
    are_finite,
    batch_maps,
    some_of,
    without_padding,
)
from igaviz.record.tensors import on_device

READERS_ONLY = frozenset(
    {"contact_precision", "contact_lift", "bias_trend", "attention_trend", "mean_distance"}
)
NAMES = tuple(metric.name for metric in METRICS if metric.name not in READERS_ONLY)

_NAN = math.nan

_AT_ONCE = 1 << 22
"""How many weights [B, H, N, N] a device is given at once, or one item: large operations take it
less time than many small ones. Some 50 bytes of its memory are taken for each."""

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
        maps, nonfinite = batch_maps(_as_float(some, geo_bias_sign), theirs, radius)
        found.append(_measure(maps, nonfinite, gamma, recorded=some.attention is not None))
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


def _as_float(terms: Terms, geo_bias_sign: int) -> Terms:
    S, G, A = (None if term is None else term.detach().float() for term in terms)
    return Terms(S, G if G is None or geo_bias_sign > 0 else -G, A)


def _measure(maps: BatchMaps, nonfinite: Tensor, gamma: Tensor | None, *, recorded: bool) -> Tensor:
    """[B, metrics of `NAMES`, H]."""
    no_value = torch.full_like(nonfinite, _NAN)
    found = dict.fromkeys(NAMES, no_value)
    if gamma is not None:
        gamma = gamma.detach().double()
        found["gamma"] = gamma.expand_as(nonfinite)
        nonfinite = nonfinite + ~are_finite(gamma)
    found["nonfinite"] = nonfinite
    found |= _of_addends(maps)
    if maps.attention is not None:
        found |= _of_attention(maps, maps.attention)
        if recorded:
            found |= _errors(maps, maps.attention)
    stacked = torch.stack([found[name] for name in NAMES], dim=1)
    of_one = on_device(np.array([name in OF_ONE_RESIDUE for name in NAMES]), stacked.device)
    has_value = of_one[:, None] | (maps.n_residues > 1)[..., None]
    return stacked.where(has_value, _NAN)


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


def _errors(maps: BatchMaps, A: Tensor) -> dict[str, Tensor]:
    """How far recorded attention is from what it should be: the worst row's."""
    found = {"row_sum_error": (A.sum(-1, dtype=torch.float64) - 1).abs()}
    if maps.logits is not None and maps.bias is not None:
        replayed = _softmax(maps, maps.logits + maps.bias)
        found["replay_error"] = (A - replayed).abs().amax(-1)
    per_row = torch.stack([*found.values()])
    largest = (per_row * maps.rows).amax(-1).where(maps.n_rows > 0, _NAN)
    return dict(zip(found, largest, strict=True))


def _softmax(maps: BatchMaps, logits: Tensor) -> Tensor:
    """Attention by other logits, 0 in rows that don't count."""
    weights = torch.softmax(logits.masked_fill(maps.left_out, -math.inf), dim=-1)
    return weights.masked_fill_(maps.left_out, 0.0)


def _spread(
    values: Tensor, keys: Tensor, count: Tensor, axes: tuple[int, ...] = (-1,)
) -> tuple[Tensor, Tensor, Tensor]:
    """The mean of `values` over `keys`, what each is more than it, the standard deviation.

    `axes` stay. What isn't among the keys, and must be finite, is 0 in the second.
    """
    mean = (values * keys).sum(axes, keepdim=True, dtype=torch.float64) / count
    centred = (values - mean).mul_(keys)
    norm = torch.linalg.vector_norm(centred, dim=axes, keepdim=True)
    return mean, centred, norm / count.sqrt()


def _of_addends(maps: BatchMaps) -> dict[str, Tensor]:
    """What S and G have by themselves, and beside each other."""
    S, G = maps.logits, maps.bias
    # A row without keys has no spread either way.
    n_keys = maps.n_keys[..., None].clamp(min=1)
    _, centred, whole = _spread(maps.addends, maps.keys, n_keys)
    found = {}
    if S is not None:
        found["sequence_share"] = _sequence_share(maps, centred[0])
    if G is not None:
        shift = (centred[-1] * maps.local).sum((-2, -1))
        found["neighbour_shift"] = shift / (maps.local & maps.keys).sum((-2, -1))
    del centred  # before as much memory is taken again
    if G is not None:
        found |= _medians(maps, whole) | _of_pairs(maps, G)
        found["geo_range"] = _range(maps, G)
    return found


def _medians(maps: BatchMaps, whole: Tensor) -> dict[str, Tensor]:
    """Of the spreads of rows over near keys, and by those of S; `whole` are those over all keys."""
    near_keys = maps.keys & (maps.distance < NEAR_RADIUS)
    n_near = near_keys.sum(-1, keepdim=True, dtype=torch.float64)
    n_near = n_near.where(n_near >= NEAR_KEYS, _NAN)
    near = _spread(maps.addends, near_keys, n_near)[-1]
    rows = {"geo_bias_std_near": near[-1]}
    if maps.logits is not None:
        content, geometry = torch.stack([whole, near], dim=1)
        ratios = (geometry / content).where(content >= FLAT_STD, _NAN)
        rows["geometry_ratio"], rows["geometry_ratio_near"] = ratios
    # NaN is left out; it is the mean of the middle two where rows are even.
    medians = torch.stack([*rows.values()]).squeeze(-1).nanquantile(0.5, dim=-1)
    return dict(zip(rows, medians, strict=True))


def _of_pairs(maps: BatchMaps, G: Tensor) -> dict[str, Tensor]:
    """Of the bias between two residues each."""
    pairs = maps.keys & maps.others
    count = pairs.sum((-2, -1), keepdim=True, dtype=torch.float64)
    mean, _, std = _spread(G, pairs, count, (-2, -1))
    largest = (G * pairs).abs().amax((-2, -1), keepdim=True).where(count > 0, _NAN)
    found = {"geo_bias_mean": mean, "geo_bias_std": std, "geo_bias_absmax": largest}
    return {name: values[..., 0, 0] for name, values in found.items()}


def _range(maps: BatchMaps, G: Tensor) -> Tensor:
    """[B, H]: where mean bias by bins of 1 Å has fallen 1 nat below its first bin from 3 Å on."""
    binned = maps.known & (maps.distance < BIN_LIMIT)
    bins = maps.distance.where(binned, BIN_LIMIT).long()
    sums, counts = (
        sums[..., RANGE_START:BIN_LIMIT] for sums in _class_sums(maps, G, bins, BIN_LIMIT + 1)
    )
    places = torch.arange(BIN_LIMIT - RANGE_START, device=G.device)
    full = counts >= BIN_PAIRS
    means = sums / counts
    first = full.double().argmax(-1, keepdim=True)
    level = means.gather(-1, first) - 1.0
    fallen = full & (means <= level)
    after = fallen.double().argmax(-1, keepdim=True)
    before = (places * (full & (places < after))).amax(-1, keepdim=True)
    high, low = means.gather(-1, before), means.gather(-1, after)
    reached = before + (RANGE_START + 0.5) + (high - level) / (high - low) * (after - before)
    return reached.squeeze(-1).where(fallen.any(-1), _NAN)


def _class_sums(
    maps: BatchMaps, values: Tensor, classes: Tensor, n_classes: int
) -> tuple[Tensor, Tensor]:
    """[B, H, classes] each: sums of `values` by the classes [B, 1, N, N] of pairs, and of keys."""
    n_items, n_heads = values.shape[:2]
    of_items = n_classes * torch.arange(n_items, device=values.device)[:, None, None, None]
    places = (classes + of_items).flatten()

    def summed(what: Tensor) -> Tensor:
        zeros = torch.zeros(n_heads, n_items * n_classes, dtype=torch.float64, device=values.device)
        sums = zeros.index_add_(1, places, what.transpose(0, 1).flatten(1).double())
        return sums.view(n_heads, n_items, n_classes).transpose(0, 1)

    return summed(values), summed(maps.keys)


def _sequence_share(maps: BatchMaps, centred: Tensor) -> Tensor:
    sums, counts = _class_sums(maps, centred, maps.offsets, 2 * OFFSET_LIMIT + 2)
    explained = (sums.square() / counts.clamp(min=1)).sum(-1)
    variance: Tensor = centred.square().sum((-2, -1))
    return explained / variance


def _of_attention(maps: BatchMaps, A: Tensor) -> dict[str, Tensor]:
    others = _softmax(maps, maps.addends)
    found = _means(maps, A, others)
    weights = A[None] if maps.logits is None else torch.stack([A, others[0]])
    del others  # before as much memory is taken again
    found |= _of_groups(maps, weights)
    found["sink"] = A.sum(-2, dtype=torch.float64).amax(-1) / maps.n_rows
    found["uniform_kl"] = maps.n_residues.double().log() - found["entropy"]
    return found


def _means(maps: BatchMaps, A: Tensor, others: Tensor) -> dict[str, Tensor]:
    """Means over the rows that count: in all others what is summed is 0, as the weights are.

    `others` is the attention that S alone and G alone would give, where they are given.
    """
    tiny = torch.finfo(A.dtype).tiny
    rows = {
        "entropy": -(A * A.clamp(min=tiny).log()).sum(-1, dtype=torch.float64),
        "self_mass": A.diagonal(dim1=-2, dim2=-1),
        "saturation": A.amax(-1) > SATURATED,
    }
    moved = 0.5 * (A - others).abs().sum(-1, dtype=torch.float64)
    if maps.logits is not None:
        rows["content_saturation"] = others[0].amax(-1) > SATURATED
        rows["geometry_effect"] = moved[0]
    if maps.bias is not None:
        rows["content_effect"] = moved[-1]
    means = torch.stack([*rows.values()]).sum(-1) / maps.n_rows
    return dict(zip(rows, means, strict=True))


def _of_groups(maps: BatchMaps, weights: Tensor) -> dict[str, Tensor]:
    """What goes to local keys, and to the others of which the distance is known.

    `weights` [1 or 2, B, H, N, N] are the attention and, where S is given, that of S alone.
    """
    groups = [maps.local, maps.known & ~maps.local]
    groups += [group & maps.longrange for group in groups]
    n_pairs = torch.stack([group.sum(-1) for group in groups])
    sums = torch.stack([(weights * group).sum((-2, -1), dtype=torch.float64) for group in groups])
    n = (n_pairs * maps.rows).sum(-1, dtype=torch.float64)
    # [all or far apart in sequence, weights, B, H]
    local, distant = sums[0::2], sums[1::2]
    n_local, n_distant = n[0::2, None], n[1::2, None]
    enriched = local / (local + distant) / (n_local / (n_local + n_distant))
    enriched = enriched.where((n_local > 0) & (n_distant > 0), _NAN)
    local_attn, global_attn = sums[0, 0] / n[0], sums[1, 0] / n[1]
    found = {
        "local_attn": local_attn,
        "global_attn": global_attn,
        "local_global_ratio": (local_attn / global_attn).where(global_attn != 0, _NAN),
        "local_mass": (sums[0, 0] / maps.n_rows).where(n[0] > 0, _NAN),
        "local_enrichment": enriched[0, 0],
        "longrange_enrichment": enriched[1, 0],
    }
    if len(weights) == 2:
        gains = enriched[:, 0] / enriched[:, 1]
        found["local_gain"], found["longrange_gain"] = gains.where(are_finite(gains), _NAN)
    return found
