"""What the page says in words: runs, findings, what to do; plain data for the template."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from igaviz.checks import Severity, Verdict, verdict_of, worst
from igaviz.checks.explain import explain_check
from igaviz.checks.finding import Finding
from igaviz.checks.telling import telling
from igaviz.checks.wording import counted, number, span
from igaviz.metrics import METRICS
from igaviz.percent import percent
from igaviz.report.grouped import Group, Heads, grouped, head_counts, numbers, places
from igaviz.report.headline import headline
from igaviz.report.html.colours import LABELS, MARKS, MOST_LINES, kind_of
from igaviz.survey.page import Page, PageRun

OVERVIEW = (
    ("geometry_effect", "geometry effect"),
    ("gamma", "γ"),
    ("geometry_ratio", "geometry ratio"),
    ("saturation", "saturation"),
    ("self_mass", "self mass"),
    ("entropy", "entropy, nats"),
)
"""The metrics of the table of runs, at the last step that has them: those that the page has charts
of (`igaviz.metrics.over_steps.OF_PAGE`), and self mass, where a collapse of attention shows."""

_NAMED = 4
"""Sick runs that the headline names."""

_TOLD = 4
"""Runs that all are told of where there are no more; else the first, the others a click away."""

_FIRST = 2

_BREAKS = re.compile(r"(?<=[_/.-])(?=.)")
"""Where the name of a run may go on in the next line."""

_STRIP = 1000.0
"""The width and the height of the strip of verdicts, in units of its own."""


def content(page: Page) -> dict[str, Any]:
    """What the template shows."""
    text, severity = headline(page.diagnosis)
    heads = head_counts(page.diagnosis.layers)
    runs = [_run(place, run, page) for place, run in enumerate(page.runs)]
    worst_first = sorted(runs, key=_badness, reverse=True)
    title, named = _title(text, worst_first)
    by_numbers = [run["severity"] for run in runs if not run["mapped"]]
    said = ["none" if severity is None else str(severity), *by_numbers]
    rules = [run for run in runs if run["information"]]
    effects = [run for run in worst_first if run["effect"]]
    return {
        "headline": text,
        "title": title,
        "named": named,
        "severity": max(said, key=_ORDER.index),
        "glyphs": MARKS,
        "labels": LABELS,
        "columns": [title for _, title in OVERVIEW],
        "runs": runs,
        "worst_first": worst_first,
        "crowded": crowded(page),
        "effects": effects[:_TOLD],
        "further_effects": len(effects[_TOLD:]),
        "rules": _first(rules),
        "further_rules": rules[len(_first(rules)) :],
        "creators": sorted({run["creator"] for run in runs if run["creator"]}),
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


def crowded(page: Page) -> bool:
    """Whether there are more runs than lines of a chart can be told apart."""
    return len(page.runs) > MOST_LINES


def run_verdict(run: PageRun, page: Page) -> Verdict:
    """The worst that is said of `run`: of a head, or by a finding on whole layers or items."""
    found = (f for f in page.diagnosis.findings if (f.run, f.phase) == (run.run, run.phase))
    return worst([*_verdicts(run, page), *map(verdict_of, found)])


def _verdicts(run: PageRun, page: Page) -> list[Verdict]:
    """The verdict on each head: of the diagnosis, or of a run without maps of its last step."""
    rows = [row for row in page.diagnosis.layers if (row.run, row.phase) == (run.run, run.phase)]
    if rows:
        return [verdict for row in rows for _, verdict in row.heads]
    last = (run.words[place] for place in run.verdicts[-1].ravel().tolist())
    return [verdict for verdict in last if verdict is not None]


def _badness(run: dict[str, Any]) -> tuple[int, ...]:
    """Orders runs: by their worst verdict, then by the shares of heads with each verdict."""
    counts = dict(run["tally"])
    heads = max(sum(counts.values()), 1)
    shares = (1000 * counts.get(kind, 0) // heads for kind in reversed(MARKS))
    return _ORDER.index(run["severity"]), *shares


def _first(told: list[Any]) -> list[Any]:
    """Those of several runs that are told of at once."""
    return told if len(told) <= _TOLD else told[:_FIRST]


def _title(text: str, runs: list[dict[str, Any]]) -> tuple[str, list[str]]:
    """How many of several runs are sick, and which, the worst first; the headline of a single one.

    That of a run without maps knows nothing of its numbers.
    """
    judged = [run for run in runs if run["severity"] != "none"]
    if len(judged) < 2:
        alone = len(runs) == 1 and judged and not runs[0]["mapped"]
        return f"{text} By numbers alone: {runs[0]['words']}" if alone else text, []
    sick = list(dict.fromkeys(r["name"] for r in judged if r["severity"] in ("warning", "error")))
    if not sick:
        unknown = sum(run["severity"] == "unknown" for run in judged)
        but = f"; geometry not judged in {unknown}" if unknown else ""
        return f"None of {len(judged)} runs is sick{but}", []
    named = sick[:_NAMED] + ["others"] * (len(sick) > _NAMED)
    return f"{len(sick)} of {len(judged)} runs {'is' if len(sick) == 1 else 'are'} sick", named


def _run(place: int, run: PageRun, page: Page) -> dict[str, Any]:
    verdicts = _verdicts(run, page)
    verdict = run_verdict(run, page)
    steps = run.course.steps.tolist()
    said = {i.run: i.message for i in page.diagnosis.information}
    return {
        "place": place,
        "name": run.run,
        "pieces": _BREAKS.split(run.run),
        "phase": run.phase,
        "severity": kind_of(verdict),
        "words": verdict.words,
        "check": verdict.check,
        "tally": _tally(verdicts),
        "strip": _strip(run),
        "since": run.sick_since(),
        "before": run.sick_before(),
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
        "effect": _effect(run),
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


def _effect(run: PageRun) -> dict[str, str] | None:
    """How much of attention geometry moves at the last step that has it, in words; None: nowhere.

    `median` over `heads` heads, and the `range` of their numbers.
    """
    found = run.course.at_last("geometry_effect")
    if found is None:
        return None
    return {
        "median": percent(found.median),
        "range": span((found.least, found.largest), percent),
        "heads": counted(found.heads, "head"),
        "step": f"{found.step:,}",
    }


def _tally(verdicts: list[Verdict]) -> list[tuple[str, int]]:
    """How many heads have each kind of verdict, the worst first."""
    counts = Counter(map(kind_of, verdicts))
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
        "runs": _first(runs),
        "further": runs[len(_first(runs)) :],
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
        "head": _head(finding),
    }


def _head(finding: Finding) -> int | None:
    """The head to show for a finding: the worst, or the first where it is of no single one."""
    first = finding.heads[0] if finding.heads else None
    return first if finding.worst_head is None else finding.worst_head
