"""`igaviz diagnose` as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

from igaviz.checks.finding import Diagnosis, Finding, Severity, Skipped
from igaviz.checks.telling import DOUBTFUL
from igaviz.checks.wording import counted, ranges
from igaviz.report.common import damage_json, finite
from igaviz.report.grouped import (
    Group,
    Heads,
    grouped,
    head_counts,
    layers_of,
    numbers,
    place,
    places,
)
from igaviz.report.headline import headline
from igaviz.report.terminal import print_line, print_paragraph
from igaviz.report.verdict_table import glyph, print_verdict_table

if TYPE_CHECKING:
    from rich.console import Console


SCHEMA = "igaviz.diagnose/1"
By = Literal["layer", "map"]

_INDENT = "  "


def diagnosis_json(diagnosis: Diagnosis, by: By = "layer") -> dict[str, object]:
    """`igaviz diagnose --json`: plain data, null for a number that is not finite."""
    findings = diagnosis.findings if by == "layer" else diagnosis.by_map
    return {
        "schema": SCHEMA,
        "verdict": str(diagnosis.verdict),
        "maps": diagnosis.maps,
        "looked_at": [part._asdict() for part in diagnosis.looked_at],
        "checks": list(diagnosis.checks),
        "silent": [
            {**silent._asdict(), "reasons": list(silent.reasons)} for silent in diagnosis.silent
        ],
        "findings": [_finding_json(finding) for finding in findings],
        "history": [_finding_json(finding) for finding in diagnosis.history],
        "skipped": [skipped._asdict() for skipped in diagnosis.skipped],
        "damaged": damage_json(diagnosis.damaged),
        "information": [information._asdict() for information in diagnosis.information],
    }


def _finding_json(finding: Finding) -> dict[str, Any]:
    plain: dict[str, Any] = {f.name: getattr(finding, f.name) for f in fields(finding)}
    plain["severity"] = str(finding.severity)
    plain["heads"] = list(finding.heads)
    plain["value"] = finite(finding.value)
    plain["threshold"] = finite(finding.threshold)
    plain["also"] = [
        {"metric": c.metric, "value": finite(c.value), "threshold": finite(c.threshold)}
        for c in finding.also
    ]
    return plain


def print_diagnosis(diagnosis: Diagnosis, console: Console, by: By = "layer") -> None:
    """Print the table of verdicts, then findings, what to do, what was accepted or left out.

    Damaged pieces are counted: their names are messages, not a result.
    """
    heads = head_counts(diagnosis.layers)
    several = len(diagnosis.looked_at) > 1
    new = grouped(finding for finding in diagnosis.findings if not finding.accepted)
    _print_headline(diagnosis, console)
    if diagnosis.layers:
        console.print()
        print_verdict_table(diagnosis.layers, diagnosis.looked_at, console)
    _print_information(diagnosis, console)
    if by == "layer":
        for group in new:
            _print_group(group, heads, console, several=several)
    else:
        _print_maps(diagnosis, heads, console, several=several)
    _print_to_do(new, console, several=several)
    _print_accepted(diagnosis.findings, heads, console)
    _print_history(diagnosis.history, console)
    _print_skipped(diagnosis, console)
    _print_damaged(diagnosis, console)


def _print_headline(diagnosis: Diagnosis, console: Console) -> None:
    text, severity = headline(diagnosis)
    style = "bold" if severity is None else glyph(severity, console)[1]
    print_paragraph(console, text, style=style)


def _print_information(diagnosis: Diagnosis, console: Console) -> None:
    several = len({row.run for row in diagnosis.layers}) > 1
    if diagnosis.information:
        console.print()
    for information in diagnosis.information:
        run = f"{information.run}: " if several else ""
        print_paragraph(console, f"{information.message}.", first=run)


def _print_group(group: Group, heads: Heads, console: Console, *, several: bool) -> None:
    """One check: where it was found and with which numbers, the worst told in full."""
    console.print()
    _print_title(group, console, several=several)
    for severity, findings in group.by_severity():
        print_paragraph(
            console,
            f"{places(findings, heads)}: {numbers(findings)}",
            indent=_INDENT,
            first=(f"{glyph(severity, console)[0]} ", glyph(severity, console)[1]),
        )
    worst = group.worst
    several_layers = len(group.findings) > 1 and worst.layer is not None
    where = f"Worst in layer {worst.layer}: " if several_layers else ""
    print_paragraph(console, f"{where}{worst.message}", indent=_INDENT)
    print_paragraph(console, group.check.meaning, indent=_INDENT, first=("means  ", "dim"))


def _print_title(group: Group, console: Console, *, several: bool) -> None:
    severity = group.severity
    print_paragraph(
        console,
        f"{group.check}: {group.check.title}{_of(group, several)}",
        first=(f"{str(severity).upper()} ", glyph(severity, console)[1]),
        style="bold",
        hang=_INDENT,
    )


def _of(group: Group, several: bool) -> str:
    worst = group.worst
    return f" ({worst.run}, {worst.phase}, step {worst.step:,})" if several else ""


def _print_maps(diagnosis: Diagnosis, heads: Heads, console: Console, *, several: bool) -> None:
    for group in grouped(finding for finding in diagnosis.by_map if not finding.accepted):
        console.print()
        _print_title(group, console, several=several)
        in_order = sorted(group.findings, key=lambda f: (f.layer or 0, f.rank or 0, f.batch or 0))
        for finding in in_order:
            sign, style = glyph(finding.severity, console)
            text = f"{place(finding, heads)}: {numbers([finding])}"
            print_paragraph(console, text, indent=_INDENT, first=(f"{sign} ", style))
    if diagnosis.by_map_left_out:
        print_paragraph(
            console, f"{counted(diagnosis.by_map_left_out, 'more map')} fired; not listed."
        )


def _print_to_do(groups: Sequence[Group], console: Console, *, several: bool) -> None:
    """What to do, in this order: what breaks trust in the other numbers, then the worst."""
    urgent = [group for group in groups if group.severity > Severity.NOTE]
    urgent.sort(key=lambda group: group.check.id not in DOUBTFUL)
    if not groups:
        return
    console.print()
    if not urgent:
        text = "Nothing to do: a few heads that differ are normal in healthy networks."
        print_paragraph(console, text)
        return
    print_line(console, ("What to do", "bold"))
    for position, group in enumerate(urgent, 1):
        layers = layers_of(f for f in group.findings if f.severity > Severity.NOTE)
        where = f" in layer{'s' if len(layers) > 1 else ''} {ranges(layers)}" if layers else ""
        of = f" of {group.worst.run}" if several else ""
        text = f"{group.check}{where}{of}: {group.worst.remedy}"
        if group.check.id in DOUBTFUL and len(groups) > 1:
            text += " While it stands, the other numbers there can't be trusted."
        print_paragraph(console, text, indent=_INDENT, first=f"{position}. ")


def _print_accepted(findings: Iterable[Finding], heads: Heads, console: Console) -> None:
    groups = grouped(finding for finding in findings if finding.accepted)
    if not groups:
        return
    console.print()
    print_line(console, ("Accepted, as the baseline knows them", "bold"))
    for group in groups:
        sign, style = glyph(group.severity, console)
        text = f"{group.check}: {places(group.findings, heads)}: {numbers(group.findings)}"
        print_paragraph(console, text, indent=_INDENT, first=(f"{sign} ", style))


def _print_history(history: Sequence[Finding], console: Console) -> None:
    if not history:
        return
    console.print()
    print_line(console, ("At earlier steps only", "bold"))
    for group in grouped(history):
        worst = group.worst
        layers = group.layers
        where = f", layer{'s' if len(layers) > 1 else ''} {ranges(layers)}" if layers else ""
        which = f", worst in layer {worst.layer}" if len(layers) > 1 else ""
        text = f"{group.check}{where}{which}: {worst.message}"
        print_paragraph(console, text, indent=_INDENT)


def _print_skipped(diagnosis: Diagnosis, console: Console) -> None:
    if not diagnosis.skipped:
        return
    console.print()
    print_line(console, ("Not judged", "bold"))

    def why(skipped: Skipped) -> tuple[str, int]:
        return skipped.reason, skipped.maps

    for (reason, maps), alike in groupby(sorted(diagnosis.skipped, key=why), key=why):
        ids = ", ".join(skipped.id for skipped in alike)
        print_paragraph(
            console,
            f"{reason} ({maps:,} of {counted(diagnosis.maps, 'map')}): {ids}",
            indent=_INDENT,
        )


def _print_damaged(diagnosis: Diagnosis, console: Console) -> None:
    if not diagnosis.damaged:
        return
    pieces = counted(len(diagnosis.damaged), "piece")
    console.print()
    print_paragraph(console, f"{pieces} left out, named on stderr.", style="bold red")
