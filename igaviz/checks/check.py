"""What a check is: one row of the table in `igaviz.checks.table`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from igaviz.checks.finding import Severity
from igaviz.checks.messages import Say
from igaviz.checks.rules import Rule

Scope = Literal["map", "item", "layer", "trend", "run"]


@dataclass(frozen=True)
class Check:
    """One check.

    `title` is what a figure says. `metrics` are the numbers it needs, its first condition's
    first; `formula` is a format string over the thresholds. A check decides per map: one of scope
    `map` is judged by the share of heads that show it, one of scope `layer` speaks only from a
    share of heads on (its threshold `heads`), one of scope `item` is said once per batch item,
    one of scope `trend` is judged over the steps of a layer (`igaviz.checks.trends`), one of scope
    `run` is a line of information and never a finding; these two have no `rule`.
    `bound` says what its first threshold is. `invariant`: it holds on every map of every sound
    recording, so one map that breaks it counts in full. `silences` are keys of `silence.SILENCES`.
    It doesn't fire on a map where one of `unless` does, and is told under a check of
    `consequence_of` that explains it.
    """

    id: str
    name: str
    title: str
    cap: Severity
    scope: Scope
    metrics: tuple[str, ...]
    thresholds: Mapping[str, float]
    formula: str
    meaning: str
    remedy: str
    rule: Rule | None = None
    say: Say | None = None
    silences: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    bound: str = "threshold"
    consequence_of: tuple[str, ...] = ()
    invariant: bool = False

    def __str__(self) -> str:
        return f"{self.id} {self.name}"
