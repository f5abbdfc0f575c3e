"""Which term of the logits tells keys apart: shares of each row's variance.

The logits after geometry are a sum of terms, L = Q·K + pair bias + G. The variance of a row of L
over its keys is the sum of all covariances of two terms, so that term t has the share
cov(t, L) ÷ var(L): its own variance, and half of what it shares with each other term. The shares
add up to 1. One is below 0 where a term works against the sum, and then others are above 1.
The natural decomposition of a sum's variance: Shorrocks (1982), Econometrica 50, 193.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from igaviz.dump.data import AttentionMap, Booleans
from igaviz.metrics.pairs import Pairs
from igaviz.metrics.profiles import Array
from igaviz.metrics.table import FLAT_STD, NEAR_KEYS
from igaviz.metrics.terms import Terms

CONTENT = "Q·K"
PAIR = "pair bias"
GEOMETRY = "geometry"


@dataclass(frozen=True, eq=False)
class Shares:
    """Shares of each row's variance over some keys; NaN where a row has none to speak of.

    `share` [T, N] of each term, its covariances with the others included; `own` [T, N] is its
    variance alone, by that of the sum. `medians` [T], `low` [T] and `high` [T] are the median and
    the 10th and 90th percentile of `share` over the rows. `correlation` [T, T] is the median over
    rows of the correlation of two terms. `rows` counts the rows that have shares.
    """

    share: Array
    own: Array
    medians: Array
    low: Array
    high: Array
    correlation: Array
    rows: int

    @property
    def covariances(self) -> float | None:
        """The median over rows of what all covariances are of the variance; None without rows."""
        net = 1.0 - self.own.sum(axis=0)
        net = net[np.isfinite(net)]
        return float(np.median(net)) if len(net) else None


@dataclass(frozen=True, eq=False)
class VarianceShares:
    """Shares over all keys of a row, and over those within 15 Å, of the terms that `names` lists.

    Far keys differ most and matter least: the bias falls with d², and attention there is nothing.
    """

    names: tuple[str, ...]
    every: Shares
    near: Shares

    @classmethod
    def of(cls, map: AttentionMap, pairs: Pairs) -> VarianceShares | None:
        """The shares in `map`'s logits; None where S or G is missing.

        `Q·K` is what is left of S without the pair bias, all of S where none was recorded. Masked
        keys are left out, and rows that aren't finite, and for near keys queries with under 3.
        """
        terms = Terms.of([map], pairs.groups)
        if terms.logits is None or terms.bias is None:
            return None
        S, G = terms.logits.values[0], terms.bias.values[0]
        kept = np.ones(S.shape, dtype=bool)
        kept.ravel()[terms.logits.masked] = False
        parts = {CONTENT: S, GEOMETRY: G}
        if map.pair_bias is not None:
            pair = map.pair_bias[terms.rows].astype(np.float64)
            with np.errstate(invalid="ignore"):
                parts = {CONTENT: S - pair, PAIR: pair, GEOMETRY: G}
        stack = np.stack([np.where(kept, part, 0.0) for part in parts.values()]).astype(np.float64)
        near = np.zeros(kept.shape, dtype=bool)
        near.ravel()[terms.logits.groups.near] = True
        return cls(
            tuple(parts),
            every=_shares(stack, kept, terms.rows, at_least=2),
            near=_shares(stack, kept & near, terms.rows, at_least=NEAR_KEYS),
        )


def _shares(stack: Array, keys: Booleans, rows: Booleans, at_least: int) -> Shares:
    """The shares of terms [T, Q, N] over `keys` [Q, N], spread out to all `rows` [N]."""
    n_terms, n_all = len(stack), len(rows)
    count = keys.sum(axis=1)
    enough = (count >= at_least) & np.isfinite(stack).all(axis=(0, 2))
    stack, keys, count = stack[:, enough], keys[enough], count[enough]
    means = np.where(keys, stack, 0.0).sum(axis=2) / count
    centred = np.where(keys, stack - means[:, :, None], 0.0)
    products = np.einsum("aqn,bqn->abq", centred, centred)  # all that is needed below
    total = products.sum(axis=(0, 1))
    varied = np.sqrt(np.maximum(total, 0) / np.maximum(count, 1)) >= FLAT_STD
    products, total = products[:, :, varied], total[varied]
    own = np.einsum("aaq->aq", products)
    where = np.flatnonzero(rows)[enough][varied]

    def spread(values: Array) -> Array:
        full = np.full((n_terms, n_all), np.nan)
        full[:, where] = values
        return full

    share = products.sum(axis=1) / total
    low, medians, high = _percentiles(share)
    return Shares(
        share=spread(share),
        own=spread(own / total),
        medians=medians,
        low=low,
        high=high,
        correlation=_correlation(products, own),
        rows=len(where),
    )


def _percentiles(share: Array) -> npt.NDArray[np.float64]:
    if not share.shape[1]:
        return np.full((3, len(share)), np.nan)
    found: npt.NDArray[np.float64] = np.percentile(share, [10, 50, 90], axis=1)
    return found


def _correlation(products: Array, own: Array) -> Array:
    """[T, T]: medians over the rows in which both terms vary, NaN where there is no such row."""
    scale = np.sqrt(own[:, None] * own[None])
    n_terms = len(own)
    medians = np.full((n_terms, n_terms), np.nan)
    for a in range(n_terms):
        for b in range(n_terms):
            varied = scale[a, b] > 0
            if varied.any():
                medians[a, b] = np.median(products[a, b][varied] / scale[a, b][varied])
    return medians
