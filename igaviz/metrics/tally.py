"""Numbers of heads measured together: those of blocks of queries joined, those of one head taken.

In a data class of such numbers, arrays are by head and query, [H, Q], and `Total` and `Sums` by
head alone.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import reduce
from typing import Any, TypeVar

import numpy as np

from igaviz.metrics.groups import Doubles, Sums

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Total:
    """Sums over queries, of each column or class, [H, ...]."""

    values: Doubles

    def repeated(self, heads: int) -> Total:
        """The same for each of so many heads."""
        return Total(np.broadcast_to(self.values, (heads, *self.values.shape)))

    def of_head(self, head: int) -> Total:
        """Those of the head at position `head`."""
        return Total(self.values[head])

    def __add__(self, other: Total) -> Total:
        return Total(self.values + other.values)


def joined(parts: Sequence[T]) -> T:
    """The numbers of all queries from those of blocks that follow each other.

    Arrays are put end to end, `Total` and `Sums` are added up, what is None stays None, and parts
    of parts are joined the same way.
    """
    if len(parts) == 1:
        return parts[0]
    first: Any = parts[0]
    names = [field.name for field in fields(first)]
    whole: T = replace(first, **{n: _join([getattr(part, n) for part in parts]) for n in names})
    return whole


def _join(values: Sequence[Any]) -> Any:  # noqa: ANN401 (whatever the fields hold)
    first = values[0]
    if isinstance(first, np.ndarray):
        return np.concatenate(values, axis=1)
    if isinstance(first, Total | Sums):
        return reduce(operator.add, values)
    return joined(values) if is_dataclass(first) else first


def of_head(numbers: T, head: int) -> T:
    """What `numbers` say of the head at position `head`: arrays [Q], in parts of parts too."""
    held: Any = numbers
    names = [field.name for field in fields(held)]
    one: T = replace(held, **{name: _of_head(getattr(held, name), head) for name in names})
    return one


def _of_head(values: Any, head: int) -> Any:  # noqa: ANN401 (whatever the fields hold)
    if isinstance(values, np.ndarray):
        return values[head]
    if isinstance(values, Total | Sums):
        return values.of_head(head)
    return of_head(values, head) if is_dataclass(values) else values
