"""`igaviz explain`, and the page on all checks (docs/checks.md): both come from the table."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console

from igaviz.checks.explain import Explanation, explain
from igaviz.checks.table import CHECKS
from igaviz.checks.wording import listed
from igaviz.report.terminal import print_line, print_paragraph

PAGE_HEAD = """# The checks

This page is generated from the table of checks (`igaviz/checks/table.py`); `igaviz explain D101`
prints one of its sections.

## How a verdict comes about

A check decides per map: one head of one layer of one batch item. A **head shows it** when at least
half of its judged items do. **Heads differ, layers fall ill**: the share of a layer's heads that
show it makes the severity.

| share of the layer's heads | severity |
|---|---|
| a single head, or fewer than 3/8 | note |
| 3/8 to under 1/2 | warning |
| 1/2 or more | error |

It is never above the check's cap. A single head is a note even where it is the layer's only
recorded head: one head can't tell a peculiar head from a sick layer. Two heads of two are an error.
With fewer than 16 maps in a layer a finding says from how many it speaks. The invariants
(D001–D003) hold on every map of a sound recording and are errors wherever they are broken.
`unit-suspect` is said once per batch item and leaves the verdicts of heads alone. So do D210 and
D211, which speak of a layer over the recorded steps of a run and phase: only where all of these
have the same batch items, as a probe's have.

There is one finding per step, layer and check. The verdict and the exit code come from the last
recorded step of each run and phase; what was found at earlier steps only is history, one note per
layer and check. A map's verdict, as in a figure's title, is the worst check that fired on it with
its layer's severity; where too few items fired for the head to show it, a note.

**Of several checks that are equally severe, the most telling one is the verdict** of a map, of a
head and of a layer, and the first to be listed: a cause rather than its consequence, and else in
this order: what makes other numbers doubtful (D001, D002, D003, D004); a mistake with one remedy
(D105); what became of attention (D202, D203, D201); what geometry does or fails to (D101, D103,
D104, D107, D204, D205); what may have many reasons (D206, D208); what is said over steps and
between heads (D210, D211, D209). So a layer whose geometry drowns
content and whose heads collapsed onto the diagonal is called collapsed.

**A consequence is told under its cause** (the table says which), in the cause's message and with no
severity of its own, where the cause is as severe at least and shows on half of the consequence's
heads at least. Where the cause is not selected, the consequence stands for itself.

**A check is silent**, and the report says so once, where its numbers mean nothing: the reason is in
the table. It is silent too where a number that it needs was not recorded. Silence is decided before
`--select` and `--ignore`.

Every threshold can be changed: `--set gamma-too-small.effect=0.1`. Checks go by id or name
everywhere.
"""


def print_explanation(found: Explanation, console: Console) -> None:
    """Print one check: what it measures, when it fires, where that comes from, what to do."""
    print_line(console, (f"{found.id} {found.name}: {found.title}", "bold"))
    print_paragraph(console, found.meaning)
    rows = _facts(found)
    width = max(len(name) for name, _ in rows) + 2
    console.print()
    for name, text in rows:
        print_paragraph(console, text, indent="  ", first=name.ljust(width))


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


def checks_markdown(calibration: str, distributions: Mapping[str, str]) -> str:
    """The page docs/checks.md: how verdicts come about, all checks in a table, each in full.

    `calibration` is a part of its own; `distributions`, by check id, end the checks' sections.
    """
    found = [explain(check.id) for check in CHECKS]
    lines = [PAGE_HEAD, "| check | says | fires when | severity |", "|---|---|---|---|"]
    for check in found:
        link = f"[{check.id}](#{check.id.lower()}-{check.name}) `{check.name}`"
        lines.append(f"| {link} | {check.title} | {check.formula} | {check.severity} |")
    lines += ["", calibration.rstrip()]
    for check in found:
        lines += ["", f"## {check.id} {check.name}", ""]
        lines += [f"**{check.title[:1].upper()}{check.title[1:]}.**", check.meaning, ""]
        lines += [f"- *{name}*: {text}" for name, text in _facts(check)]
        if check.id in distributions:
            lines.append(distributions[check.id])
    return "\n".join(lines) + "\n"
