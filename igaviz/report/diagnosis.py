"""`igaviz diagnose` as text and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import fields
from itertools import groupby
from typing import Any, Literal

from rich.console import Console

from igaviz.checks.finding import NOT_JUDGED, Diagnosis, Finding, Severity, Skipped
from igaviz.checks.table import find_check, telling
from igaviz.checks.wording import counted, listed, number, ranges
from igaviz.report.common import finite
from igaviz.report.terminal import print_line, print_paragraph
from igaviz.report.verdict_table import glyph, print_verdict_table

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
        "findings": [_finding_json(finding) for finding in findings],
        "history": [_finding_json(finding) for finding in diagnosis.history],
        "skipped": [skipped._asdict() for skipped in diagnosis.skipped],
        "damaged": [
            {"path": piece.path, "where": piece.where, "reason": piece.reason}
            for piece in diagnosis.damaged
        ],
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
    """Print the table of verdicts, then findings, what to do first, and what was left out.

    Damaged pieces are counted: their names are messages, not a result.
    """
    _print_headline(diagnosis, console)
    if diagnosis.layers:
        console.print()
        print_verdict_table(diagnosis.layers, console)
    _print_information(diagnosis, console)
    findings = diagnosis.findings if by == "layer" else diagnosis.by_map
    for _, group in groupby(_by_check(findings), key=_check_key):
        _print_group(list(group), diagnosis, console)
    if by == "map" and diagnosis.by_map_left_out:
        print_line(console, f"{counted(diagnosis.by_map_left_out, 'more map')} fired; not listed.")
    _print_first(diagnosis, console)
    _print_history(diagnosis.history, console)
    _print_skipped(diagnosis, console)
    _print_damaged(diagnosis, console)


def _print_headline(diagnosis: Diagnosis, console: Console) -> None:
    maps = counted(diagnosis.maps, "map")
    if diagnosis.findings:
        counts = Counter(finding.severity for finding in diagnosis.findings)
        found = listed([counted(counts[s], str(s)) for s in reversed(Severity) if counts[s]])
        _, style = glyph(diagnosis.verdict, console)
        print_line(console, (f"{found} in {maps}.", style))
    elif not diagnosis.maps:
        print_line(console, ("No map could be looked at.", "bold red"))
    elif all(v == NOT_JUDGED for row in diagnosis.layers for _, v in row.heads):
        print_line(console, f"Nothing could be judged in {maps}.")
    else:
        when = " at the last step" if diagnosis.history else ""
        print_line(console, (f"Nothing wrong{when} in {maps}.", "green"))


def _print_information(diagnosis: Diagnosis, console: Console) -> None:
    several = len({row.run for row in diagnosis.layers}) > 1
    if diagnosis.information:
        console.print()
    for information in diagnosis.information:
        run = f"{information.run}: " if several else ""
        print_paragraph(console, f"{information.message}.", first=run)


def _by_check(findings: Iterable[Finding]) -> list[Finding]:
    """Findings of one check, run and phase together; the groups and their members worst first."""
    findings = list(findings)
    worst: dict[tuple[object, ...], int] = {}
    for finding in findings:
        key = _check_key(finding)
        worst[key] = max(worst.get(key, 0), finding.severity)
    return sorted(
        findings, key=lambda f: (-worst[_check_key(f)], f.run, f.phase, telling(f.id), -f.severity)
    )


def _check_key(finding: Finding) -> tuple[object, ...]:
    return finding.run, finding.phase, finding.id


def _print_group(findings: Sequence[Finding], diagnosis: Diagnosis, console: Console) -> None:
    """One check: where it was found and with which number, the worst told in full, what to do."""
    worst = findings[0]
    check = find_check(worst.id)
    place = ""
    if len({(row.run, row.phase) for row in diagnosis.layers}) > 1:
        place = f"  ({worst.run}, {worst.phase}, step {worst.step:,})"
    _, style = glyph(worst.severity, console)
    console.print()
    print_line(
        console,
        (f"{str(worst.severity).upper()} ", style),
        (f"{check}: {check.title}", "bold"),
        place,
    )
    for finding in findings:
        print_line(
            console,
            _INDENT,
            glyph(finding.severity, console),
            f" {_place(finding)}: {check.metrics[0]} {_number(finding.value)}, "
            f"threshold {number(finding.threshold)}",
        )
    where = f"Layer {worst.layer}: " if len(findings) > 1 and worst.layer is not None else ""
    print_paragraph(console, f"{where}{worst.message}", indent=_INDENT)
    print_paragraph(console, check.meaning, indent=_INDENT, first="means  ")
    print_paragraph(console, worst.remedy, indent=_INDENT, first="to do  ")


def _place(finding: Finding) -> str:
    if finding.layer is None:
        rank = f", rank {finding.rank}" if finding.rank else ""
        return f"item {finding.batch}{rank}"
    heads = f"head{'' if len(finding.heads) == 1 else 's'} {ranges(finding.heads)}"
    if finding.of == 1 and finding.batch is not None:
        rank = f", rank {finding.rank}" if finding.rank else ""
        return f"layer {finding.layer}, item {finding.batch}{rank}, {heads}"
    return f"layer {finding.layer}, {heads} ({finding.maps} of {counted(finding.of, 'map')})"


def _number(value: float | None) -> str:
    return "not recorded" if value is None else number(value)


def _print_first(diagnosis: Diagnosis, console: Console) -> None:
    """Where to begin: what breaks trust in the other numbers, then the worst."""
    if not diagnosis.findings:
        return
    console.print()
    if diagnosis.verdict == Severity.NOTE:
        text = "Nothing to do: a few heads that differ are normal in healthy networks."
        print_paragraph(console, text)
        return
    worst = _by_check(f for f in diagnosis.findings if f.severity == diagnosis.verdict)
    check = find_check(worst[0].id)
    alike = [f for f in worst if _check_key(f) == _check_key(worst[0])]
    layers = [finding.layer for finding in alike if finding.layer is not None]
    where = f" in layer{'s' if len(layers) > 1 else ''} {ranges(layers)}" if layers else ""
    if len({row.run for row in diagnosis.layers}) > 1:
        where += f" of {worst[0].run}"
    why = ": while it stands, the other numbers there can't be trusted" if check.invariant else ""
    others = [f.id for f in worst if f.id != check.id]
    then = f", then {listed(list(dict.fromkeys(others)))}" if others else ""
    print_paragraph(console, f"Begin with {check}{where}{then}{why}.")


def _print_history(history: Sequence[Finding], console: Console) -> None:
    if not history:
        return
    console.print()
    print_line(console, ("At earlier steps only", "bold"))
    for finding in history:
        layer = "" if finding.layer is None else f", layer {finding.layer}"
        text = f"{find_check(finding.id)}{layer}: {finding.message}"
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
    pieces = counted(len(diagnosis.damaged), "damaged piece")
    console.print()
    print_line(console, (f"{pieces} left out, named on stderr.", "bold red"))
