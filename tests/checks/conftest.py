"""Measurements as a healthy, trained layer gives them, from which each test departs."""

from dataclasses import replace

import numpy as np
import pytest

from igaviz.format import MapId
from igaviz.metrics.data import Measurement, Replay
from igaviz.metrics.sketch import FORMS

HEALTHY_VALUES = {
    "gamma": 0.018,
    "geo_bias_mean": -6.0,
    "geo_bias_std": 2.4,
    "geo_bias_absmax": 55.0,
    "geo_bias_std_near": 0.45,
    "geometry_ratio": 0.97,
    "geometry_ratio_near": 0.46,
    "geometry_effect": 0.25,
    "content_effect": 0.5,
    "geo_range": 13.5,
    "neighbour_shift": 0.8,
    "bias_trend": -1.0,
    "attention_trend": -0.9,
    "local_enrichment": 3.4,
    "longrange_enrichment": 2.4,
    "self_mass": 0.013,
    "saturation": 0.0,
    "content_saturation": 0.0,
    "sink": 0.05,
    "entropy": 3.6,
    "uniform_kl": 0.8,
    "row_sum_error": 2e-7,
    "replay_error": 1e-6,
    "nonfinite": 0,
}


def unlike(head, step):
    """A sketch that is not like those of the other heads, nor like those of other steps."""
    return tuple(np.random.default_rng([head, step]).normal(size=FORMS).tolist())


def measure(
    head=0, *, layer=0, step=2000, batch=0, rank=0, run="healthy", phase="train", **changes
):
    """A measurement of a healthy map of 84 residues; `changes` are values, or its own fields."""
    fields = {key: changes.pop(key) for key in list(changes) if key in Measurement.__annotations__}
    healthy = Measurement(
        id=MapId(run, phase, step, rank, batch, layer, head),
        item=f"item{batch}",
        n_residues=84,
        length_unit="nanometer",
        values={**HEALTHY_VALUES, **changes},
        ca_step=3.8,
        replay=Replay(error=1e-6, failed_rows=0, judged_rows=84, tolerance=5e-3),
        sketch=unlike(head, step),
    )
    return replace(healthy, **fields)


def layer(sick=(), n_heads=8, *, items=1, **changes):
    """A layer of healthy heads, of which those in `sick` have `changes` on every item."""
    place = {k: changes.pop(k) for k in ("layer", "step", "run", "phase", "rank") if k in changes}
    return [
        measure(head, batch=batch, **place, **(changes if head in sick else {}))
        for batch in range(items)
        for head in range(n_heads)
    ]


@pytest.fixture(name="measure")
def _measure():
    return measure


@pytest.fixture(name="layer")
def _layer():
    return layer
