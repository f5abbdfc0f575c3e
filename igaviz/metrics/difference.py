"""Two maps of one structure against each other: what attention and geometric bias became."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from igaviz.dump.data import AttentionMap, Floats


@dataclass(frozen=True, eq=False)
class Difference:
    """From map A to map B, which are of the same residues.

    `attention` and `bias` are B less A, [N, N] float32; None where a side has none. Biases are
    effective and each row less its mean, `bias_a` and `bias_b`: softmax sees no more of them.
    `moved` is the mean over queries of half the sum of the magnitudes of a row of `attention`,
    the share of attention that went elsewhere; rows that aren't finite are left out.
    """

    a: AttentionMap
    b: AttentionMap
    attention: Floats | None
    bias_a: Floats | None
    bias_b: Floats | None
    bias: Floats | None
    moved: float | None

    @classmethod
    def of(cls, a: AttentionMap, b: AttentionMap) -> Difference:
        """The difference of two maps. Raises `ValueError` where their residues differ."""
        if why_different(a, b):
            raise ValueError(why_different(a, b))
        attention = _less(b.attention, a.attention)
        bias_a, bias_b = _centred(a.effective_bias), _centred(b.effective_bias)
        return cls(a, b, attention, bias_a, bias_b, _less(bias_b, bias_a), _moved(attention))

    @property
    def finite(self) -> bool:
        """Whether every number of both maps that stands in it is finite."""
        found = (self.attention, self.bias_a, self.bias_b)
        return all(values is None or bool(np.isfinite(values).all()) for values in found)


def why_different(a: AttentionMap, b: AttentionMap) -> str:
    """Why two maps are not of the same residues; empty where they are."""
    one, other = a.structure, b.structure
    if one.n_residues != other.n_residues:
        return f"{one.n_residues} and {other.n_residues} residues"
    if one.name and other.name and one.name != other.name:
        return f"items of two names, {one.name} and {other.name}"
    same = np.array_equal(one.residue_index, other.residue_index) and np.array_equal(
        one.chain_index, other.chain_index
    )
    return "" if same else "other residue numbers"


def _less(b: Floats | None, a: Floats | None) -> Floats | None:
    if a is None or b is None:
        return None
    with np.errstate(all="ignore"):  # non-finite values stay such
        difference: Floats = b - a
    return difference


def _centred(bias: Floats | None) -> Floats | None:
    """Each row of a bias less the mean of its finite values."""
    if bias is None:
        return None
    finite = np.isfinite(bias)
    count = np.maximum(finite.sum(axis=1, keepdims=True), 1)
    mean = np.where(finite, bias, 0).sum(axis=1, keepdims=True, dtype=np.float64) / count
    centred: Floats = (bias - mean).astype(np.float32)
    return centred


def _moved(attention: Floats | None) -> float | None:
    if attention is None or not len(attention):
        return None
    rows = 0.5 * np.abs(attention).sum(axis=1, dtype=np.float64)
    finite = rows[np.isfinite(rows)]
    return float(finite.mean()) if len(finite) else None
