"""What the page says in words: runs, findings, what to do; plain data for the template."""

from __future__ import annotations

from collections import Counter
from typing import Any

from igaviz.checks import Severity, worst
from igaviz.checks.explain import explain_check
from igaviz.checks.finding import NOT_JUDGED, LayerRow
from igaviz.checks.wording import listed, number
from igaviz.report.diagnosis import headline
from igaviz.report.grouped import Group, Heads, grouped, head_counts, numbers, places
from igaviz.report.html.colours import GLYPHS
from igaviz.survey.page import Page, PageRun

OVERVIEW = (
    ("gamma", "γ"),
    ("geometry_effect", "geometry effect"),
    ("geometry_ratio", "geometry ratio"),
    ("saturation", "saturation"),
    ("self_mass", "self mass"),
    ("entropy", "entropy, nats"),
)
"""The metrics of the table of runs, at the last step that has them."""


_NAMED = 4


def content(page: Page) -> dict[str, Any]:
    """What the template shows."""
    text, severity = headline(page.diagnosis)
    heads = head_counts(page.diagnosis.layers)
    several = len(page.runs) > 1
    runs = [_run(place, run, page) for place, run in enumerate(page.runs)]
    return {
        "headline": text,
        "title": _title(text, runs),
        "severity": "none" if severity is None else str(severity),
        "glyphs": GLYPHS,
        "columns": [title for _, title in OVERVIEW],
        "runs": runs,
        "findings": [_finding(g, heads, page) for g in grouped(page.diagnosis.findings)],
        "history": [_finding(g, heads, page) for g in grouped(page.diagnosis.history)],
        "several": several,
        "skipped": page.diagnosis.skipped,
        "damaged": page.diagnosis.damaged,
        "failed": page.rendering.failed,
        "pictured": len({picture.shown for picture in page.rendering.pictures}),
        "drawable": page.drawable,
    }


def _title(text: str, runs: list[dict[str, Any]]) -> str:
    """How many of several runs are sick, and which; the headline of a single one."""
    judged = [run for run in runs if run["severity"] != "none"]
    if len(judged) < 2:
        return text
    sick = list(dict.fromkeys(r["name"] for r in judged if r["severity"] in ("warning", "error")))
    if not sick:
        return f"None of {len(judged)} runs is sick"
    named = listed(sick[:_NAMED]) + (" and others" if len(sick) > _NAMED else "")
    return f"{len(sick)} of {len(judged)} runs {'is' if len(sick) == 1 else 'are'} sick: {named}"


def _run(place: int, run: PageRun, page: Page) -> dict[str, Any]:
    rows = [r for r in page.diagnosis.layers if (r.run, r.phase) == (run.run, run.phase)]
    verdict = worst(verdict for row in rows for _, verdict in row.heads)
    steps = run.course.steps.tolist()
    said = {i.run: i.message for i in page.diagnosis.information}
    return {
        "place": place,
        "name": run.run,
        "phase": run.phase,
        "severity": "none" if not rows or verdict == NOT_JUDGED else str(verdict.severity),
        "words": verdict.words if rows else "numbers alone",
        "check": verdict.check,
        "tally": _tally(rows),
        "steps": f"{steps[0]:,}–{steps[-1]:,}" if len(steps) > 1 else f"{steps[0]:,}",
        "shown": len(steps),
        "recorded": run.recorded,
        "mapped": int(run.course.from_maps.sum()),
        "layers": len(run.course.layers),
        "heads": len(run.course.heads),
        "items": ", ".join(run.items),
        "creator": run.creator,
        "folder": run.folder,
        "numbers": [_last(run, name) for name, _ in OVERVIEW],
        "information": said.get(run.run, ""),
    }


def _last(run: PageRun, name: str) -> str:
    value = run.course.last(name)
    return number(value) if value == value else "–"


def _tally(rows: list[LayerRow]) -> list[tuple[str, int]]:
    """How many heads have each severity, the worst first."""
    counts = Counter(v.severity for row in rows for _, v in row.heads if v != NOT_JUDGED)
    return [(str(s), counts[s]) for s in reversed(Severity) if counts[s]]


def _finding(group: Group, heads: Heads, page: Page) -> dict[str, Any]:
    finding = group.worst
    told = explain_check(group.check.id)
    names = [(run.run, run.phase) for run in page.runs]
    return {
        "severity": str(group.severity),
        "id": group.check.id,
        "name": group.check.name,
        "title": group.check.title,
        "run": finding.run,
        "phase": finding.phase,
        "step": finding.step,
        "places": [
            (str(severity), places(found, heads), numbers(found))
            for severity, found in group.by_severity()
        ],
        "message": finding.message,
        "meaning": told.meaning,
        "remedy": told.remedy,
        "formula": told.formula,
        "origin": told.origin,
        "example": told.example,
        "place": names.index((finding.run, finding.phase)),
        "layer": finding.layer,
        "head": finding.heads[0] if finding.heads else None,
    }
