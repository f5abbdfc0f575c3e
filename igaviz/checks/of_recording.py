"""The checks of whether a recording is sound and says what it means: D001 to D007."""

from __future__ import annotations

from igaviz.checks import messages, rules
from igaviz.checks.check import Check
from igaviz.checks.finding import Severity
from igaviz.metrics.places import ONE_POINT
from igaviz.metrics.replay import COARSE

OF_RECORDING: tuple[Check, ...] = (
    Check(
        id="D001",
        name="non-finite",
        title="numbers are broken",
        cap=Severity.ERROR,
        scope="map",
        invariant=True,
        metrics=("nonfinite",),
        thresholds={"count": 0},
        formula="nonfinite > {count:g}",
        meaning="The layer's numbers are broken: NaN or infinity in logits, bias or weights.",
        remedy="Look at the geometric term first (of Gaussians at σ and the log-determinant), "
        "then at the learning rate and at what runs in half precision.",
        rule=rules.non_finite,
        say=messages.non_finite,
    ),
    Check(
        id="D002",
        name="rows-not-normalised",
        title="rows do not sum to 1",
        cap=Severity.ERROR,
        scope="map",
        invariant=True,
        metrics=("row_sum_error",),
        thresholds={"float32": 1e-4, "float16": 2e-3, "bfloat16": 6e-3},
        formula="row_sum_error > {float32:g} in float32, {float16:g} in float16, {bfloat16:g} in "
        "bfloat16 (the type of the attention)",
        meaning="What was recorded as attention is not a softmax over keys.",
        remedy="Record the weights before dropout; don't cut the map after the softmax; check "
        "that the last axis is the key.",
        rule=rules.rows_not_normalised,
        say=messages.rows_not_normalised,
        silences=("derived",),
    ),
    Check(
        id="D003",
        name="terms-disagree",
        title="terms do not make the attention",
        cap=Severity.ERROR,
        scope="map",
        invariant=True,
        metrics=("failed_row_share", "replay_error"),
        thresholds={"rows": 0.05},
        formula="more than {rows:.0%} of the judged rows differ from softmax(S + G) by more than "
        f"their tolerance; a row whose tolerance exceeds {COARSE:g} is not judged",
        meaning="The recorded terms don't make the recorded attention: γ is not applied, a term "
        "is missing, a sign is wrong, or padding was recorded. Nothing that is said about geometry "
        "can be trusted.",
        remedy="Compare what is recorded with what the layer adds up: every term, γ applied, the "
        "sign as `geo_bias_sign` says, before the softmax. Where keys get no attention in any row, "
        "padding was recorded: pass `mask=` to `tap`. A mask between residues belongs in "
        "`logits_before`, as −∞.",
        rule=rules.terms_disagree,
        say=messages.terms_disagree,
        silences=("derived",),
    ),
    Check(
        id="D004",
        name="unit-suspect",
        title="unit of length is suspect",
        cap=Severity.WARNING,
        scope="item",
        metrics=("ca_step",),
        thresholds={"within": 0.1, "spread": 0.3},
        formula="median distance of consecutive Cα within {within:.0%} of 38 or 0.38 Å, and the "
        "distance between its quartiles {spread:g} of it at most",
        meaning="Å were recorded as nm or the reverse: every distance is off by a factor of ten.",
        remedy="Give the recorder the unit of the coordinates that the layer receives; layers of "
        "the AlphaFold family get Å ÷ 10, which is nanometer.",
        rule=rules.unit_suspect,
        say=messages.unit_suspect,
        silences=("noised",),
        bound="a mix-up of units gives",
    ),
    Check(
        id="D005",
        name="mask-in-logits",
        title="a mask inside the logits",
        cap=Severity.NOTE,
        scope="item",
        metrics=("masked_share",),
        thresholds={"share": 0},
        formula="more than {share:.0%} of pairs have no attention and a finite logit far below "
        "all others of the map, or a key that is masked for every query",
        meaning="A mask was added to `logits_before` as a large negative number: it is no content, "
        "and read as −∞. Or padding was recorded: a key that no query may see, itself included.",
        remedy="Give `logits_before` without the mask, or with −∞ there. Where it is padding, cut "
        "these residues out of everything: pass `mask=` to `tap`.",
        rule=rules.mask_in_logits,
        say=messages.mask_in_logits,
    ),
    Check(
        id="D006",
        name="coordinates-missing",
        title="residues without coordinates",
        cap=Severity.NOTE,
        scope="item",
        metrics=("residues_without_place",),
        thresholds={"residues": 0},
        formula="more than {residues:g} residues have no finite coordinates, in `ca` or in "
        f"`ca_reference`; or all that have some lie within {ONE_POINT:g} Å in `ca`",
        meaning="Residues without coordinates are in no pair that goes by distance: what is local, "
        "near, global or a contact is said of the others, and rightly. Their rows and columns "
        "count where distance does not. Where all residues lie on one point there is no distance "
        "to go by: `local_attn`, `mean_distance` and the like say nothing there.",
        remedy="Leave residues without coordinates out of every array: pass `mask=` to `tap`, "
        "false for them. Where frames start on one point and later layers move them, as in "
        "AlphaFold's structure module, there is nothing to do.",
        rule=rules.coordinates_missing,
        say=messages.coordinates_missing,
    ),
    Check(
        id="D007",
        name="residues-on-one-point",
        title="residues lie on one point",
        cap=Severity.WARNING,
        scope="item",
        metrics=("residues_on_one_point",),
        thresholds={"residues": 0},
        formula=f"more than {{residues:g}} residues lie within {ONE_POINT:g} Å of another, in "
        "`ca` or in `ca_reference`, and not all do",
        meaning="Unresolved residues, or padding, were given a place: zeros, mostly. They count as "
        "touching each other and whatever else is there, so local and near pairs and contacts are "
        "not those of the structure, nor is any number that goes by them.",
        remedy="Leave residues that were not resolved out of every array, and padding too: pass "
        "`mask=` to `tap`, false for them; it may have holes. A dump that is written without the "
        "recorder says in `residue_index` which stayed.",
        rule=rules.residues_on_one_point,
        say=messages.residues_on_one_point,
    ),
)
