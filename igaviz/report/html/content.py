"""What the page says in words: runs, findings, what to do; plain data for the template."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from igaviz.checks import Severity, worst
from igaviz.checks.explain import explain_check
from igaviz.checks.finding import Finding, LayerRow
from igaviz.checks.telling import telling
from igaviz.checks.wording import number
from igaviz.metrics import METRICS
from igaviz.report.grouped import Group, Heads, grouped, head_counts, numbers, places
from igaviz.report.headline import headline
from igaviz.report.html.colours import LABELS, MARKS, kind_of
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
"""Sick runs that the headline names."""

_TOLD = 4
"""Runs with one finding that are told of at once; the others are a click away."""

_STRIP = 1000.0
"""The width and the height of the strip of verdicts, in units of its own."""


def content(page: Page) -> dict[str, Any]:
    """What the template shows."""
    text, severity = headline(page.diagnosis)
    heads = head_counts(page.diagnosis.layers)
    runs = [_run(place, run, page) for place, run in enumerate(page.runs)]
    title, named = _title(text, runs)
    return {
        "headline": text,
        "title": title,
        "named": named,
        "severity": "none" if severity is None else str(severity),
        "glyphs": MARKS,
        "labels": LABELS,
        "columns": [title for _, title in OVERVIEW],
        "runs": runs,
        "worst_first": sorted(runs, key=lambda run: -_ORDER.index(run["severity"])),
        "findings": _findings(page.diagnosis.findings, heads, page),
        "history": _findings(page.diagnosis.history, heads, page),
        "several": len(page.runs) > 1,
        "metrics": [metric for metric in METRICS if metric.name in page.scales],
        "skipped": page.diagnosis.skipped,
        "damaged": page.diagnosis.damaged,
        "failed": page.rendering.failed,
        "pictured": len({picture.shown for picture in page.rendering.pictures}),
        "drawable": page.drawable,
    }


_ORDER = tuple(MARKS)


def _title(text: str, runs: list[dict[str, Any]]) -> tuple[str, list[str]]:
    """How many of several runs are sick, and which; the headline of a single one."""
    judged = [run for run in runs if run["severity"] != "none"]
    if len(judged) < 2:
        return text, []
    sick = list(dict.fromkeys(r["name"] for r in judged if r["severity"] in ("warning", "error")))
    if not sick:
        unknown = sum(run["severity"] == "unknown" for run in judged)
        but = f"; geometry not judged in {unknown}" if unknown else ""
        return f"None of {len(judged)} runs is sick{but}", []
    named = sick[:_NAMED] + ["others"] * (len(sick) > _NAMED)
    return f"{len(sick)} of {len(judged)} runs {'is' if len(sick) == 1 else 'are'} sick", named


def _run(place: int, run: PageRun, page: Page) -> dict[str, Any]:
    rows = [r for r in page.diagnosis.layers if (r.run, r.phase) == (run.run, run.phase)]
    verdict = worst(verdict for row in rows for _, verdict in row.heads)
    steps = run.course.steps.tolist()
    said = {i.run: i.message for i in page.diagnosis.information}
    return {
        "place": place,
        "name": run.run,
        "phase": run.phase,
        "severity": kind_of(verdict) if rows else "none",
        "words": verdict.words if rows else "numbers alone",
        "check": verdict.check,
        "tally": _tally(rows),
        "strip": _strip(run),
        "since": run.sick_since(),
        "first": steps[0],
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


def _strip(run: PageRun) -> list[tuple[str, tuple[float, ...]]]:
    """Rectangles: severity; left, top, width, height; one column for each stretch of like steps.

    A column's heads are all of it, the worst at the bottom; it lasts until the next recorded step.
    Heads of which not all could be judged are left out.
    """
    counts, steps = run.severities(), run.course.steps
    changed = np.flatnonzero((np.diff(counts, axis=0) != 0).any(axis=1)) + 1
    starts = [0, *changed.tolist()]
    last = int(np.median(np.diff(steps))) if len(steps) > 1 else 1
    edges = [*(int(steps[start]) for start in starts), int(steps[-1]) + last]
    scale = _STRIP / (edges[-1] - edges[0])
    found: list[tuple[str, tuple[float, ...]]] = []
    for start, left, right in zip(starts, edges, edges[1:], strict=False):
        below = _STRIP
        for severity in reversed(Severity):
            height = _STRIP * int(counts[start, severity]) / max(int(counts[start].sum()), 1)
            below -= height
            if height:
                x, width = scale * (left - edges[0]), scale * (right - left)
                found.append((str(severity), _rounded(x, below, width, height)))
    return found


def _rounded(*numbers: float) -> tuple[float, ...]:
    return tuple(round(number, 1) for number in numbers)


def _last(run: PageRun, name: str) -> str:
    value = run.course.last(name)
    return number(value) if value == value else "–"


def _tally(rows: list[LayerRow]) -> list[tuple[str, int]]:
    """How many heads have each kind of verdict, the worst first."""
    counts = Counter(kind_of(v) for row in rows for _, v in row.heads)
    return [(kind, counts[kind]) for kind in reversed(MARKS) if counts[kind]]


def _findings(findings: Iterable[Finding], heads: Heads, page: Page) -> list[dict[str, Any]]:
    """What each check found, in all runs: the most severe first, then the most telling."""
    by_check: dict[str, list[Group]] = {}
    for group in grouped(findings):
        by_check.setdefault(group.check.id, []).append(group)
    ordered = sorted(by_check.values(), key=lambda of: (-of[0].severity, telling(of[0].check.id)))
    return [_finding(groups, heads, page) for groups in ordered]


def _finding(groups: list[Group], heads: Heads, page: Page) -> dict[str, Any]:
    check = groups[0].check
    told = explain_check(check.id)
    runs = [_found(group, heads, page) for group in groups]
    return {
        "severity": str(groups[0].severity),
        "id": check.id,
        "name": check.name,
        "title": check.title,
        "runs": runs[:_TOLD],
        "further": runs[_TOLD:],
        "meaning": told.meaning,
        "remedy": told.remedy,
        "formula": told.formula,
        "origin": told.origin,
        "example": told.example,
    }


def _found(group: Group, heads: Heads, page: Page) -> dict[str, Any]:
    """What a check found in one run."""
    finding = group.worst
    names = [(run.run, run.phase) for run in page.runs]
    return {
        "run": finding.run,
        "phase": finding.phase,
        "step": finding.step,
        "places": [
            (str(severity), places(found, heads), numbers(found))
            for severity, found in group.by_severity()
        ],
        "message": finding.message,
        "place": names.index((finding.run, finding.phase)),
        "layer": finding.layer,
        "head": finding.heads[0] if finding.heads else None,
    }
