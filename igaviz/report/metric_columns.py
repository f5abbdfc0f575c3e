"""The metrics that tables on a terminal show: their titles, and which have room first."""

from __future__ import annotations

TITLES = {
    "gamma": "γ",
    "geometry_effect": "geometry\neffect",
    "geo_bias_std_near": "bias std\nnear",
    "geo_range": "range\nÅ",
    "local_global_ratio": "local/\nglobal",
    "longrange_enrichment": "long-range\nenrichment",
    "self_mass": "self\nmass",
    "saturation": "satu-\nration",
    "entropy": "entropy\nnats",
}
"""Each metric's title, in lines. Their order is that of a row: what geometry is, then what becomes
of attention."""

OF_ROWS = (
    "gamma",
    "geometry_effect",
    "saturation",
    "entropy",
    "self_mass",
    "longrange_enrichment",
    "local_global_ratio",
    "geo_bias_std_near",
    "geo_range",
)
"""Columns of `igaviz summary`, those first that stay in a narrow terminal. A row says what a layer
or a head is, and γ comes first of that."""

OF_CHANGES = (
    "geometry_effect",
    "self_mass",
    "saturation",
    "entropy",
    "gamma",
    "longrange_enrichment",
    "geo_bias_std_near",
    "local_global_ratio",
)
"""Columns of `igaviz compare`, in their order, those first that stay in a narrow terminal. A change
is one of what attention does before it is one of γ, a parameter; `geo_range` may be a word, and
has no change then."""
