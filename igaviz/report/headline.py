"""The first line of a diagnosis: how bad it is, by how much that could be judged."""

from __future__ import annotations

from collections.abc import Sequence

from igaviz.checks.finding import NOT_JUDGED, Diagnosis, Finding, Severity, Silent
from igaviz.checks.wording import counted, listed
from igaviz.report.grouped import grouped

_MOST_REASONS = 3


def headline(diagnosis: Diagnosis) -> tuple[str, Severity | None]:
    """The first line, and the severity that it speaks of; None where nothing was judged.

    It counts findings as they are listed, one per check, run and phase, and says which part of
    the checks could not judge and how many pieces were damaged.
    """
    text, severity = _verdict(diagnosis)
    pieces = len(diagnosis.damaged)
    left_out = f" {counted(pieces, 'damaged piece')} left out." if pieces else ""
    return f"{text}{left_out}", severity


def _verdict(diagnosis: Diagnosis) -> tuple[str, Severity | None]:
    maps = counted(diagnosis.maps, "map")
    accepted = [finding for finding in diagnosis.findings if finding.accepted]
    new = [finding for finding in diagnosis.findings if not finding.accepted]
    known = f" The baseline accepts {_tally(accepted)}." if accepted else ""
    checks, unable = _able(diagnosis)
    if new:
        ids = listed(list(dict.fromkeys(group.check.id for group in grouped(new))))
        worst = max(finding.severity for finding in new)
        well = worst == Severity.NOTE
        begin = "Nothing wrong; " if well else ""
        rest = f"{unable}{_patchy(diagnosis) if well else ''}"
        found = f"{_tally(new)} in {_where(new, diagnosis)} ({maps})"
        return f"{begin}{found}: {ids}, of {checks}{rest}.{known}", worst
    if not diagnosis.maps:
        return "No map could be looked at.", None
    if not diagnosis.judged:
        return f"Nothing was judged in {maps}: {_why_not(diagnosis)}.", None
    if not accepted and all(v == NOT_JUDGED for row in diagnosis.layers for _, v in row.heads):
        return f"No single head could be judged in {maps}; nothing wrong by {checks}{unable}.", None
    comma = "" if unable else ","
    when = " at the last step" if diagnosis.history and not accepted else ""
    what = "new" if accepted else "wrong"
    by = f"{comma} by {checks}{unable}{_patchy(diagnosis)}."
    return f"Nothing {what}{when} in {maps}{by}{known}", Severity.HEALTHY


def _tally(findings: Sequence[Finding]) -> str:
    """`3 errors, 2 warnings and 1 note`: as many as are listed, a check's in many layers once."""
    severities = [group.severity for group in grouped(findings)]
    counts = {severity: severities.count(severity) for severity in reversed(Severity)}
    return listed([counted(count, str(severity)) for severity, count in counts.items() if count])


def _where(findings: Sequence[Finding], diagnosis: Diagnosis) -> str:
    """In how many of the layers, or batch items where that is what findings speak of."""
    layers = {(f.run, f.phase, f.layer) for f in findings if f.layer is not None}
    items = {(f.run, f.phase, f.rank, f.batch) for f in findings if f.layer is None}
    of = counted(len(diagnosis.layers), "layer")
    parts = [f"{len(layers):,} of {of}"] if layers else []
    return listed([*parts, *([counted(len(items), "item")] if items else [])])


def _able(diagnosis: Diagnosis) -> tuple[str, str]:
    """The checks that could judge; and how many could in no layer, and why not.

    Together they are all that were asked: those listed as not judged are among them.
    """
    unable = [one for one in diagnosis.silent if one.layers == one.of]
    able = counted(len(diagnosis.checks) - len(unable), "check")
    if not unable:
        return able, ""
    return f"the {able} that could judge", f"; {len(unable)} could not: {_reasons(unable)}"


def _why_not(diagnosis: Diagnosis) -> str:
    """Why no check could judge anything; where none might find anything, that."""
    if not diagnosis.checks:
        return "what is selected finds nothing, it is a line of information at most"
    return _reasons(diagnosis.silent)


def _patchy(diagnosis: Diagnosis) -> str:
    """How many checks judged some layers only, and why."""
    patchy = [one for one in diagnosis.silent if one.layers < one.of]
    if not patchy:
        return ""
    return f"; {len(patchy)} could in some of the {patchy[0].of:,} layers only: {_reasons(patchy)}"


def _reasons(silent: Sequence[Silent]) -> str:
    """Why checks were silent, what silenced the most of them first; in short."""
    said = [_short(reason) for one in silent for reason in one.reasons]
    ordered = sorted(dict.fromkeys(said), key=lambda reason: -said.count(reason))
    more = len(ordered) - _MOST_REASONS
    return ", ".join([*ordered[:_MOST_REASONS], *(["…"] if more > 0 else [])])


def _short(reason: str) -> str:
    """A reason without its details; what stands before them is a metric's name where one word."""
    start, colon, _ = reason.partition(":")
    return start if colon and " " in start else reason
