"""The numbers of several maps as those of one: a head over its items, a layer over its heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from igaviz.metrics.data import Value
from igaviz.metrics.table import BEYOND, LARGEST, METRICS, SUMMED


def combine(maps: Sequence[Mapping[str, Value]]) -> dict[str, Value]:
    """Each metric over several maps: means; the largest of extremes; the sum of `nonfinite`.

    Maps without a value are left out of a mean; `beyond` is the value where most say so.
    """
    combined: dict[str, Value] = {}
    for metric in METRICS:
        values = [found.get(metric.name) for found in maps]
        numbers = [float(v) for v in values if v is not None and not isinstance(v, str)]
        if values.count(BEYOND) > len(numbers):
            combined[metric.name] = BEYOND
        elif not numbers:
            combined[metric.name] = None
        elif metric.name in SUMMED:
            combined[metric.name] = int(sum(numbers))
        elif metric.name in LARGEST:
            combined[metric.name] = max(numbers)
        else:
            combined[metric.name] = sum(numbers) / len(numbers)
    return combined
