"""What the figures draw and has to be computed: curves over distance, distributions, single rows.

A value that is not finite is left out, and so is a pair without a distance; nothing is made up in
their place. All of it is of the whole map, whatever part of it a figure shows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from igaviz.dump.data import AttentionMap, Booleans, Floats
from igaviz.metrics.pairs import Pairs
from igaviz.metrics.terms import Terms
from igaviz.metrics.trend import falls
from igaviz.softmax import softmax

Array = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

_TAIL = 0.001
"""So much of the attention between residues may lie beyond the distance that it reaches."""

BAND = (0.1, 0.5, 0.9)
"""The quantiles of a curve: the lower end of its band, the median, the upper end."""


@dataclass(frozen=True, eq=False)
class Curve:
    """One quantity in bins [k, k + 1) Å of distance; bins that hold no finite value are left out.

    `bins` [B] are the k in ascending order; of each, `count` pairs have the `mean`, the `median`,
    and the 10th and 90th percentile `low` and `high`.
    """

    bins: Counts
    count: Counts
    mean: Array
    median: Array
    low: Array
    high: Array


@dataclass(frozen=True, eq=False)
class Curves:
    """One quantity over distance: of every pair, of sequence neighbours, of long-range pairs."""

    everything: Curve
    neighbours: Curve
    longrange: Curve


@dataclass(frozen=True)
class Level:
    """The mean attention of a group of `n` pairs; None where there is none."""

    n: int
    mean: float | None


@dataclass(frozen=True, eq=False)
class Counted:
    """How many values lie in each bin [B], and how many beyond the first and the last edge."""

    counts: Counts
    below: int
    above: int


@dataclass(frozen=True, eq=False)
class Distribution:
    """The attention of local and of global pairs in the bins of shared `edges` [B + 1].

    `local_longrange` are those of the local pairs that are no neighbours in sequence;
    `content_…` is the same for the attention that content alone would give, None where the
    logits before geometry are missing.
    """

    edges: Array
    local: Counted
    local_longrange: Counted
    distant: Counted
    content_local: Counted | None
    content_distant: Counted | None


@dataclass(frozen=True, eq=False)
class Density:
    """Pairs counted on a grid: [rows, columns] of attention × distance.

    `bias` is the mean geometric bias of each cell's pairs, NaN where it has none.
    """

    distance_edges: Array
    attention_edges: Array
    count: Counts
    bias: Array


@dataclass(frozen=True)
class Beyond:
    """The `n` of `of` pairs from some distance on; their share of attention between residues."""

    n: int
    of: int
    attention: float


@dataclass(frozen=True)
class NonFinite:
    """How many values of one term are no number."""

    nan: int
    plus_infinity: int
    minus_infinity: int


@dataclass(frozen=True, eq=False)
class Row:
    """One query's row of a map, [N] each, None where a term is missing.

    `neighbours` and `longrange` part the local keys by their distance in sequence; `local_mass`
    is the attention that they get together, None where the row isn't finite.
    """

    query: int
    attention: Floats | None
    content: Floats | None
    bias: Floats | None
    neighbours: Booleans
    longrange: Booleans
    local_mass: float | None


class Profiles:
    """All that the figures draw of one map, computed when first asked for.

    `pairs` are those of the map's structure. The geometric bias is taken as stored. `map` is the
    `given` one, but that queries of padding have no attention, as in all metrics: NaN.
    """

    def __init__(self, map: AttentionMap, pairs: Pairs) -> None:
        self.given = map
        self.map = _without_padding(map)
        self.pairs = pairs

    @cached_property
    def content(self) -> Floats | None:
        """Softmax of the logits before geometry, [N, N]: the attention of content alone."""
        before = self.map.logits_before
        return None if before is None else softmax(before)

    @cached_property
    def attention_curves(self) -> Curves | None:
        """Attention over distance; None where it is missing."""
        return self._curves(self.map.attention)

    @cached_property
    def content_curves(self) -> Curves | None:
        """The attention of content alone over distance; None where it is missing."""
        return self._curves(self.content)

    @cached_property
    def bias_curves(self) -> Curves | None:
        """The geometric bias, as stored, over distance; None where it is missing."""
        return self._curves(self.map.geo_bias)

    @cached_property
    def masked(self) -> Booleans | None:
        """The masked pairs [N, N]: −∞ in the logits, attention 0 or of padding; None for none."""
        before, attention = self.map.logits_before, self.map.attention
        if before is None:
            return None
        masked: Booleans = np.isneginf(before)
        if attention is not None:
            masked &= (attention == 0) | (
                np.isnan(attention) if self.map is not self.given else False
            )
        return masked if masked.any() else None

    @cached_property
    def non_finite(self) -> dict[str, NonFinite]:
        """By name of the format, the terms with values that are neither finite nor masked."""
        terms = {
            name: getattr(self.map, name)
            for name in ("logits_before", "geo_bias", "logits_after", "attention")
        }
        seen = None if self.masked is None else ~self.masked
        there = {
            name: values if seen is None else values[seen]
            for name, values in terms.items()
            if values is not None
        }
        return {
            name: _non_finite(values)
            for name, values in there.items()
            if not np.isfinite(values).all()
        }

    @cached_property
    def local_level(self) -> Level | None:
        """The mean attention of local pairs; None where attention is missing."""
        attention = self.map.attention
        return None if attention is None else _level(attention[self.pairs.local])

    @cached_property
    def global_level(self) -> Level | None:
        """The mean attention of global pairs; None where attention is missing."""
        attention = self.map.attention
        return None if attention is None else _level(attention[self.pairs.distant])

    @cached_property
    def geo_range(self) -> float | str | None:
        """The metric `geo_range`: Å, or the word `beyond`; None where it has no value."""
        bias = Terms.of([self.map], self.pairs.groups).bias
        if bias is None:
            return None
        (found,) = falls(bias.groups.sums(bias.values), bias.groups.counts)
        return found if isinstance(found, float | str) else None

    def distribution(self, edges: Array) -> Distribution | None:
        """Attention of local against global pairs in bins of `edges`; None where it is missing."""
        attention = self.map.attention
        if attention is None:
            return None
        local, distant = self.pairs.local, self.pairs.distant
        content = self.content
        return Distribution(
            edges=edges,
            local=_counted(attention[local], edges),
            local_longrange=_counted(attention[local & self.pairs.longrange], edges),
            distant=_counted(attention[distant], edges),
            content_local=None if content is None else _counted(content[local], edges),
            content_distant=None if content is None else _counted(content[distant], edges),
        )

    def density(self, distance_edges: Array, attention_edges: Array) -> Density | None:
        """Pairs on a grid of distance and attention; None where attention is missing.

        Attention beyond its edges is counted in the outermost rows, pairs farther apart than the
        last edge are left out.
        """
        attention = self.map.attention
        if attention is None:
            return None
        known = self.known_pairs & (self.pairs.distance <= distance_edges[-1])
        column = _cell(self.pairs.distance[known], distance_edges)
        row = _cell(attention[known], attention_edges)
        shape = (len(attention_edges) - 1, len(distance_edges) - 1)
        cell = row * shape[1] + column
        count = np.bincount(cell, minlength=shape[0] * shape[1]).astype(np.int64)
        mean = np.full(len(count), np.nan)
        if self.map.geo_bias is not None:
            bias = self.map.geo_bias[known].astype(np.float64)
            finite = np.isfinite(bias)
            total = np.bincount(cell[finite], bias[finite], minlength=len(count))
            members = np.bincount(cell[finite], minlength=len(count))
            np.divide(total, members, out=mean, where=members > 0)
        return Density(distance_edges, attention_edges, count.reshape(shape), mean.reshape(shape))

    @cached_property
    def attention_reach(self) -> float | None:
        """The whole distance, Å, within which all but 0.1 % of attention between residues lies.

        None where attention is missing or zero.
        """
        if self.attention_curves is None:
            return None
        curve = self.attention_curves.everything
        within = np.cumsum(curve.mean * curve.count)
        if not len(within) or not within[-1] > 0:
            return None
        return float(curve.bins[np.searchsorted(within, (1 - _TAIL) * within[-1])] + 1)

    def beyond(self, distance: float) -> Beyond:
        """The pairs in 1 Å bins from `distance` on; none where attention is missing."""
        if self.attention_curves is None:
            return Beyond(0, 0, 0.0)
        curve = self.attention_curves.everything
        mass = curve.mean * curve.count
        far = curve.bins >= distance
        share = float(mass[far].sum() / mass.sum()) if mass.sum() > 0 else 0.0
        return Beyond(int(curve.count[far].sum()), int(curve.count.sum()), share)

    @cached_property
    def known_pairs(self) -> Booleans:
        """The ordered pairs i ≠ j [N, N] whose distance and attention are both finite."""
        known: Booleans = self.pairs.local | self.pairs.distant
        attention = self.map.attention
        return known if attention is None else known & np.isfinite(attention)

    def row(self, query: int) -> Row:
        """The row of the query at position `query`."""
        attention = self.map.attention
        local = self.pairs.local[query]
        longrange = self.pairs.longrange[query]
        mass = None if attention is None else float(attention[query][local].sum(dtype=np.float64))
        return Row(
            query=query,
            attention=None if attention is None else attention[query],
            content=None if self.content is None else self.content[query],
            bias=None if self.map.geo_bias is None else self.map.geo_bias[query],
            neighbours=local & ~longrange,
            longrange=local & longrange,
            local_mass=mass if mass is not None and np.isfinite(mass) else None,
        )

    @cached_property
    def _order(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.uint16]]:
        """Flat indices of the pairs by bin, sequence neighbours first in each; and their keys.

        A key is twice the bin, plus one for long-range pairs.
        """
        bins = self.pairs.bins.ravel()
        pairs = np.flatnonzero(bins >= 0)
        # 16 bits hold twice the farthest bin, and numpy sorts them by radix, in linear time
        keys = (2 * bins[pairs] + self.pairs.longrange.ravel()[pairs]).astype(np.uint16)
        order = np.argsort(keys, kind="stable")
        return pairs[order], keys[order]

    def _curves(self, values: Floats | None) -> Curves | None:
        if values is None:
            return None
        order, keys = self._order
        ordered = values.ravel()[order]
        finite = np.isfinite(ordered)
        if not finite.all():
            ordered, keys = ordered[finite], keys[finite]
        longrange = keys % 2 == 1
        bins = keys // 2
        return Curves(
            everything=curve_over(ordered.copy(), bins),
            neighbours=curve_over(ordered[~longrange], bins[~longrange]),
            longrange=curve_over(ordered[longrange], bins[longrange]),
        )


def _without_padding(map: AttentionMap) -> AttentionMap:
    """`map` with NaN for the attention of queries whose every logit a mask over keys hides."""
    S, A = map.logits_before, map.attention
    if S is None or A is None or map.mask is None or not map.mask.keys:
        return map
    padding = np.isneginf(S).all(axis=1, keepdims=True)
    return replace(map, attention=np.where(padding, np.float32(np.nan), A))


def _non_finite(values: Floats) -> NonFinite:
    kinds = (np.isnan(values), np.isposinf(values), np.isneginf(values))
    return NonFinite(*(int(np.count_nonzero(kind)) for kind in kinds))


def curve_over(values: Floats, bins: npt.NDArray[np.integer[Any]]) -> Curve:
    """The curve of `values` [P] in ascending `bins` [P]; sorts `values` in place."""
    occupied, starts, count = np.unique(bins, return_index=True, return_counts=True)
    if not len(values):
        empty = np.empty(0)
        return Curve(occupied.astype(np.int64), count, empty, empty, empty, empty)
    mean = np.add.reduceat(values, starts, dtype=np.float64) / count
    for start, size in zip(starts.tolist(), count.tolist(), strict=True):
        values[start : start + size].sort()
    low, median, high = (_quantile(values, starts, count, share) for share in BAND)
    return Curve(occupied.astype(np.int64), count, mean, median, low, high)


def _quantile(values: Floats, starts: npt.NDArray[np.intp], count: Counts, share: float) -> Array:
    """The quantile `share`, linear in between, of each sorted stretch of `values`."""
    place = share * (count - 1)
    lower = np.floor(place).astype(np.int64)
    upper = np.minimum(lower + 1, count - 1)
    weight = place - lower
    at_lower = values[starts + lower].astype(np.float64)
    at_upper = values[starts + upper].astype(np.float64)
    quantile: Array = at_lower * (1 - weight) + at_upper * weight
    return quantile


def _level(values: Floats) -> Level:
    finite = values[np.isfinite(values)]
    return Level(len(finite), float(finite.mean(dtype=np.float64)) if len(finite) else None)


def _counted(values: Floats, edges: Array) -> Counted:
    finite = values[np.isfinite(values)]
    below, above = finite < edges[0], finite > edges[-1]
    inside = finite[~below & ~above]
    return Counted(
        counts=np.bincount(_cell(inside, edges), minlength=len(edges) - 1).astype(np.int64),
        below=int(np.count_nonzero(below)),
        above=int(np.count_nonzero(above)),
    )


def _cell(values: Floats, edges: Array) -> npt.NDArray[np.intp]:
    """In which cell between `edges` each value lies; beyond them, in the outermost."""
    return np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
