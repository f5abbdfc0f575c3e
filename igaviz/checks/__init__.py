"""The checks: from the numbers of maps to findings, verdicts, and what to do."""

from igaviz.checks.baseline import Baseline
from igaviz.checks.check import Check
from igaviz.checks.conclude import conclude
from igaviz.checks.finding import Diagnosis, Finding, Severity, Skipped, Verdict
from igaviz.checks.judge import JudgedLayer, judge_layer
from igaviz.checks.layer_verdict import LayerVerdict
from igaviz.checks.settings import Settings, parse_setting
from igaviz.checks.table import CHECKS, find_check
from igaviz.checks.verdicts import badness, verdict_of, worst

__all__ = [
    "CHECKS",
    "Baseline",
    "Check",
    "Diagnosis",
    "Finding",
    "JudgedLayer",
    "LayerVerdict",
    "Settings",
    "Severity",
    "Skipped",
    "Verdict",
    "badness",
    "conclude",
    "find_check",
    "judge_layer",
    "parse_setting",
    "verdict_of",
    "worst",
]
