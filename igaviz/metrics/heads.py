"""All heads of one step: the matrix of a metric, and what type each head is of.

A head's type says who decides where it looks, from what geometry and content each move of its
attention (`geometry_effect`, `content_effect`) and from its `saturation`, each the mean over the
items:

one-hot    more than 0.3 of its queries give one key more than 0.9 of all
blind      else, where geometry moves less than 0.08 of its attention
content    else, where content moves at least twice what geometry moves
geometric  else, where geometry moves at least twice what content moves
mixed      else

The bounds of one-hot and blind are those of the checks softmax-saturated and gamma-too-small; the
factor of 2 has no check behind it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from igaviz.metrics.combine import combine
from igaviz.metrics.data import Measurement, Value
from igaviz.metrics.profiles import Array
from igaviz.metrics.table import BEYOND, METRICS

ONE_HOT_SHARE: Final = 0.3
BLIND_EFFECT: Final = 0.08
DOMINANT: Final = 2.0
"""How many times the other's effect one of geometry and content must have to give the type."""

HEAD_TYPES: Final = ("blind", "content", "mixed", "geometric", "one-hot")
"""From no geometry to nothing but it, then the heads that both are lost on."""

TYPE: Final = "type"
"""What `HeadTable` takes in place of a metric's name to tell heads by their type."""

_SAME = "the same "

Cell = tuple[int, int]
"""(layer, head)."""


def head_type(values: Mapping[str, Value]) -> str | None:
    """One of `HEAD_TYPES` for a head with these metrics; None where they don't tell."""
    geometry, content = (_number(values, f"{term}_effect") for term in ("geometry", "content"))
    saturation = _number(values, "saturation")
    if saturation is not None and saturation > ONE_HOT_SHARE:
        return "one-hot"
    if geometry is not None and geometry < BLIND_EFFECT:
        return "blind"
    if geometry is None or content is None:
        return None
    if content >= DOMINANT * geometry:
        return "content"
    return "geometric" if geometry >= DOMINANT * content else "mixed"


@dataclass(frozen=True, eq=False)
class HeadTable:
    """The heads of `layers` [L] and `heads` [H] at one step, by one metric or by type.

    `values` [L, H] are NaN where there is none; `words` hold what there is instead of a number by
    cell: a type, or `beyond`. `geometry` and `content` [L, H] are the two effects. `items` names
    the batch items that each value is the mean over. `severities` are the verdicts' by cell.
    """

    run: str
    phase: str
    step: int
    metric: str
    layers: tuple[int, ...]
    heads: tuple[int, ...]
    values: Array
    geometry: Array
    content: Array
    words: Mapping[Cell, str]
    recorded: frozenset[Cell]
    items: tuple[str, ...]
    severities: Mapping[Cell, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        measurements: Sequence[Measurement],
        metric: str = TYPE,
        severities: Mapping[Cell, str] | None = None,
    ) -> HeadTable:
        """The table of the `measurements` of one step, by `metric` or by type.

        Items and ranks are combined head by head as `combine` does. Raises `ValueError` without
        measurements, or where they are of several steps, phases or runs.
        """
        if len({m.id[:3] for m in measurements}) != 1:
            raise ValueError("there are none" if not measurements else "they are of several steps")
        first = measurements[0].id
        by_cell: dict[Cell, list[Mapping[str, Value]]] = defaultdict(list)
        for m in measurements:
            by_cell[m.id.layer, m.id.head].append(m.values)
        combined = {cell: combine(found) for cell, found in by_cell.items()}
        layers = tuple(sorted({layer for layer, _ in combined}))
        heads = tuple(sorted({head for _, head in combined}))

        def matrix(name: str) -> Array:
            found = [[_number(combined.get((y, x), {}), name) for x in heads] for y in layers]
            return np.array(found, dtype=np.float64)  # None becomes NaN

        return cls(
            run=first.run,
            phase=first.phase,
            step=first.step,
            metric=metric,
            layers=layers,
            heads=heads,
            values=matrix(metric),
            geometry=matrix("geometry_effect"),
            content=matrix("content_effect"),
            words=_words(combined, metric),
            recorded=frozenset(combined),
            items=tuple(dict.fromkeys(_item(m) for m in measurements)),
            severities=severities or {},
        )

    @property
    def title(self) -> str:
        """The metric as a title writes it."""
        return next((m.title for m in METRICS if m.name == self.metric), "head type")

    @property
    def unit(self) -> str:
        """The metric's unit."""
        return next((m.unit for m in METRICS if m.name == self.metric), "")

    @property
    def means(self) -> str:
        """What the metric means; one that is "the same" as the one above it says what of."""
        meant = ""
        for metric in METRICS:
            if metric.means.startswith(_SAME):
                meant = f"{meant}, {metric.means.removeprefix(_SAME)}"
            else:
                meant = metric.means
            if metric.name == self.metric:
                return meant
        return ""

    @property
    def medians(self) -> Array:
        """The median of each layer's numbers [L], NaN where it has none."""
        return np.array([_median(row[np.isfinite(row)]) for row in self.values])

    def count(self, word: str) -> int:
        """How many heads have `word` in place of a number."""
        return list(self.words.values()).count(word)


def _words(combined: Mapping[Cell, Mapping[str, Value]], metric: str) -> dict[Cell, str]:
    if metric == TYPE:
        types = {cell: head_type(values) for cell, values in combined.items()}
        return {cell: found for cell, found in types.items() if found is not None}
    return {cell: BEYOND for cell, values in combined.items() if values.get(metric) == BEYOND}


def _number(values: Mapping[str, Value], name: str) -> float | None:
    value = values.get(name)
    return None if value is None or isinstance(value, str) else float(value)


def _item(m: Measurement) -> str:
    return m.item or f"item {m.id.batch}"


def _median(values: Array) -> float:
    return float(np.median(values)) if len(values) else float("nan")


def metric_names() -> Iterable[str]:
    """What a `HeadTable` can show: `type`, and every metric."""
    return (TYPE, *(metric.name for metric in METRICS))
