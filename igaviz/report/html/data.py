"""What the page's script reads: plain data, and every head's numbers as float16."""

from __future__ import annotations

import base64
import json
import math
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from igaviz.metrics import METRICS
from igaviz.metrics.course import Course, Scale
from igaviz.metrics.over_steps import OF_PAGE
from igaviz.metrics.resolution import least_span
from igaviz.report.html.colours import LABELS, MARKS, kind_of, palettes
from igaviz.report.html.content import crowded, run_verdict
from igaviz.survey.page import Page, PageRun

_HALF_LIMIT = 60_000.0


def page_data(page: Page) -> dict[str, Any]:
    """All but the heads' numbers and the pictures."""
    return {
        "metrics": [
            {
                "name": m.name,
                "unit": m.unit,
                "title": m.title,
                "means": m.means,
                "scale": _scale(m.name, page.scales[m.name]),
            }
            for m in METRICS
            if m.name in page.scales
        ],
        "trajectories": list(OF_PAGE),
        "runs": [_run(run, page) for run in page.runs],
        "crowded": crowded(page),
        "glyphs": MARKS,
        "labels": LABELS,
        "palettes": palettes(),
    }


def _scale(metric: str, scale: Scale) -> dict[str, Any]:
    """The ends of a metric's scale, and how far up an axis from 0 reaches at least."""
    ends = {"low": scale.low, "high": scale.high, "log": scale.log}
    return {**ends, "least": least_span(metric, 0.0, 0.0)}


def _run(run: PageRun, page: Page) -> dict[str, Any]:
    course = run.course
    return {
        "name": run.run,
        "phase": run.phase,
        "severity": kind_of(run_verdict(run, page)),
        "folder": run.folder,
        "steps": course.steps.tolist(),
        "fromMaps": course.from_maps.tolist(),
        "layers": list(course.layers),
        "heads": list(course.heads),
        "metrics": list(course.numbers),
        "factors": [factor(course, name, page.scales[name]) for name in course.numbers],
        "words": [
            None if v is None else {"severity": kind_of(v), "check": v.check, "words": v.words}
            for v in run.words
        ],
        "byLayer": {name: _rounded(course.by_layer(name).T) for name in OF_PAGE},
        "ofRun": {name: _rounded(course.of_run(name)) for name in course.numbers},
    }


def factor(course: Course, name: str, scale: Scale) -> float:
    """What a decoded number is to be multiplied by; 0 where it is a decimal logarithm."""
    if scale.log:
        return 0.0
    found = course.numbers[name]
    largest = float(np.abs(found, where=np.isfinite(found), out=np.zeros_like(found)).max())
    return largest / _HALF_LIMIT if largest > 0 else 1.0


def numbers_base64(run: PageRun, page: Page) -> str:
    """The numbers [M, T, L, H] of a run as float16; `factor` takes them back.

    First the lower bytes of all, then the upper ones, which are much alike, deflated. NaN is no
    value, infinity the word `beyond`, minus infinity a logarithm of 0.
    """
    course = run.course
    found = [_half(course, name, page.scales[name]).ravel() for name in course.numbers]
    pairs = np.concatenate(found or [np.empty(0, "<f2")]).view(np.uint8).reshape(-1, 2)
    return _deflated(pairs.T.tobytes())


def verdicts_base64(run: PageRun) -> str:
    """The verdicts [T, L, H] of a run, a byte each, deflated."""
    return _deflated(run.verdicts.tobytes())


def _half(course: Course, name: str, scale: Scale) -> npt.NDArray[np.float16]:
    found = course.numbers[name].astype(np.float64)
    if scale.log:
        with np.errstate(divide="ignore"):
            return np.log10(found).astype("<f2")
    return (found / factor(course, name, scale)).astype("<f2")


def _deflated(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode("ascii")


def _rounded(values: npt.NDArray[np.float32]) -> Any:  # noqa: ANN401 (lists as deep as the array)
    if values.ndim > 1:
        return [_rounded(row) for row in values]
    return [float(f"{v:.4g}") if math.isfinite(v) else None for v in values.tolist()]


def script_json(data: object) -> str:
    """JSON for the inside of a `<script>`: nothing in it can end the element or begin another."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
