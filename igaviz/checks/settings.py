"""What a user may change about the checks: which run, their thresholds, what counts as failure."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from igaviz.checks.check import Check
from igaviz.checks.finding import Severity
from igaviz.checks.table import CHECKS, find_check
from igaviz.errors import SelectionError, UsageError

FAIL_ON = {
    "error": Severity.ERROR,
    "warning": Severity.WARNING,
    "note": Severity.NOTE,
    "never": None,
}


@dataclass(frozen=True)
class Settings:
    """Which checks run (by id), by which thresholds, and from which severity on they fail.

    `select` None means all; `ignore` goes last. `thresholds` holds what differs from the table:
    check id → threshold name → value. Checks that aren't selected still silence others.
    """

    select: frozenset[str] | None = None
    ignore: frozenset[str] = frozenset()
    thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    fail_on: Severity | None = Severity.WARNING

    @classmethod
    def of(
        cls,
        *,
        select: Iterable[str] = (),
        ignore: Iterable[str] = (),
        settings: Iterable[str] = (),
        fail_on: str = "warning",
    ) -> Settings:
        """Settings from what is typed: ids or names (commas allowed), and `name.threshold=value`.

        Raises `SelectionError` for an unknown check or threshold, `UsageError` for the rest.
        """
        if fail_on not in FAIL_ON:
            raise UsageError(f"no severity {fail_on!r}", hint=f"one of {', '.join(FAIL_ON)}")
        thresholds: dict[str, dict[str, float]] = {}
        for text in settings:
            check, threshold, value = parse_setting(text)
            thresholds.setdefault(check, {})[threshold] = value
        return cls(_ids(select) or None, _ids(ignore), thresholds, FAIL_ON[fail_on])

    def runs(self, check: Check) -> bool:
        """Whether `check` may speak."""
        return (self.select is None or check.id in self.select) and check.id not in self.ignore

    def thresholds_of(self, check: Check) -> dict[str, float]:
        """The thresholds of `check`: the table's, and the user's where they differ."""
        return {**check.thresholds, **self.thresholds.get(check.id, {})}

    @cached_property
    def checks(self) -> tuple[Check, ...]:
        """The checks that may speak, without those that are information only."""
        return tuple(check for check in CHECKS if check.rule is not None and self.runs(check))


def parse_setting(text: str) -> tuple[str, str, float]:
    """`gamma-too-small.effect=0.1` → ("D101", "effect", 0.1).

    Raises `SelectionError` for an unknown check or threshold, `UsageError` for anything else.
    """
    key, equals, value_text = text.partition("=")
    name, dot, threshold = key.strip().rpartition(".")
    if not equals or not dot:
        raise UsageError(f"{text!r} is no setting", hint="write it like gamma-too-small.effect=0.1")
    check = find_check(name)
    if threshold not in check.thresholds:
        near = difflib.get_close_matches(threshold, check.thresholds, n=1)
        guess = f"did you mean {near[0]}? " if near else ""
        raise SelectionError(
            f"{check.name} has no threshold {threshold!r}",
            hint=f"{guess}it has {', '.join(check.thresholds)}",
        )
    try:
        value = float(value_text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{value_text.strip()!r} is no number in {text!r}")
    return check.id, threshold, value


def _ids(names: Iterable[str]) -> frozenset[str]:
    """The ids of checks given by id or name, commas allowed within each."""
    split = (name for text in names for name in text.split(",") if name.strip())
    return frozenset(find_check(name).id for name in split)
