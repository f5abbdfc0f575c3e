"""Numbers by head and query put together from those of some queries, or of some heads.

In a data class of such numbers arrays are by head and query, [H, Q]; `Total` and `Sums` are by head
and add up over queries, `Counts` do so too and are alike for all heads.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import reduce
from typing import Any, TypeVar

import numpy as np

from igaviz.metrics.arrays import Doubles
from igaviz.metrics.groups import Counts, Sums

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Total:
    """Sums over queries, of each column or class: [H, ...]."""

    values: Doubles

    def __add__(self, other: Total) -> Total:
        return Total(self.values + other.values)


def of_all_queries(parts: Sequence[T]) -> T:
    """The numbers of all queries from those of blocks that follow each other."""
    return _put_together(parts, _add_queries)


def of_all_heads(parts: Sequence[T]) -> T:
    """The numbers of all heads from those of stretches that follow each other."""
    return _put_together(parts, _add_heads)


def _put_together(parts: Sequence[T], how: Callable[[Sequence[Any]], Any]) -> T:
    """Field by field; what is None stays None, and parts of parts are put together the same way."""
    if len(parts) == 1:
        return parts[0]
    first: Any = parts[0]
    by_name = {field.name: [getattr(part, field.name) for part in parts] for field in fields(first)}
    whole: T = replace(first, **{name: how(values) for name, values in by_name.items()})
    return whole


def _add_queries(values: Sequence[Any]) -> Any:  # noqa: ANN401 (whatever the fields hold)
    first = values[0]
    if isinstance(first, np.ndarray):
        return np.concatenate(values, axis=1)
    if isinstance(first, Total | Sums | Counts):
        return reduce(operator.add, values)
    return _put_together(values, _add_queries) if is_dataclass(first) else first


def _add_heads(values: Sequence[Any]) -> Any:  # noqa: ANN401 (whatever the fields hold)
    first = values[0]
    if isinstance(first, np.ndarray):
        return np.concatenate(values)
    if is_dataclass(first) and not isinstance(first, Counts):
        return _put_together(values, _add_heads)
    return first
