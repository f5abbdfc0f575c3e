"""The names of what is measured, in the order of every table, and the constants behind them.

The numpy readers and the recorder's torch twin share this one page of definitions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

CONTACT_RADIUS: Final = 8.0
"""Å: residues closer than this are in contact, whatever the radius of `local`."""

NEAR_RADIUS: Final = 15.0
"""Å: the keys over which the spread of a row does not grow with the protein."""

NEAR_KEYS: Final = 3
"""Queries with fewer near keys have no spread to speak of and are left out."""

LONG_RANGE: Final = 6
"""Residue numbers apart (or another chain): neighbours in space that sequence doesn't explain."""

OFFSET_LIMIT: Final = 32
"""Residue offsets are clipped to ± this; keys in another chain are a class of their own."""

BIN_LIMIT: Final = 1024
"""Å: farther pairs belong to no distance bin, so that a stray coordinate costs no memory."""

BIN_PAIRS: Final = 20
"""A distance bin with fewer pairs has no mean."""

RANGE_START: Final = 3
"""Å: where the bins of `geo_range` begin."""

TREND_BINS: Final = 3
"""A trend over fewer distance bins is none."""

FLAT_STD: Final = 1e-6
"""Nats: queries whose logits vary less than this have no geometry ratio."""

SATURATED: Final = 0.9
"""A query that gives one key more than this share is saturated."""

BEYOND: Final = "beyond"
"""`geo_range` where the bias never falls by a nat."""


@dataclass(frozen=True)
class Metric:
    """One number of a map: its name, its unit ("" for a pure number), a title, what it means."""

    name: str
    unit: str
    title: str
    means: str


def capital(name: str) -> str:
    """`name` as a sentence begins with it: a capital letter; a sign stays itself, Γ is not γ."""
    return name[:1].upper() + name[1:] if name[:1].isascii() else name


METRICS: Final = (
    Metric("gamma", "", "γ", "the learned weight of the geometric term, as recorded"),
    Metric("geo_bias_mean", "nat", "bias mean", "mean of the geometric bias over pairs"),
    Metric(
        "geo_bias_std",
        "nat",
        "bias std",
        "spread of the geometric bias over all pairs; grows with the protein",
    ),
    Metric(
        "geo_bias_absmax",
        "nat",
        "bias max",
        "largest magnitude of the geometric bias; grows with the protein",
    ),
    Metric(
        "geo_bias_std_near",
        "nat",
        "bias std near",
        "median over queries of the bias's spread over keys within 15 Å",
    ),
    Metric(
        "geometry_ratio",
        "",
        "geometry ratio",
        "median over queries of the bias's spread by that of the logits before it",
    ),
    Metric(
        "geometry_ratio_near",
        "",
        "geometry ratio near",
        "the geometry ratio over keys within 15 Å; does not grow with the protein",
    ),
    Metric(
        "geometry_effect", "", "geometry effect", "the share of attention that geometry moves, 0–1"
    ),
    Metric(
        "content_effect", "", "content effect", "the share of attention that content moves, 0–1"
    ),
    Metric(
        "geo_range",
        "Å",
        "geometry range",
        "distance at which the mean bias has fallen 1 nat below its value at 3 Å; "
        "`beyond` where it never does",
    ),
    Metric(
        "neighbour_shift",
        "nat",
        "neighbour shift",
        "how far the bias lifts local keys above the mean of their row",
    ),
    Metric("bias_trend", "", "bias trend", "rank correlation of distance and mean bias"),
    Metric(
        "attention_trend", "", "attention trend", "rank correlation of distance and mean attention"
    ),
    Metric("local_attn", "", "local attention", "mean attention of local pairs"),
    Metric("global_attn", "", "global attention", "mean attention of all other pairs"),
    Metric("local_global_ratio", "", "local/global", "local by global attention"),
    Metric("local_mass", "", "local mass", "the share of its attention that a query gives locally"),
    Metric(
        "local_enrichment",
        "",
        "local enrichment",
        "local attention by what blind attention would give: 1 is blind",
    ),
    Metric("local_gain", "", "local gain", "the part of the local enrichment that geometry brings"),
    Metric(
        "longrange_enrichment",
        "",
        "long-range enrichment",
        "local enrichment among residues that are far apart in sequence",
    ),
    Metric(
        "longrange_gain",
        "",
        "long-range gain",
        "the part of the long-range enrichment that geometry brings",
    ),
    Metric(
        "sequence_share",
        "",
        "sequence share",
        "the share of the logits' variance that the offset in sequence explains",
    ),
    Metric("self_mass", "", "self mass", "the attention of a residue to itself"),
    Metric(
        "saturation", "", "saturation", "share of queries that give one key more than 0.9 of it all"
    ),
    Metric(
        "content_saturation",
        "",
        "content saturation",
        "the saturation that the logits would give without geometry",
    ),
    Metric("sink", "", "sink", "the most that one key draws from the mean query"),
    Metric("entropy", "nat", "entropy", "mean entropy of a query's attention"),
    Metric("uniform_kl", "nat", "KL to uniform", "ln N less the entropy: 0 is uniform"),
    Metric("mean_distance", "Å", "mean distance", "how far attention reaches on average"),
    Metric(
        "contact_precision",
        "",
        "contact precision",
        "share of the N strongest long-range pairs that are in contact",
    ),
    Metric(
        "contact_lift",
        "",
        "contact lift",
        "contact precision by the share of contacts among all long-range pairs: 1 is chance",
    ),
    Metric("row_sum_error", "", "row-sum error", "how far a row's attention is from summing to 1"),
    Metric(
        "replay_error",
        "",
        "replay error",
        "how far the recorded terms are from giving the recorded attention",
    ),
    Metric("nonfinite", "", "non-finite", "count of NaN and infinities"),
)
"""Every metric, in the order of columns."""

LARGEST: Final = frozenset({"geo_bias_absmax", "sink", "row_sum_error", "replay_error"})
"""Extremes: of several maps the largest counts, where others take the mean."""

SUMMED: Final = frozenset({"nonfinite"})
"""Counts: several maps have the sum."""

BOUNDS: Final[Mapping[str, tuple[float, float]]] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                "geometry_effect",
                "content_effect",
                "local_mass",
                "sequence_share",
                "self_mass",
                "saturation",
                "content_saturation",
                "sink",
                "contact_precision",
            ),
            (0.0, 1.0),
        ),
        **dict.fromkeys(("bias_trend", "attention_trend"), (-1.0, 1.0)),
    }
)
"""Between which numbers a metric lies: shares of a whole, and correlations."""

OF_ONE_RESIDUE: Final = frozenset({"gamma", "self_mass", "entropy", "row_sum_error", "nonfinite"})
"""What a single residue has: the others are of pairs."""
