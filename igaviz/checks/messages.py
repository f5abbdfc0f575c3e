"""What a finding says: one or two plain sentences with the numbers of the maps that fired."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from igaviz.checks import causes
from igaviz.checks.rules import CA_STEP, Outcome, Thresholds
from igaviz.checks.wording import number, span
from igaviz.metrics.data import Measurement
from igaviz.metrics.table import capital
from igaviz.percent import percent

CONTENT = "content (Q·K + pair bias)"
"""What geometry is weighed against: the logits without it."""

FITS = {
    "without geometry": "softmax(S) alone gives it: the geometric term was not added (was γ "
    "applied, and before the softmax?)",
    "geometry subtracted": "softmax(S − G) gives it: the term is subtracted, or `geo_bias_sign` "
    "is wrong",
    "geometry without γ": "softmax(S + γ·G) gives it: `geo_bias` was recorded before γ was "
    "multiplied in: record the term as it enters the logits, γ included",
    "attention transposed": "the attention with its axes swapped is what they give: record it as "
    "[query, key], each row a softmax over keys",
    "geometry alone": "softmax(G) alone gives it: the scalar logits were not added",
    "later keys masked": "it fits with a mask that hides later residues from a query (causal, or "
    "by blocks) and is in none of the terms: add it to `logits_before`, as −∞",
    "without pair bias": "it fits without the pair bias: `logits_before` holds one that the "
    "attention never saw",
}


@dataclass(frozen=True)
class Evidence:
    """The maps on which one check fired, the worst first, and the thresholds it went by.

    `brief` where it is told under another finding, which names the cause. `wrong_unit` where D004
    was found on the item of the worst map: then that is the cause of what goes by distance.
    """

    fired: tuple[tuple[Measurement, Outcome], ...]
    thresholds: Thresholds
    brief: bool = False
    wrong_unit: bool = False

    @property
    def worst(self) -> Measurement:
        """The map that is furthest beyond the threshold."""
        return self.fired[0][0]

    def span(self, metric: str, say: Callable[[float], str] = number) -> str:
        """The range of a metric over the maps that fired."""
        values = [m.number(metric) for m, _ in self.fired]
        return span((value for value in values if value is not None), say)

    def with_cause(self, said: str, cause: str) -> str:
        """What is said, and the cause that the numbers point to; a wrong unit before all others."""
        if self.wrong_unit:
            cause = _WRONG_UNIT
        return said if self.brief or not cause else f"{said} {cause}"


Say = Callable[[Evidence], str]

_WRONG_UNIT = (
    "Distances of this item are off by a factor of ten (D004 unit-suspect), and this may follow "
    "from it. What to do first: mend the unit."
)


def non_finite(e: Evidence) -> str:
    """How many numbers are broken."""
    count = e.span("nonfinite")
    numbers = "1 number of a map is" if count == "1" else f"{count} numbers of a map are"
    return f"{numbers} NaN or infinite."


def rows_not_normalised(e: Evidence) -> str:
    """How far row sums are off, and what the type allows."""
    allowed = number(e.fired[0][1].conditions[0].threshold)
    return (
        f"Rows of the attention miss a sum of 1 by up to {number(_known(e, 'row_sum_error'))}, "
        f"where {e.worst.attention_dtype} allows {allowed}."
    )


def terms_disagree(e: Evidence) -> str:
    """How far softmax(S + G) is off, and which reading of the terms fits."""
    share, error = e.fired[0][1].conditions
    fits = e.worst.replay.fits if e.worst.replay else None
    reading = FITS.get(fits, fits) if fits else "no other reading of the terms that was tried fits"
    if e.worst.replay and e.worst.replay.masked_keys:
        reading = (
            f"it fits without {e.worst.replay.masked_keys} of {e.worst.n_residues} keys, which no "
            "other residue attends: padding was recorded (pass `mask=` to `tap`, and it is cut "
            "out), or a mask that is in none of the terms"
        )
    return (
        f"softmax(S + G) misses the recorded attention on {percent(share.value or 0.0)} of rows, "
        f"by up to {number(error.value or 0.0)}; {reading}."
    )


def unit_suspect(e: Evidence) -> str:
    """How far consecutive Cα are apart, and which mix-up gives that."""
    step = e.fired[0][1].conditions[0].value or 0.0
    factor, units = (
        ("ten times", ("nanometer", "Å were recorded as nm"))
        if step > CA_STEP
        else ("a tenth of", ("angstrom", "nm were recorded as Å"))
    )
    as_if = f", as if {units[1]}" if e.worst.length_unit == units[0] else ""
    return (
        f"With lengths read as {e.worst.length_unit}, consecutive Cα are {number(step)} Å apart, "
        f"{factor} the {CA_STEP} Å of a real chain{as_if}."
    )


def mask_in_logits(e: Evidence) -> str:
    """How much is masked, and by what; which of it must be padding."""
    mask = e.worst.mask
    assert mask is not None
    pairs = f"On {percent(e.fired[0][1].conditions[0].value or 0.0)} of pairs"
    if math.isfinite(mask.value):
        said = (
            f"{pairs} the logits are {number(mask.value)} or less, far below all others, and "
            "attention is 0: a mask was added inside `logits_before`, and is read as −∞."
        )
    else:
        said = f"{pairs} the logits are −∞ and attention is 0."
    if not mask.keys:
        return said
    return (
        f"{said} For every query it hides {mask.keys:,} of {e.worst.n_residues:,} keys: padding "
        "was recorded. Its queries are left out, its keys still count in uniform_kl, the "
        "enrichments and the local and global means, and contact_precision and D209 say nothing: "
        "pass `mask=` to `tap`, and all of it is cut out."
    )


def coordinates_missing(e: Evidence) -> str:
    """How many residues have no coordinates, or that no two are apart."""
    found = e.worst.unplaced
    assert found is not None
    said = []
    if found.missing:
        said.append(
            f"{found.missing:,} of {e.worst.n_residues:,} residues have no finite coordinates: "
            "they are in no pair that goes by distance, and what does is said of the others."
        )
    if found.no_extent:
        said.append(
            f"In layer {e.worst.id.layer} all residues lie on one point: there are no distances, "
            "and what goes by them says nothing there."
        )
    return " ".join(said)


def residues_on_one_point(e: Evidence) -> str:
    """How many residues are not apart, and in how much of what is local they are."""
    found = e.worst.unplaced
    assert found is not None
    return (
        f"{found.piled:,} of {e.worst.n_residues:,} residues lie on one point with others, where "
        f"no real ones can, and count as touching: they are in {percent(found.local_share)} of the "
        "local pairs."
    )


def gamma_too_small(e: Evidence) -> str:
    """What geometry moves; whether γ or the spread is what is small, and how far γ is off."""
    t = e.thresholds
    return e.with_cause(
        f"Geometry moves only {e.span('geometry_effect', percent)} of attention, its bias differs "
        f"by {e.span('geo_bias_std_near')} nats among residues within 15 Å"
        f"{'.' if e.wrong_unit or e.brief else ':'}",
        causes.too_small(e.worst, effect=t["effect"], spread=t["spread"], least=t["young_spread"]),
    )


def gamma_moved(
    steps: tuple[int, int], first: Mapping[int, float], last: Mapping[int, float], t: Thresholds
) -> str:
    """Whether γ moved between two `steps`, by head numbers and D106's thresholds `t`.

    Empty where no head is in both, and where it has not moved in too few steps to mean anything.
    """
    first_step, last_step = steps
    heads = first.keys() & last.keys()
    if not heads:
        return ""
    if frozen(first, last, t["change"]):
        long = last_step - first_step >= t["steps"]
        return f"γ has not moved since step {first_step:,}." if long else ""
    before, now = span(first[head] for head in heads), span(last[head] for head in heads)
    if before == now:
        return f"γ has moved since step {first_step:,}, within {now}."
    return f"γ went from {before} at step {first_step:,} to {now}."


def gamma_grew(
    first_step: int, first: Mapping[int, float], last: Mapping[int, float], heads: Sequence[int]
) -> str:
    """That γ of `heads` grew large since `first_step`, and what helps; empty where it didn't.

    `first` and `last` hold it by head number.
    """
    known = [head for head in heads if head in first and head in last]
    before, now = [first[head] for head in known], [last[head] for head in known]
    if not causes.grew_large(before, now):
        return ""
    return (
        f"γ grew from {span(before)} at step {first_step:,} to {span(now)}: a smaller learning "
        "rate for it may be enough."
    )


def frozen(first: Mapping[int, float], last: Mapping[int, float], change: float) -> bool:
    """Whether there are heads with γ at both times, and none moved by over `change` of its size."""
    heads = first.keys() & last.keys()
    return bool(heads) and all(
        abs(last[head] - first[head]) <= change * abs(first[head]) for head in heads
    )


def bias_flat(e: Evidence) -> str:
    """How little the bias differs."""
    return e.with_cause(
        f"The bias differs by only {e.span('geo_bias_std_near')} nats among residues within 15 Å: "
        "it doesn't tell pairs apart.",
        "",
    )


def geometry_dominates(e: Evidence) -> str:
    """How many times geometry outweighs content, what content still moves, and the cause."""
    content = e.span("content_effect", percent)
    still = "" if content == "not finite" else f"; content moves {content} of attention"
    factor = _known(e, "geometry_ratio_near") / e.thresholds["ratio"]
    return e.with_cause(
        f"Among residues within 15 Å geometry spreads the logits {e.span('geometry_ratio_near')} "
        f"times as far as {CONTENT}{still}.",
        causes.too_steep(e.worst, factor, weak_content=True),
    )


def geometry_inverted(e: Evidence) -> str:
    """How much lower the bias is at neighbours, and how it rises: in whatever unit."""
    return (
        f"The bias is lower at neighbours than elsewhere (by {_magnitudes(e, 'neighbour_shift')} "
        f"nats) and rises with distance (rank correlation {e.span('bias_trend')})."
    )


def geometry_too_short(e: Evidence) -> str:
    """Where the bias has fallen off, and the cause."""
    factor = causes.range_factor(_known(e, "geo_range"), e.thresholds["range"])
    short = f"The bias has fallen by 1 nat at {e.span('geo_range')} Å already"
    if e.worst.number("geometry_effect") is not None:
        short += f", and geometry moves {e.span('geometry_effect', percent)} of attention"
    return e.with_cause(
        f"{short}; the next residue is {CA_STEP} Å away.",
        causes.too_steep(e.worst, factor),
    )


def attention_uniform(e: Evidence) -> str:
    """How close attention is to uniform."""
    return (
        f"Attention is within {e.span('uniform_kl')} nats of uniform; neighbours get "
        f"{e.span('local_enrichment')} times what blind attention gives them."
    )


def diagonal_collapse(e: Evidence) -> str:
    """How much of its attention a residue keeps."""
    geometry, content = e.worst.number("geometry_effect"), e.worst.number("content_effect")
    which = ""
    if geometry is not None and content is not None:
        which = (
            f"; geometry moves {percent(geometry)} of attention, content {percent(content)}, so "
            f"{'content' if content > geometry else 'geometry'} does it"
        )
    said = f"A residue gives {e.span('self_mass', percent)} of its attention to itself{which}."
    return e.with_cause(said, causes.too_sharp(e.worst))


def softmax_saturated(e: Evidence) -> str:
    """How many queries are one-hot, and whether content does it without geometry."""
    content = e.worst.number("content_saturation")
    which = ""
    if content is not None and content > e.thresholds["share"]:
        which = f"; {CONTENT} alone saturates {percent(content)}, so content does it"
    elif content is not None:
        # What geometry alone would saturate is not measured.
        which = f"; {CONTENT} alone would saturate {percent(content)}: only with geometry does it"
    said = (
        f"{e.span('saturation', percent)} of queries give more than 90 % of their attention to "
        f"one key{which}."
    )
    if content is None:
        return said
    does_it = content > e.thresholds["share"]
    return e.with_cause(said, causes.too_sharp(e.worst, content_does_it=does_it))


def bias_explodes(e: Evidence) -> str:
    """How far the bias differs among near residues, and the cause."""
    return e.with_cause(
        f"The bias differs by {e.span('geo_bias_std_near')} nats (one standard deviation) among "
        "residues within 15 Å.",
        causes.too_steep(e.worst, _known(e, "geo_bias_std_near") / e.thresholds["spread"]),
    )


def sigma_collapse(e: Evidence) -> str:
    """How many axis lengths are at the floor, and how small the Gaussians are."""
    shares = [m.sigma_floor_share for m, _ in e.fired if m.sigma_floor_share is not None]
    volumes = [m.log_det_min for m, _ in e.fired if m.log_det_min is not None]
    parts = []
    if shares:
        parts.append(f"{span(shares, percent)} of axis lengths are at their floor")
    if volumes:
        parts.append(f"the smallest log-determinant is {span(volumes)} in ln nm⁶")
    return f"{capital(', '.join(parts))}."


def no_locality(e: Evidence) -> str:
    """What neighbours get."""
    return e.with_cause(
        f"Neighbours in space get {e.span('local_enrichment')} times the attention that blind "
        "attention gives them.",
        "",
    )


def attention_sink(e: Evidence) -> str:
    """What the one key takes."""
    return f"One key takes {e.span('sink', percent)} of all attention."


def heads_redundant(e: Evidence) -> str:
    """How alike heads are."""
    cosines = [m.twin_cosine for m, _ in e.fired if m.twin_cosine is not None]
    return (
        f"Less the uniform map, each of these heads' maps has a cosine of {span(cosines)} with "
        "that of another head."
    )


def getting_sick(metric: str, first_step: int, before: float, last_step: int, now: float) -> str:
    """Which number grows, from when and how far."""
    what = {
        "saturation": "Queries that give more than 90 % of their attention to one key",
        "self_mass": "What residues keep of their attention",
    }[metric]
    return (
        f"{what}: {percent(before)} on average in the first third of the recorded steps (from "
        f"{first_step:,}), {percent(now)} in the last (to {last_step:,}), and it grows steadily."
    )


def nothing_moves(first_step: int, last_step: int, share: float) -> str:
    """How little attention moved, and between which steps."""
    return (
        f"On the same input, attention differs by {percent(share)} of its structure between step "
        f"{first_step:,} and step {last_step:,}."
    )


def _known(e: Evidence, metric: str) -> float:
    """The worst map's number: a metric that the check fired on has one."""
    value = e.worst.number(metric)
    return math.nan if value is None else value


def _magnitudes(e: Evidence, metric: str) -> str:
    values = [m.number(metric) for m, _ in e.fired]
    return span(abs(value) for value in values if value is not None)
