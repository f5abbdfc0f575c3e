"""What a diagnosis keeps of one layer at one step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from igaviz.checks.finding import Finding, Verdict
from igaviz.checks.table import find_check
from igaviz.checks.telling import ASIDE
from igaviz.checks.verdicts import worst
from igaviz.format import MapId
from igaviz.metrics.inputs import Inputs
from igaviz.metrics.sketch import Sketch

HEAD_MEANS = ("gamma", "geometry_effect", "geometry_ratio")
"""Metrics of which a layer's verdict keeps each head's mean: the information on γ needs them."""

LAYER_MEANS = find_check("getting-sick").metrics
"""Metrics of which it keeps the mean over all heads: the trend needs them."""


@dataclass(frozen=True)
class LayerVerdict:
    """All that a diagnosis keeps of one layer at one step; small, and safe to send to a process.

    A layer is judged from all of its heads, `of_heads` of them, and told of may be some: what
    follows is of these, where it doesn't say that it is of the layer. `items` counts the batch
    items of all ranks. `findings` go by layer, `by_map` are the maps that fired, each as a finding.
    `judged` are the ids of the checks that decided on one map at least, selected or not. `shown`
    are the ids of all checks that the layer shows, those told under another included. `heads` holds
    each head's verdict, `of_maps` each map's, `skipped` counts maps by (check id, reason),
    `head_means` holds the mean over items of a few metrics, by metric and head, `layer_means` that
    of others over the layer. `inputs` are the batch items. `sketches` stand for the maps of the
    layer, by (rank, batch item, head): what trends over steps compare.
    """

    run: str
    phase: str
    step: int
    layer: int
    of_heads: int
    items: int
    maps: int
    findings: tuple[Finding, ...]
    by_map: tuple[Finding, ...]
    judged: frozenset[str]
    shown: frozenset[str]
    heads: Mapping[int, Verdict]
    of_maps: Mapping[MapId, Verdict]
    skipped: Mapping[tuple[str, str], int]
    head_means: Mapping[str, Mapping[int, float]]
    layer_means: Mapping[str, float]
    inputs: Inputs
    sketches: Mapping[tuple[int, int, int], Sketch]

    @property
    def verdict(self) -> Verdict:
        """The worst of the heads' verdicts."""
        return worst(self.heads.values())

    @property
    def of_items(self) -> tuple[Finding, ...]:
        """What is said of items as a whole, and makes their numbers doubtful."""
        return tuple(f for f in self.findings if f.layer is None and f.id not in ASIDE)
