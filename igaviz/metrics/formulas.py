"""How each metric is computed, what it can be, and what must be recorded for it: for people.

The letters are those of `LEGEND`. `igaviz explain METRIC` and docs/metrics.md print them.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

LEGEND: Final = (
    ("A", "the attention weights of one map: one head of one layer of one batch item; row i is a "
     "query, column j a key"),
    ("S", "`logits_before`, the logits without geometry"),
    ("G", "the effective geometric bias, `geo_bias_sign` × `geo_bias`"),
    ("d", "the Cα–Cα distance in Å"),
    ("N", "the number of residues, those of padding included where it was recorded"),
    ("pairs", "all ordered i ≠ j, as attention is not symmetric, keys of padding included where it "
     "was recorded"),
    ("local", "pairs with d < 8 Å, or what `--radius` says"),
    ("global", "the other pairs"),
    ("long-range", "pairs in different chains, or at least 6 residue numbers apart"),
    ("std", "the standard deviation, divided by the number and not by one less"),
    ("mean_i, median_i", "over queries whose row is finite"),
)  # fmt: skip
"""What the formulas write, and what it stands for."""


@dataclass(frozen=True)
class Formula:
    """How a metric is computed: its `text`, its `range`, and the `terms` that it needs.

    Every dump has Cα coordinates. No `terms`: whatever was recorded.
    """

    text: str
    range: str
    terms: tuple[str, ...]


_G = ("geo_bias",)
_S = ("logits_before",)
_A = ("attention",)
_SG = ("logits_before", "geo_bias")
_SA = ("logits_before", "attention")
_SGA = ("logits_before", "geo_bias", "attention")
_SHARE = "0 to 1"
_SIGNED = "−1 to 1"
_POSITIVE = "0 or more"
_ANY = "any number"

FORMULAS: Final = MappingProxyType(
    {
        "gamma": Formula("γ", _ANY, ("gamma",)),
        "geo_bias_mean": Formula("mean of G_ij over pairs", _ANY, _G),
        "geo_bias_std": Formula("std of G_ij over pairs", _POSITIVE, _G),
        "geo_bias_absmax": Formula("max |G_ij| over pairs", _POSITIVE, _G),
        "geo_bias_std_near": Formula(
            "median_i of std_j G_ij over the keys with d_ij < 15 Å, the query included; queries "
            "with fewer than 3 such keys are left out",
            _POSITIVE,
            _G,
        ),
        "geometry_ratio": Formula(
            "median_i of std_j G_ij ÷ std_j S_ij, over all keys; queries with std_j S_ij < 1e-6 "
            "are left out",
            _POSITIVE,
            _SG,
        ),
        "geometry_ratio_near": Formula(
            "median_i of std_j G_ij ÷ std_j S_ij, over the keys with d_ij < 15 Å, the query "
            "included; queries with fewer than 3 such keys, or std_j S_ij < 1e-6, are left out",
            _POSITIVE,
            _SG,
        ),
        "geometry_effect": Formula("mean_i of ½ Σ_j |A_ij − softmax(S)_ij|", _SHARE, _SA),
        "content_effect": Formula(
            "mean_i of ½ Σ_j |A_ij − softmax(G)_ij|", _SHARE, ("geo_bias", "attention")
        ),
        "geo_range": Formula(
            "the d at which the mean of G, in bins of 1 Å from 3 Å on with at least 20 pairs each "
            "and linear between their centres, has fallen 1 nat below that of the first bin",
            "above 3, or `beyond`",
            _G,
        ),
        "neighbour_shift": Formula(
            "mean over local pairs of G_ij − mean_j G_ij, the row's mean over all keys", _ANY, _G
        ),
        "bias_trend": Formula(
            "Spearman's ρ of bin and mean of G in the bin, bins of 1 Å with at least 20 pairs, at "
            "least 3 of them",
            _SIGNED,
            _G,
        ),
        "attention_trend": Formula(
            "Spearman's ρ of bin and mean of A in the bin, bins of 1 Å with at least 20 pairs, at "
            "least 3 of them",
            _SIGNED,
            _A,
        ),
        "local_attn": Formula("mean of A_ij over local pairs", _SHARE, _A),
        "global_attn": Formula("mean of A_ij over global pairs", _SHARE, _A),
        "local_global_ratio": Formula("local_attn ÷ global_attn", _POSITIVE, _A),
        "local_mass": Formula("mean_i of Σ_j A_ij over local keys", _SHARE, _A),
        "local_enrichment": Formula(
            "(Σ A over local pairs ÷ Σ A over pairs) ÷ (local pairs ÷ pairs)", _POSITIVE, _A
        ),
        "local_gain": Formula(
            "local_enrichment of A ÷ local_enrichment of softmax(S)", _POSITIVE, _SA
        ),
        "longrange_enrichment": Formula(
            "(Σ A over local long-range pairs ÷ Σ A over long-range pairs) ÷ (local long-range "
            "pairs ÷ long-range pairs)",
            _POSITIVE,
            _A,
        ),
        "longrange_gain": Formula(
            "longrange_enrichment of A ÷ longrange_enrichment of softmax(S)", _POSITIVE, _SA
        ),
        "sequence_share": Formula(
            "the share of Σ_ij (S_ij − mean_j S_ij)² that is left when each S_ij − mean_j S_ij is "
            "replaced by its mean over the keys with the same residue offset (clipped to ±32; "
            "another chain is an offset of its own)",
            _SHARE,
            _S,
        ),
        "self_mass": Formula("mean_i of A_ii", _SHARE, _A),
        "saturation": Formula("share of queries i with max_j A_ij > 0.9", _SHARE, _A),
        "content_saturation": Formula(
            "share of queries i with max_j softmax(S)_ij > 0.9", _SHARE, _S
        ),
        "sink": Formula("max_j of mean_i A_ij", _SHARE, _A),
        "entropy": Formula("mean_i of −Σ_j A_ij ln A_ij, where 0·ln 0 = 0", "0 to ln N", _A),
        "uniform_kl": Formula("ln N − entropy", "0 to ln N", _A),
        "mean_distance": Formula("Σ A_ij d_ij ÷ Σ A_ij over pairs", _POSITIVE, _A),
        "contact_precision": Formula(
            "C = A + Aᵀ, its diagonal 0; of the long-range i < j the N with the largest "
            "C_ij − C_i · C_j ÷ C_all (the means of row i, of row j and of all of C); the share "
            "of these with d_ij < 8 Å, in the clean structure where one was recorded",
            _SHARE,
            _A,
        ),
        "contact_lift": Formula(
            "contact_precision ÷ the share of all long-range i < j with d_ij < 8 Å, in the clean "
            "structure where one was recorded",
            _POSITIVE,
            _A,
        ),
        "row_sum_error": Formula("max_i of |Σ_j A_ij − 1|", _POSITIVE, _A),
        "replay_error": Formula("max_ij of |A_ij − softmax(S + G)_ij|", _SHARE, _SGA),
        "nonfinite": Formula(
            "how many recorded values of S, G, A and γ are NaN or infinite; −∞ in S where A is 0 "
            "is a mask and not counted",
            "0, 1, 2, …",
            (),
        ),
    }
)
"""By the metric's name."""
