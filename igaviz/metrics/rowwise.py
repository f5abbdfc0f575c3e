"""Sums over the keys of each query, by einsum: half the time of numpy's own."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from igaviz.dump.data import Floats

F = TypeVar("F", bound=np.floating[Any])


def row_sums(values: npt.NDArray[F]) -> npt.NDArray[F]:
    """[H, Q]: the sums of the rows of [H, Q, N], in their own precision.

    As `values.sum(axis=-1)` in half the time: einsum adds in 8 lanes, to within N/8 ulp where no
    value is negative.
    """
    sums: npt.NDArray[F] = np.einsum("hij->hi", values)
    return sums


def row_products(values: Floats, others: Floats) -> npt.NDArray[np.float64]:
    """[H, Q]: the sums over keys of `values` × `others`, both [H, Q, N] (or others [Q, N])."""
    axes = "ij" if others.ndim == 2 else "hij"
    products: npt.NDArray[np.float64] = np.einsum(f"hij,{axes}->hi", values, others).astype(
        np.float64
    )
    return products
