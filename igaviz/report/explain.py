"""`igaviz explain`, and the pages docs/checks.md and docs/metrics.md: all come from the tables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from igaviz.checks.explain import (
    Explanation,
    MetricExplanation,
    explain_check,
    explain_metric,
)
from igaviz.checks.table import CHECKS
from igaviz.checks.wording import listed
from igaviz.metrics.formulas import LEGEND
from igaviz.metrics.table import METRICS, capital
from igaviz.report.terminal import print_line, print_paragraph

if TYPE_CHECKING:
    from rich.console import Console


SCHEMA = "igaviz.explain/1"

PAGE_HEAD = """# The checks

This page is generated from the table of checks (`igaviz/checks/table.py`); `igaviz explain D101`
prints one of its sections.

## How a verdict comes about

A check decides map by map: one head of one layer on one batch item. A **head shows it** when at
least half of its judged items do. **Heads differ, layers fall ill**: the severity depends on the
share of a layer's heads that show it.

| share of the layer's heads | severity |
|---|---|
| a single head, or fewer than 3/8 | note |
| 3/8 to under 1/2 | warning |
| 1/2 or more | error |

The severity never exceeds the check's cap. A single head is a note even if it is the layer's only
recorded head: one head can't tell a peculiar head from a sick layer. Two heads of two are an error.
The share is taken over all recorded heads: `--head` chooses which of them a verb reports, not how
severe a check is. With fewer than 16 maps in a layer, a finding says how many it is based on.

The invariants (D001–D003) hold on every map of a sound recording and are errors wherever they are
broken. `unit-suspect` and `residues-on-one-point` are reported once per batch item and don't affect
the verdicts on heads. `mask-in-logits` and `coordinates-missing` are reported once per batch item
too, and don't affect the verdicts on maps either, since their numbers are right. D210 and D211 do
not affect verdicts on heads; they judge a layer over the recorded steps of a run and phase, and
only if all of these have the same batch items, as in a probe (items without names are told apart by
their structure). What they find counts in the verdict on the layer at the last step and on the run
(`summary` and its page).

There is one finding per step, layer and check. The verdict and the exit code come from the last
recorded step of each run and phase; what was found only at earlier steps is history, one note per
layer and check. A map's verdict, as in a figure's title, is the worst check that fired on it, with
its layer's severity; or a note, if too few items fired for the head to show it.

**If several checks are equally severe, the most telling one is the verdict** on a map, a head or a
layer, and is listed first. A cause comes before its consequence; otherwise the order is: what
makes other numbers doubtful (D001, D002, D003, D004, D007); a mistake with one remedy (D105); what
became of attention (D202, D203, D201); what geometry does or fails to do (D101, D103, D104, D107,
D204, D205); what may have many reasons (D206, D208); what shows over steps and between heads (D210,
D211, D209); what is left out of the numbers (D006, D005). So a layer whose geometry drowns content
and whose heads collapsed onto the diagonal is called collapsed.

**A consequence is told under its cause** (each check's section says which), in the cause's message
and without a severity of its own, if the cause is at least as severe and shows on at least half of
the consequence's heads. If the cause is not selected, the consequence stands for itself.

**A check is silent**, and the report says so, where its numbers mean nothing; its section gives the
reasons. It is also silent where a number that it needs was not recorded. The first line of
`igaviz diagnose` counts the checks that judged something at the last step, and says why the others
did not; checks on trends (D210, D211) count if there were enough steps for them. A head on which no
check of geometry could decide is `healthy, geometry not judged` and has a sign of its own (–);
nothing is called fine there. Silence is decided before `--select` and `--ignore`.

Every threshold can be changed: `--set gamma-too-small.effect=0.1`. Checks go by id or name
everywhere. [The metrics](metrics.md) explain the numbers that they look at.
"""

METRICS_HEAD = """# The metrics

This page is generated from the tables of metrics (`igaviz/metrics/table.py`,
`igaviz/metrics/formulas.py`); `igaviz explain geometry_effect` prints one of its sections, and
`igaviz explain` without a name lists all. They are the columns of `igaviz summary`, the numbers in
its JSON, and what [the checks](checks.md) look at; all but five are in the scalars files too.

A metric is computed for one map. A layer's value is the mean over its heads and items, a step's the
mean over its layers; for the extremes `geo_bias_absmax`, `sink`, `row_sum_error` and `replay_error`
it is the largest, for `nonfinite` the sum. `geo_range` is `beyond` if it is so in most maps. A
metric without a value (its terms were not recorded, no local pairs, a constant) is empty in tables
and CSV and `null` in JSON, never 0. A row with a value that is not finite is left out of every mean
over rows, and counted in `nonfinite`. A pair that is masked in S, by −∞ or by a number
[that means it](format.md#masks-inside-the-logits), is left out of all that concerns S and G. A
residue [without finite coordinates](checks.md#d006-coordinates-missing) is in no pair that is
defined by distance: local, global, near or a contact. Residues
[on one point](checks.md#d007-residues-on-one-point) are local, near and touching.

**Padding** belongs in `mask=`, by which the recorder cuts it out. If it was recorded instead (a key
that is masked for every query, which D005 reports), its queries are left out, but its keys count in
everything about A alone, although they get no attention: N in `uniform_kl`, and the pairs in the
enrichments, `local_attn`, `global_attn` and `attention_trend`, include all keys. These metrics can
therefore be compared between such maps, but not with maps without padding. `contact_precision` and
`contact_lift` are empty where a row is left out, as padding or because it is not finite, and no two
such maps are compared (D209).

In the formulas:
"""


def print_explanation(found: Explanation | MetricExplanation, console: Console) -> None:
    """Print one check or metric: what it says, its formula, and what goes with it."""
    if isinstance(found, Explanation):
        head, meaning, rows = (
            f"{found.id} {found.name}: {found.title}",
            found.meaning,
            _facts(found),
        )
    else:
        head, meaning = f"{found.name}: {found.title}", f"{capital(found.meaning)}."
        rows = [*_metric_facts(found), ("signs", "; ".join(_signs_in(found.formula)))]
    print_line(console, (head, "bold"))
    print_paragraph(console, meaning)
    width = max(len(name) for name, _ in rows) + 2
    console.print()
    for name, text in rows:
        print_paragraph(console, text, indent="  ", first=name.ljust(width))


def print_list(console: Console) -> None:
    """Print every check and every metric in a line."""
    print_line(console, ("Checks", "bold"))
    width = max(len(check.name) for check in CHECKS)
    for check in (explain_check(check.id) for check in CHECKS):
        severity = check.severity.split(":")[0]
        text = f"{check.title} ({severity})"
        print_paragraph(console, text, indent="  ", first=f"{check.id}  {check.name:<{width}}  ")
    console.print()
    print_line(console, ("Metrics", "bold"))
    width = max(len(metric.name) for metric in METRICS)
    for metric in METRICS:
        unit = f" ({metric.unit})" if metric.unit else ""
        lead = f"{metric.name:<{width}}  "
        print_paragraph(console, f"{metric.means}{unit}", indent="  ", first=lead)
    console.print()
    print_line(console, "igaviz explain NAME explains one of them in full.")


def explanations_json(found: Sequence[Explanation | MetricExplanation]) -> dict[str, object]:
    """`igaviz explain --json`: {"schema", "checks": [...], "metrics": [...]}, plain data."""
    return {
        "schema": SCHEMA,
        "checks": [asdict(one) for one in found if isinstance(one, Explanation)],
        "metrics": [asdict(one) for one in found if isinstance(one, MetricExplanation)],
    }


def every_explanation() -> list[Explanation | MetricExplanation]:
    """What there is to say about each check and each metric."""
    checks = [explain_check(check.id) for check in CHECKS]
    return [*checks, *(explain_metric(metric.name) for metric in METRICS)]


def _facts(found: Explanation) -> list[tuple[str, str]]:
    thresholds = ", ".join(f"{name} {value:g}" for name, value in found.thresholds.items())
    rows = [
        ("looks at", ", ".join(found.metrics)),
        ("fires when", found.formula),
        ("thresholds", f"{thresholds} (--set {found.name}.{next(iter(found.thresholds))}=…)"),
        ("origin", found.origin),
        ("severity", found.severity),
    ]
    if found.silent:
        rows.append(("silent", "; ".join(found.silent)))
    if found.told_under:
        rows.append(("told under", listed(found.told_under, "or")))
    rows += [("example", found.example), ("to do", found.remedy)]
    return rows


def _metric_facts(found: MetricExplanation) -> list[tuple[str, str]]:
    return [
        ("formula", found.formula),
        ("range", found.range),
        ("unit", found.unit or "none"),
        ("needs", ", ".join(found.terms) or "whatever was recorded"),
        ("checks", ", ".join(found.checks) or "none uses it"),
    ]


def _signs_in(formula: str) -> list[str]:
    """What the letters and words stand for that `formula` uses."""
    return [
        f"{sign}: {words}".replace("`", "")
        for sign, words in LEGEND
        if any(re.search(rf"(?<![a-zA-Z]){word}(?![a-zA-Z])", formula) for word in sign.split(", "))
    ]


def checks_markdown(calibration: str, distributions: Mapping[str, str]) -> str:
    """The page docs/checks.md: how verdicts come about, all checks in a table, each in full.

    `calibration` is a part of its own; `distributions`, by check id, end the checks' sections.
    """
    found = [explain_check(check.id) for check in CHECKS]
    lines = [PAGE_HEAD, "| check | says | fires when | severity |", "|---|---|---|---|"]
    for check in found:
        link = f"[{check.id}](#{check.id.lower()}-{check.name}) `{check.name}`"
        lines.append(f"| {link} | {check.title} | {check.formula} | {check.severity} |")
    lines += ["", calibration.rstrip()]
    for check in found:
        lines += ["", f"## {check.id} {check.name}", ""]
        lines += [f"**{capital(check.title)}.**", check.meaning, ""]
        lines += [f"- *{name}*: {text}" for name, text in _facts(check)]
        if check.id in distributions:
            lines.append(distributions[check.id])
    return "\n".join(lines) + "\n"


def metrics_markdown() -> str:
    """The page docs/metrics.md: all metrics in a table, each in full."""
    found = [explain_metric(metric.name) for metric in METRICS]
    lines = [METRICS_HEAD, "| sign | what it is |", "|---|---|"]
    lines += [f"| {sign} | {words} |" for sign, words in LEGEND]
    lines += ["", "| metric | unit | what it says | checks |", "|---|---|---|---|"]
    for metric in found:
        ids = (check.split(" ", 1) for check in metric.checks)
        links = ", ".join(f"[{id_}](checks.md#{id_.lower()}-{name})" for id_, name in ids)
        name = f"[`{metric.name}`](#{metric.name})"
        lines.append(f"| {name} | {metric.unit or '–'} | {metric.meaning} | {links or '–'} |")
    for metric in found:
        lines += ["", f"## {metric.name}", "", f"**{capital(metric.meaning)}.**", ""]
        lines += [f"- *{name}*: {text}" for name, text in _metric_facts(metric)]
    return "\n".join(lines) + "\n"
