"""What `igaviz explain` and the docs tell of each check beyond the table: origin and example."""

from __future__ import annotations

from typing import NamedTuple


class Background(NamedTuple):
    """Where a check's thresholds come from, and a case from real runs."""

    origin: str
    example: str


BACKGROUND = {
    "D001": Background(
        "A sound layer has no such number; one is enough.",
        "A log-determinant of a covariance that lost its volume is −∞, and the softmax of it NaN. "
        "−∞ in `logits_before` where the attention is 0 is a mask and not counted.",
    ),
    "D002": Background(
        "Rounding of the type that the attention went through: bfloat16 weights miss a sum of 1 "
        "by up to 2.9e-3 where all is well.",
        "Weights that were recorded after dropout: kept ones are scaled up, the others are 0.",
    ),
    "D003": Background(
        "A row may be off by 5e-3 + 2u·max(|S| + |G|), u being the rounding of the type that the "
        "logits were computed in; the maximum runs over keys that get over 1e-3. In bfloat16, "
        "logits of 24 reach a tolerance of 0.1, in float16 logits of 195.",
        "A layer that recorded γ × overlap, and whose softmax never saw γ.",
    ),
    "D004": Background(
        "Consecutive Cα are 3.8 Å apart in every protein. Coordinates noised by 20 Å may have a "
        "median of 38 Å too: the distance between its quartiles is 0.6 of it then, 0.01 in a "
        "protein, 0.1 in one noised by 0.2 Å.",
        "A tool that drew its line for neighbours at 8, on coordinates in nm: at 80 Å every "
        "residue is a neighbour.",
    ),
    "D101": Background(
        "Measured on trained runs of the real layer: the share that geometry moves is 0.25 where "
        "it is used (γ 0.018) and 0.025, 0.05 at most in nine maps of ten, where γ was held at "
        "0.0001; the spread is 0.046 at least in the one, 0.033 at most in the other. It used to "
        "judge from step 0, and called healthy networks of this layer ill until step 100: "
        "untrained, geometry moves 0.02 to 0.03 here at a spread of 0.03 to 0.06, and both grow "
        "beyond the thresholds by step 200.",
        "γ held at 0.0001: geometry moves 2.5 % of attention in the median map. γ held at 0.003 is "
        "not blind after 700 steps: the Gaussians narrow to make up for it (0.06 → 0.17).",
    ),
    "D102": Background(
        "The guide that users of the layer know.",
        "γ of 0.016–0.021, and geometry moves 25 % of attention.",
    ),
    "D103": Background(
        "Proposed: well below the least spread of a healthy map (0.046). The guide asks for 0.1 "
        "over all pairs, which grows with the protein.",
        "Gaussians far wider than 15 Å overlap alike with everything that is nearer.",
    ),
    "D104": Background(
        "Measured: at most 3.9 on any map of a healthy run, 15.5 in the median where γ was "
        "learned from 1.3, 20 at least where it was held at 5.",
        "γ of 0.94 on a bias that was normalised to unit variance: the bias was hundreds of times "
        "the scalar logits, and learning stalled.",
    ),
    "D105": Background(
        "Proposed: both signs point the wrong way, and the trend is clear.",
        "A bias that was truly subtracted in training: two layers switched geometry off "
        "(geometry_effect 0.7 → 0.05); gamma-too-small is then told under this.",
    ),
    "D106": Background(
        "Proposed; learned γ went from 0.018 to 0.016–0.021 in a healthy run.",
        "γ that is held, or that the optimiser was not given.",
    ),
    "D107": Background(
        "Measured: 13.5 Å in the median of a healthy run and 7.2 at its lower tenth, 4.3 in the "
        "median where γ was learned from 1.3, 3.7 where it was held at 5.",
        "σ at its floor: under 6 Å from step 0 on; the next residue is all that geometry sees.",
    ),
    "D201": Background(
        "The history of the real layer: sick runs had local over global attention of 1.11–1.29.",
        "Q·K and the bias held at zero.",
    ),
    "D202": Background(
        "Measured: 0.013 in the median of a healthy run and 0.48 at most.",
        "A steep bias with the Gaussians' centres held at the residue; with free centres a steep "
        "bias turns one-hot elsewhere.",
    ),
    "D203": Background(
        "Measured: under 0.04 in nine maps of ten of a healthy run (0.66 at most: single heads "
        "may be one-hot); sick runs of the real layer had 0.6–1.0.",
        "γ held at 5: 80 % of queries are one-hot in the median map.",
    ),
    "D204": Background(
        "Measured: 3.6 at most in a healthy run, 16 at least with γ held at 5; in the history of "
        "the real layer the bias reached magnitudes of 1e4 to 1e8.",
        "A log-determinant without a clamp, of Gaussians that shrink.",
    ),
    "D205": Background(
        "Measured log-determinants in ln nm⁶: down to −14.8 in healthy runs, −19.0 with σ at its "
        "floor of 0.03 nm; sick runs of the real layer had −33 to −39. The threshold was −16 when "
        "−12.6 was the lowest healthy one known, and stands between the two again.",
        "Learned log-scales without a bound: every axis ends at the floor.",
    ),
    "D206": Background(
        "Proposed: 1 is what blind attention gives. Some heads of a healthy run are there, hence "
        "the share of heads: half of them used to be enough, and a healthy layer of four heads "
        "with two such heads was warned of.",
        "A layer whose geometry is unused and whose Q·K follows the sequence alone.",
    ),
    "D207": Background(
        "The guide that users of the layer know.",
        "82 % of the maps of a healthy run lie outside; the same chain cut to 80 and to 120 "
        "residues has 0.97 and 2.5.",
    ),
    "D208": Background(
        "Proposed; the share of a key in uniform attention is 1 ÷ N, hence the second bound.",
        "A padded residue that escaped the mask, or an end of the chain.",
    ),
    "D209": Background(
        "Proposed. The cosine is estimated from 48 random forms of each map, so that no map is "
        "kept; near 1 the estimate is good to about 0.01.",
        "Heads that were copied from one another.",
    ),
    "D210": Background(
        "Proposed; of the trained runs that the page's calibration tells of, none that is healthy "
        "comes near.",
        "One-hot queries grow from 5 % to 25 % of all over ten recorded steps.",
    ),
    "D211": Background(
        "Measured: the page's calibration has the share that moved in healthy and in frozen "
        "networks.",
        "A network of which everything but the last layer was frozen.",
    ),
}
"""By the id of the check."""
