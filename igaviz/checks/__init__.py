"""The checks: from the numbers of maps to findings, verdicts, and what to do."""

from igaviz.checks.baseline import Baseline
from igaviz.checks.check import Check
from igaviz.checks.conclude import conclude
from igaviz.checks.finding import Diagnosis, Finding, Severity, Skipped, Verdict
from igaviz.checks.judge import (
    LayerVerdict,
    badness,
    judge_layer,
    map_verdicts,
    verdict_of,
    worst,
)
from igaviz.checks.settings import Settings, parse_setting
from igaviz.checks.table import CHECKS, find_check

__all__ = [
    "CHECKS",
    "Baseline",
    "Check",
    "Diagnosis",
    "Finding",
    "LayerVerdict",
    "Settings",
    "Severity",
    "Skipped",
    "Verdict",
    "badness",
    "conclude",
    "find_check",
    "judge_layer",
    "map_verdicts",
    "parse_setting",
    "verdict_of",
    "worst",
]
