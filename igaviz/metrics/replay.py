"""Whether the recorded terms give the recorded attention, and which reading of them does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from igaviz.dump.data import Booleans, Floats
from igaviz.metrics.data import Replay
from igaviz.metrics.groups import Doubles
from igaviz.metrics.terms import Terms
from igaviz.softmax import softmax

TOLERANCE = 5e-3
"""What rounding to float16 and the order of summation may cost a weight."""

SIGNIFICANT = 1e-3
"""Keys with less attention than this, recorded and replayed, don't set a row's tolerance."""

COARSE = 0.1
"""A row that may be off by more is not judged: its logits are too large for their type."""

FAILING_SHARE = 0.05
"""A reading with more failing rows than this doesn't fit."""

ROUNDING = {"float32": 2.0**-25, "float16": 2.0**-12, "bfloat16": 2.0**-9}
"""The largest relative rounding error of a logit, by the type it was computed in."""


class _Rows(NamedTuple):
    """Of each row, [Q]: how far a reading is off, and what it may be off by."""

    deviation: Doubles
    tolerance: Doubles


def replay(terms: Terms, compute_dtype: str, pair_bias: Floats | None) -> Replay | None:
    """How well softmax(S + G) gives A over the finite rows, None where one of them is missing.

    A row fails where max |A − softmax(S + G)| exceeds 5e-3 + 2u·max(|S| + |G|), the second
    maximum over the keys whose weight, recorded or replayed, is above 1e-3. A row for which that
    comes to more than 0.1 is not judged.
    """
    replayed = terms.replayed
    if replayed is None or terms.attention is None or not len(replayed):
        return None
    rows = _compare(terms, replayed, compute_dtype)
    judged = rows.tolerance <= COARSE
    failed = judged & ~(rows.deviation <= rows.tolerance)
    n_judged, n_failed = int(judged.sum()), int(failed.sum())
    fits = None
    if n_failed > FAILING_SHARE * n_judged:
        for name, reading in _readings(terms, pair_bias):
            other = _compare(terms, reading, compute_dtype)
            off = judged & ~(other.deviation <= np.minimum(other.tolerance, COARSE))
            if off.sum() <= FAILING_SHARE * n_judged:
                fits = name
                break
    return Replay(
        error=float(rows.deviation.max(where=judged, initial=0)),
        failed_rows=n_failed,
        judged_rows=n_judged,
        tolerance=float(rows.tolerance.max(where=judged, initial=0)),
        fits=fits,
        coarse_rows=len(judged) - n_judged,
        error_of_all=float(rows.deviation.max()),
    )


def _compare(terms: Terms, replayed: Floats, compute_dtype: str) -> _Rows:
    assert terms.attention is not None
    assert terms.logits is not None
    assert terms.bias is not None
    recorded = terms.attention.values
    deviation = recorded - replayed
    np.abs(deviation, out=deviation)
    counted: Booleans = np.maximum(recorded, replayed) > SIGNIFICANT
    largest = _largest(terms.logits.values, terms.bias.values, counted)
    tolerance = TOLERANCE + 2 * ROUNDING[compute_dtype] * largest
    return _Rows(deviation.max(axis=1).astype(np.float64), tolerance)


def _largest(logits: Floats, bias: Floats, counted: Booleans) -> Doubles:
    """[Q]: the largest finite |S| + |G| over the keys that are `counted` [Q, N], 0 for none."""
    with np.errstate(over="ignore", invalid="ignore"):
        magnitude = np.abs(logits)
        magnitude += np.abs(bias)
        largest: Doubles = (magnitude * counted).max(axis=1).astype(np.float64)
    if not np.isfinite(largest).all():  # 0 × ∞ of masked keys
        finite = counted & np.isfinite(magnitude)
        largest = np.where(finite, magnitude, 0).max(axis=1).astype(np.float64)
    return largest


def _readings(terms: Terms, pair_bias: Floats | None) -> Iterator[tuple[str, Floats]]:
    """Other ways to read the terms, the likeliest mistake first, each replayed."""
    assert terms.logits is not None
    assert terms.bias is not None
    S, masked = terms.logits.values, terms.logits.masked
    G = terms.bias.values.copy()
    G.ravel()[masked] = 0
    yield "without geometry", softmax(S)
    with np.errstate(over="ignore", invalid="ignore"):
        yield "geometry subtracted", softmax(S - G)
    yield "geometry alone", terms.bias.softmax
    if pair_bias is not None:
        with np.errstate(over="ignore", invalid="ignore"):
            yield "without pair bias", softmax(S - pair_bias[terms.rows] + G)
