"""What is measured of one map, and what each number means (`METRICS`)."""

from igaviz.metrics.data import Measurement, Replay, Value
from igaviz.metrics.measure import measure, measure_heads
from igaviz.metrics.pairs import Pairs
from igaviz.metrics.table import METRICS, Metric

__all__ = [
    "METRICS",
    "Measurement",
    "Metric",
    "Pairs",
    "Replay",
    "Value",
    "measure",
    "measure_heads",
]
