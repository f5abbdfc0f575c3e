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
        "The log-determinant of a covariance that lost its volume is −∞, and its softmax NaN. "
        "−∞ in `logits_before` where the attention is 0 is a mask and not counted.",
    ),
    "D002": Background(
        "Rounding of the type that the attention went through: bfloat16 weights miss a sum of 1 "
        "by up to 2.9e−3 where all is well.",
        "Weights that were recorded after dropout: kept ones are scaled up, the others are 0.",
    ),
    "D003": Background(
        "A row may be off by 5e−3 + 2u·max(|S| + |G|), u being the rounding of the type that the "
        "logits were computed in; the maximum runs over keys that get over 1e−3. In bfloat16, "
        "logits of 24 reach a tolerance of 0.1, in float16 logits of 195.",
        "A layer that recorded γ × overlap, and whose softmax never saw γ.",
    ),
    "D004": Background(
        "Consecutive Cα are 3.8 Å apart in every protein. Coordinates noised by 20 Å may have a "
        "median of 38 Å too: the distance between its quartiles is 0.6 of it then, 0.01 in a "
        "protein, 0.1 in one noised by 0.2 Å.",
        "A tool that took 8 as its limit for neighbours, on coordinates in nm: at 80 Å every "
        "residue is a neighbour.",
    ),
    "D005": Background(
        "A mask is −5,000 or less; it lies at least five times the range of the map's other logits "
        "below them; and the logits under it differ by at most twice that range, or by 1/64 of "
        "their magnitude, which is what rounding to bfloat16 leaves. The logits of a model that "
        "diverged are as large, but seldom leave such a gap.",
        "A layer that recorded its logits with −1e9 on padded keys: their spread is the mask's, "
        "`geometry_ratio` a millionth of what it is, and geometry-dominates never speaks.",
    ),
    "D006": Background(
        "One residue is worth a note, and no more: its distances are left out, so no number is "
        "wrong.",
        "A loop that the experiment did not resolve, with NaN for coordinates; or the first layer "
        "of a structure module whose frames all start at the origin.",
    ),
    "D007": Background(
        "No two Cα are nearer than 2.8 Å in 40 chains of the Protein Data Bank, nor in the "
        "noised coordinates of the sample data; 1,000 residues noised by 10 Å have two within "
        "0.01 Å of each other in one of 20,000 draws. Two are enough for a warning: put at the "
        "centre of the chain of sample_data/healthy, 84 residues, they are in 6 % of its local "
        "pairs, and in the median map `longrange_enrichment` is off by 10 %, `contact_lift` by "
        "20 %.",
        "A loop of five residues that the experiment did not resolve, stored as zeros in that "
        "chain: they are in 16 % of its local pairs, `longrange_enrichment` is off by 21 % in the "
        "median map, `contact_lift` by 37 %, and geometry-too-short calls a healthy layer ill.",
    ),
    "D101": Background(
        "Measured on the calibration's trained networks. Where γ was held at 0.0001 the bias "
        "spreads over 0.008 nats at most on seed 0, in healthy networks over 0.029 at least at "
        "any step; 0.015 is half way, on a scale of factors. A network of this layer starts where "
        "geometry moves 2 to 6 % of attention at a spread of 0.03 to 0.06, and some layers stay "
        "there for hundreds of steps (single heads of sample_data/healthy until step 900), so "
        "0.05 is the bound only from step 1000 on. Before that, it applies only where the bias no "
        "longer falls with distance: the trend is −0.95 at most on every healthy map of seed 0, "
        "and −0.69 at least where the bias was subtracted until the layers switched it off.",
        "sample_data/gamma_too_small, γ held at 0.0001: geometry moves 0.04 % of attention in the "
        "median map, 0.64 % at most, and 18 % in sample_data/healthy. γ held at 0.003 is a "
        "borderline case: the Gaussians narrow to make up for it, and most layers use geometry "
        "by step 500.",
    ),
    "D102": Background(
        "A rule of thumb that users of the layer know.",
        "sample_data/healthy: γ of 0.019–0.025, and geometry moves 18 % of attention in the "
        "median map.",
    ),
    "D103": Background(
        "As in gamma-too-small for young layers. No training brought it about by itself. The rule "
        "of thumb asks for 0.1 over all pairs, which grows with the protein.",
        "Gaussians far wider than 15 Å, which overlap equally with everything nearer than that.",
    ),
    "D104": Background(
        "Measured on the calibration's trained networks: 3.6 at most on any map of a healthy one, "
        "11 in the median where γ was learned from 1.3 on, 12 at least where it was held at 5. "
        "Before training content may be weak for no other reason: a model of invariant point "
        "attention without a pair bias was at 4.3 to 5.2 at step 0, and at 3.0 to 3.7 by step 200.",
        "γ of 0.94 on a bias that was normalised to unit variance: the bias was hundreds of times "
        "the scalar logits, and learning stalled.",
    ),
    "D105": Background(
        "Proposed: both signs point the wrong way, and the trend is clear. No healthy map has "
        "either sign.",
        "A bias that was truly subtracted in training: the layers switch geometry off (it moves "
        "1.5 % of attention in the median map, 3 % before training); gamma-too-small is then told "
        "under this.",
    ),
    "D106": Background(
        "Measured: in the first 50 steps γ of a healthy layer changes by at most 1.4 %, by step "
        "200 by 9–15 % on seed 0. Over fewer than 200 steps, a γ that doesn't move says nothing.",
        "A γ that is held fixed, or that the optimiser was not given.",
    ),
    "D107": Background(
        "Measured on the calibration's trained networks: 10 Å in the median of healthy ones and "
        "6.9 at their lower tenth, 4.2 in the median where γ was learned from 1.3 on, 3.8 where "
        "it was held at 5. A trained network whose bias falls with the logarithm of the distance "
        "was not ill at 5.2–6 Å: such a bias goes on falling, geometry moved 57–76 % of attention, "
        "and neighbours far apart in sequence got 7–17 times their share.",
        "σ at its floor: under 6 Å from step 0 on; the next residue is all that geometry sees.",
    ),
    "D201": Background(
        "The history of the real layer: sick runs had local over global attention of 1.11–1.29.",
        "Q·K and the bias held at zero.",
    ),
    "D202": Background(
        "Measured on the calibration's trained networks: 0.02 in the median of healthy ones and "
        "0.21 at most.",
        "sample_data/diagonal_collapse, a steep bias with the Gaussians' centres held at the "
        "residue: 1 in the median map. With free centres a steep bias turns one-hot elsewhere.",
    ),
    "D203": Background(
        "Measured on the calibration's trained networks: 0 in nine of ten maps of healthy ones, "
        "though single heads of these are one-hot all the same (0.99 on one, 0.42 on one of "
        "sample_data/healthy); sick runs of the real layer had 0.6–1.0.",
        "γ held at 5: 52 % of queries are one-hot in the median map.",
    ),
    "D204": Background(
        "Measured on the calibration's trained networks: 2.4 at most in healthy ones, 20 in the "
        "median where γ was held at 5; in the history of the real layer the bias reached "
        "magnitudes of 1e4 to 1e8.",
        "A log-determinant without a clamp, of Gaussians that shrink.",
    ),
    "D205": Background(
        "Measured log-determinants in ln nm⁶: −14.7 at least in healthy networks on seed 0, −19.0 "
        "with σ at its floor of 0.03 nm; −17 stands between the two. Sick runs of the real layer "
        "had −33 to −39.",
        "Learned log-scales without a bound: every axis ends at the floor.",
    ),
    "D206": Background(
        "Proposed: 1 is what blind attention gives. Some heads of a healthy run are there, hence "
        "the share of heads: half of them would not do, since a healthy layer of four heads had "
        "two such heads.",
        "A layer whose geometry is unused and whose Q·K follows the sequence alone.",
    ),
    "D207": Background(
        "A rule of thumb that users of the layer know.",
        "71 % of the maps of sample_data/healthy lie outside; in trained networks the median map "
        "of a protein of 50 residues has 2.6, that of one of 600 has 34.",
    ),
    "D208": Background(
        "Proposed; the share of a key in uniform attention is 1 ÷ N, hence the second bound.",
        "A padded residue that escaped the mask, or an end of the chain.",
    ),
    "D209": Background(
        "Proposed. The cosine is estimated from 48 random forms of each map, so that no map need "
        "be kept; near 1 the estimate is good to about 0.01.",
        "Heads that were copied from one another.",
    ),
    "D210": Background(
        "Proposed; none of the healthy runs of the calibration comes near.",
        "One-hot queries grow from 5 % to 25 % of all over ten recorded steps.",
    ),
    "D211": Background(
        "Measured: the calibration gives the share that moved in healthy and in frozen networks.",
        "A network of which everything but the last layer was frozen.",
    ),
}
"""By the id of the check."""
