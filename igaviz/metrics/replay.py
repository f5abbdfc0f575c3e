"""Whether the recorded terms give the recorded attention, and which reading of them does."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from igaviz.dump.data import AttentionMap, Booleans, Floats
from igaviz.metrics.arrays import Doubles, Indices
from igaviz.metrics.data import Replay
from igaviz.metrics.pairs import Pairs
from igaviz.metrics.tally import of_all_queries
from igaviz.metrics.terms import SMALL, Kind, Terms, flat
from igaviz.softmax import softmax

TOLERANCE = 5e-3
"""What rounding to float16 and the order of summation may cost a weight."""

SIGNIFICANT = 1e-3
"""Keys with less attention than this, recorded and replayed, don't set a row's tolerance."""

COARSE = 0.1
"""A row that may be off by more is not judged: its logits are too large for their type."""

FAILING_SHARE = 0.05
"""A reading with more failing rows than this doesn't fit."""

WITHOUT_PAIR_BIAS = "without pair bias"
TRANSPOSED = "attention transposed"
READINGS = (
    "without geometry",
    "geometry subtracted",
    "geometry without γ",
    "geometry alone",
    WITHOUT_PAIR_BIAS,
    TRANSPOSED,
)
"""Other ways to read the terms, the likeliest mistake first."""

KEYS_MASKED = "keys masked"
LATER_MASKED = "later keys masked"
MASKS = (LATER_MASKED, KEYS_MASKED)
"""The readings that are tried last: masks that the terms don't know."""

NO_CHANCE = 10
"""So many pairs of padding, of which as many have the key after the query as before it, don't all
have it after by chance: a mask between residues hides them."""

ROUNDING = {"float32": 2.0**-25, "float16": 2.0**-12, "bfloat16": 2.0**-9}
"""The largest relative rounding error of a logit, by the type it was computed in."""


@dataclass(frozen=True, eq=False)
class ReplayRows:
    """By head and query, [H, Q]: how far a reading is off, and what it may be off by.

    Rows that are off by no more than `TOLERANCE`, which each row may be, need no more: where all
    are, that is the tolerance given.
    """

    deviation: Doubles
    tolerance: Doubles

    @property
    def are_off(self) -> Booleans:
        """[H, Q]: which rows are off by more than each row may be."""
        return ~(self.deviation <= TOLERANCE)

    def of_head(self, head: int) -> ReplayRows:
        """Those of the head at position `head`, [Q]."""
        return ReplayRows(self.deviation[head], self.tolerance[head])

    @classmethod
    def of(cls, terms: Terms, compute_dtype: str) -> ReplayRows | None:
        """How far softmax(S + G) is off, None where a term is missing."""
        replayed = terms.replayed
        if replayed is None or terms.attention is None:
            return None
        return _compare(terms, replayed, compute_dtype)


def replay(map: AttentionMap, pairs: Pairs, rows: ReplayRows) -> Replay:
    """How well softmax(S + G) gives A over the finite rows of `map`, `rows` [Q] being its reading.

    A row fails where max |A − softmax(S + G)| exceeds 5e-3 + 2u·max(|S| + |G|), the second
    maximum over the keys whose weight, recorded or replayed, is above 1e-3. A row for which that
    comes to more than 0.1 is not judged.
    """
    judged = rows.tolerance <= COARSE
    failed = judged & ~(rows.deviation <= rows.tolerance)
    n_judged, n_failed = int(judged.sum()), int(failed.sum())
    fits, n_keys = None, 0
    if n_failed > FAILING_SHARE * n_judged:
        fits = _reading_that_fits(map, pairs, judged)
        if fits is None:
            fits, n_keys = _mask_that_fits(map, pairs, judged, failed)
    return Replay(
        error=float(rows.deviation.max(where=judged, initial=0)),
        failed_rows=n_failed,
        judged_rows=n_judged,
        tolerance=float(rows.tolerance.max(where=judged & rows.are_off, initial=TOLERANCE)),
        fits=fits,
        masked_keys=n_keys,
        coarse_rows=len(judged) - n_judged,
        error_of_all=float(rows.deviation.max()),
    )


def _reading_that_fits(map: AttentionMap, pairs: Pairs, judged: Booleans) -> str | None:
    """Which of `READINGS` gives the attention of the `judged` rows; None if none does.

    Of several that is the nearest: where γ is small, that geometry was left out fits nearly as
    well as that γ was.
    """
    fitting: dict[str, float] = {}
    for name in READINGS:
        other = _read(map, pairs, name)
        if other is None:
            continue
        # Rows of a transposed map are keys, and may be others.
        compared = other.tolerance <= COARSE if name == TRANSPOSED else judged
        off = compared & ~(other.deviation <= np.minimum(other.tolerance, COARSE))
        if compared.any() and off.sum() <= FAILING_SHARE * compared.sum():
            fitting[name] = float(other.deviation.mean(where=compared))
    return min(fitting, key=lambda name: fitting[name], default=None)


def asks_for_pair_bias(found: Replay | None) -> bool:
    """Whether a replay without the pair bias failed, and might be told why with it."""
    if found is None or found.failed_rows <= FAILING_SHARE * found.judged_rows:
        return False
    return found.fits in (None, *MASKS)


def _mask_that_fits(
    map: AttentionMap, pairs: Pairs, judged: Booleans, failed: Booleans
) -> tuple[str | None, int]:
    """Which of `MASKS` softmax(S + G) must have to give A, and how many keys it hides from all.

    The keys are those that a row which `failed` gives 0, and its terms don't. What the queries at
    these keys give proves nothing: a mask of pairs leaves padded ones any attention. Each other row
    fits without the keys, or as it is where it gives them anything. Where these queries lack some
    of the keys too, and later ones only, the mask is one between residues: then all rows must fit
    without the later keys that they give 0.
    """
    finite = np.zeros(pairs.n_residues, dtype=bool)
    keys = finite.copy()
    start = 0
    for queries, terms in _finite_blocks(map, pairs):
        finite[queries] = True
        rows = failed[start : start + len(queries)]
        keys |= _lacking(terms)[0, rows].any(axis=0)
        start += len(queries)
    if _lack_only_later(keys, map, pairs) and _fits_without(_later_unseen, map, pairs, judged):
        return LATER_MASKED, 0
    # One key that is left fits whatever its own row is, as the first residue does under a mask
    # between residues.
    left = np.count_nonzero(~keys)
    if left > 1 and _fits_without(partial(_unseen, keys), map, pairs, judged & ~keys[finite]):
        return KEYS_MASKED, int(keys.sum())
    return None, 0


def _lack_only_later(keys: Booleans, map: AttentionMap, pairs: Pairs) -> bool:
    """Whether the queries at `keys` [N] too lack some of them, each later ones only.

    Padded queries lack themselves and earlier ones as well, or nothing.
    """
    found = 0
    for queries, terms in _finite_blocks(map, pairs):
        rows, lacking = np.nonzero(_lacking(terms)[0] & keys & keys[queries, None])
        if (lacking <= queries[rows]).any():
            return False
        found += lacking.size
    return found >= NO_CHANCE


def _fits_without(
    left_out: Callable[[Indices, Terms], Booleans],
    map: AttentionMap,
    pairs: Pairs,
    judged: Booleans,
) -> bool:
    """Whether softmax(S + G) gives the `judged` rows, without what `left_out` [H, Q, N] says."""
    without = _of_blocks(
        [
            _compare(terms, _softmax_without(left_out(queries, terms), terms), map.compute_dtype)
            for queries, terms in _finite_blocks(map, pairs)
        ]
    )
    off = judged & ~(without.deviation <= np.minimum(without.tolerance, COARSE))
    return bool(judged.any() and off.sum() <= FAILING_SHARE * judged.sum())


def _finite_blocks(map: AttentionMap, pairs: Pairs) -> Iterator[tuple[Indices, Terms]]:
    """The terms block by block, and the queries [Q] of their rows."""
    queries = np.arange(pairs.n_residues)
    kind = Kind.of(map)  # of all of the map: not once more for each block
    for groups in pairs.blocks:
        terms = Terms.of([map], groups, kind)
        if terms.rows.any():
            yield queries[groups.queries][terms.rows], terms


def _lacking(terms: Terms) -> Booleans:
    """[H, Q, N]: where softmax(S + G) is something, and the attention nothing at all."""
    assert terms.attention is not None
    assert terms.replayed is not None
    lacking: Booleans = (terms.replayed > SIGNIFICANT) & (terms.attention.values == 0)
    return lacking


def _unseen(keys: Booleans, queries: Indices, terms: Terms) -> Booleans:
    """[H, Q, N]: `keys` [N], in rows that give none of them anything."""
    assert terms.attention is not None
    unseen: Booleans = ~terms.attention.values[..., keys].any(axis=2, keepdims=True) & keys
    return unseen


def _later_unseen(queries: Indices, terms: Terms) -> Booleans:
    """[H, Q, N]: the keys after each of the `queries` [Q] that it gives nothing."""
    assert terms.attention is not None
    given = terms.attention.values
    unseen: Booleans = (given == 0) & (np.arange(given.shape[2]) > queries[:, None])
    return unseen


def _softmax_without(left_out: Booleans, terms: Terms) -> Floats:
    """[H, Q, N]: softmax(S + G), without the pairs that are `left_out`."""
    assert terms.logits is not None
    assert terms.bias is not None
    with np.errstate(over="ignore", invalid="ignore"):
        return softmax(
            np.where(left_out, np.float32(-np.inf), terms.logits.values + terms.bias.values)
        )


def _compare(terms: Terms, replayed: Floats, compute_dtype: str) -> ReplayRows:
    assert terms.attention is not None
    assert terms.logits is not None
    assert terms.bias is not None
    S, G, recorded = terms.logits, terms.bias, terms.attention.values
    apart = recorded - replayed
    np.abs(apart, out=apart)
    deviation = apart.max(axis=2).astype(np.float64)
    per_nat = 2 * ROUNDING[compute_dtype]
    none_coarse = S.is_small and G.is_small and TOLERANCE + per_nat * 2 * SMALL <= COARSE
    if none_coarse and (deviation <= TOLERANCE).all():  # whatever is larger decides nothing
        return ReplayRows(deviation, np.full(deviation.shape, TOLERANCE))
    counted: Booleans = np.maximum(recorded, replayed) > SIGNIFICANT
    return ReplayRows(deviation, TOLERANCE + per_nat * _largest(S.values, G.values, counted))


def _largest(logits: Floats, bias: Floats, counted: Booleans) -> Doubles:
    """[H, Q]: the largest finite |S| + |G| over the keys that are `counted`, 0 for none."""
    with np.errstate(over="ignore", invalid="ignore"):
        magnitude = np.abs(logits)
        magnitude += np.abs(bias)
        largest: Doubles = (magnitude * counted).max(axis=2).astype(np.float64)
    if not np.isfinite(largest).all():  # 0 × ∞ of masked keys
        finite = counted & np.isfinite(magnitude)
        largest = np.where(finite, magnitude, 0).max(axis=2).astype(np.float64)
    return largest


def _read(map: AttentionMap, pairs: Pairs, reading: str) -> ReplayRows | None:
    """How far another reading of the terms is off, None where it takes what isn't there."""
    if reading == TRANSPOSED and map.attention is not None:
        map = replace(map, attention=map.attention.T)
    blocks = []
    for queries, terms in _finite_blocks(map, pairs):
        pair = None if map.pair_bias is None else map.pair_bias[queries]
        weights = _weights(terms, reading, pair, map.gamma)
        if weights is None:
            return None
        blocks.append(_compare(terms, weights, map.compute_dtype))
    return _of_blocks(blocks) if blocks else None


def _of_blocks(blocks: Sequence[ReplayRows]) -> ReplayRows:
    """Those of one map, [Q]."""
    return of_all_queries(blocks).of_head(0)


def _weights(
    terms: Terms, reading: str, pair_bias: Floats | None, gamma: float | None
) -> Floats | None:
    """The attention [H, Q, N] that a reading of the terms would give; None if one is missing."""
    assert terms.logits is not None
    assert terms.bias is not None
    S, masked = terms.logits.values, terms.logits.masked
    G = terms.bias.values.copy()
    flat(G)[:, masked] = 0
    if reading == "without geometry":
        return terms.logits.softmax
    if reading == "geometry alone":
        return terms.bias.softmax
    with np.errstate(over="ignore", invalid="ignore"):
        if reading == "geometry subtracted":
            return softmax(S - G)
        if reading == "geometry without γ":
            known = gamma is not None and math.isfinite(gamma)
            return softmax(S + np.float32(gamma) * G) if known else None
        if reading == TRANSPOSED:
            return softmax(S + G)
        return None if pair_bias is None else softmax(S - pair_bias + G)
