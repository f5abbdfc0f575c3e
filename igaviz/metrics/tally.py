"""Numbers of blocks of queries put together: those by query follow each other, totals add up."""

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
    """Sums over queries, of each column or class."""

    values: Doubles

    def __add__(self, other: Total) -> Total:
        return Total(self.values + other.values)


def joined(parts: Sequence[T]) -> T:
    """The numbers of all queries from those of blocks that follow each other.

    Arrays are by query and are put end to end, `Total` and `Sums` are added up, what is None stays
    None, and parts of parts are joined the same way.
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
        return np.concatenate(values)
    if isinstance(first, Total | Sums):
        return reduce(operator.add, values)
    return joined(values) if is_dataclass(first) else first
