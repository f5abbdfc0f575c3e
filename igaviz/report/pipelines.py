"""`igaviz diagnose` for continuous integration: annotations of GitHub, test results as JUnit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.etree import ElementTree

from igaviz.checks.finding import NOT_JUDGED, DamagedPiece, Diagnosis, Finding, LayerRow, Severity
from igaviz.checks.table import find_check
from igaviz.report.grouped import grouped, head_counts, numbers, place, places
from igaviz.report.headline import headline

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}
_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})


def github_annotations(diagnosis: Diagnosis) -> str:
    """Workflow commands of GitHub Actions, one per check, run and phase; then the first line.

    What a baseline accepts is a notice.
    """
    heads = head_counts(diagnosis.layers)
    lines = []
    for accepted in (False, True):
        chosen = (f for f in diagnosis.findings if f.accepted == accepted)
        for group in grouped(chosen):
            worst = group.worst
            command = _COMMANDS[Severity.NOTE if accepted else group.severity]
            known = " (accepted)" if accepted else ""
            title = f"{group.check}{known}: {worst.run}, {worst.phase}, step {worst.step}"
            where = f"{places(group.findings, heads)}: {numbers(group.findings)}"
            text = f"{group.check.title}: {where}\n{worst.message}\nTo do: {worst.remedy}"
            lines.append(f"::{command} title={title.translate(_PROPERTY)}::{text.translate(_DATA)}")
    lines += [
        f"::warning title=damaged::{f'{_place_of(piece)}: {piece.reason}'.translate(_DATA)}"
        for piece in diagnosis.damaged
    ]
    return "\n".join([*lines, headline(diagnosis)[0]])


def junit_xml(diagnosis: Diagnosis, fail_on: Severity | None) -> str:
    """JUnit's XML: a suite per run and phase, a test per layer that fails from `fail_on` on.

    Lesser findings and accepted ones are the test's output. A layer of which nothing could be
    judged is skipped, a damaged piece an error. What speaks of a batch item is a test of its own.
    """
    root = ElementTree.Element("testsuites", name="igaviz diagnose")
    for part in diagnosis.looked_at:
        track = part.run, part.phase
        rows = [row for row in diagnosis.layers if (row.run, row.phase) == track]
        found = [f for f in diagnosis.findings if (f.run, f.phase) == track]
        name = f"{part.run} {part.phase} step {part.last_step}"
        suite = ElementTree.SubElement(root, "testsuite", name=_clean(name))
        for row in rows:
            of_layer = [f for f in found if f.layer == row.layer]
            case = _case(suite, track, f"layer {row.layer}", of_layer, diagnosis, fail_on)
            if not of_layer and _unjudged(row):
                ElementTree.SubElement(case, "skipped", message=NOT_JUDGED.words)
        items = sorted({(f.rank or 0, f.batch or 0) for f in found if f.layer is None})
        for rank, batch in items:
            of_item = [f for f in found if f.layer is None and (f.rank, f.batch) == (rank, batch)]
            _case(suite, track, f"item {batch}, rank {rank}", of_item, diagnosis, fail_on)
    if diagnosis.damaged:
        suite = ElementTree.SubElement(root, "testsuite", name="damaged")
        for piece in diagnosis.damaged:
            name = _clean(_place_of(piece))
            case = ElementTree.SubElement(suite, "testcase", classname="damaged", name=name)
            ElementTree.SubElement(case, "error", message=_clean(piece.reason))
    for suite in root:
        _count(suite)
    _count(root)
    ElementTree.indent(root)
    # in ASCII, with references for the rest: whatever the encoding of stdout, it stays well formed
    xml: bytes = ElementTree.tostring(root, encoding="us-ascii", xml_declaration=True)
    return xml.decode("ascii")


def _place_of(piece: DamagedPiece) -> str:
    """The file, and the place inside where only that is damaged."""
    return f"{piece.path}:{piece.where}" if piece.where else piece.path


def _case(
    suite: ElementTree.Element,
    track: tuple[str, str],
    name: str,
    findings: Sequence[Finding],
    diagnosis: Diagnosis,
    fail_on: Severity | None,
) -> ElementTree.Element:
    classname = _clean(".".join(track))
    case = ElementTree.SubElement(suite, "testcase", classname=classname, name=name)
    failing = [
        f for f in findings if not f.accepted and fail_on is not None and f.severity >= fail_on
    ]
    if failing:
        message = "; ".join(f"{find_check(f.id)}: {find_check(f.id).title}" for f in failing)
        worst = max(failing, key=lambda f: f.severity)
        failure = ElementTree.SubElement(
            case, "failure", type=str(worst.severity), message=_clean(message)
        )
        failure.text = _told(failing, diagnosis)
    others = [f for f in findings if f not in failing]
    if others:
        ElementTree.SubElement(case, "system-out").text = _told(others, diagnosis)
    return case


def _told(findings: Iterable[Finding], diagnosis: Diagnosis) -> str:
    heads = head_counts(diagnosis.layers)
    return _clean(
        "\n".join(
            f"{f.severity}{' (accepted)' if f.accepted else ''} {find_check(f.id)}: "
            f"{place(f, heads)}: {numbers([f])}\n{f.message}\nTo do: {f.remedy}"
            for f in findings
        )
    )


def _unjudged(row: LayerRow) -> bool:
    return all(verdict == NOT_JUDGED for _, verdict in row.heads)


def _count(element: ElementTree.Element) -> None:
    """Give a suite the numbers of its tests, as readers of the format expect."""
    for attribute, tag in (
        ("tests", "testcase"),
        ("failures", "failure"),
        ("errors", "error"),
        ("skipped", "skipped"),
    ):
        element.set(attribute, str(sum(1 for _ in element.iter(tag))))


def _clean(text: str) -> str:
    """`text` without the characters that XML can't hold: a run's name may have any."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
