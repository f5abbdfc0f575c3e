"""What a user may change about the checks: which run, their thresholds, what counts as failure.

On the command line, or in a TOML file of the same words:

    select = ["D101", "softmax-saturated"]
    ignore = ["attention-sink"]
    fail-on = "error"

    [gamma-too-small]
    effect = 0.1
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from igaviz.checks.check import Check
from igaviz.checks.finding import Severity
from igaviz.checks.table import CHECKS, find_check
from igaviz.errors import IgavizError, SelectionError, UsageError

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
        fail_on: str | None = None,
        file: str | Path | None = None,
    ) -> Settings:
        """Settings from what is typed: ids or names (commas allowed), and `name.threshold=value`.

        What is typed goes before what the TOML `file` says, one by one. Raises `SelectionError`
        for an unknown check or threshold, `UsageError` for the rest.
        """
        base = cls() if file is None else cls.read(file)
        named = [*select]
        thresholds = {check: dict(values) for check, values in base.thresholds.items()}
        for text in settings:
            check, threshold, value = parse_setting(text)
            thresholds.setdefault(check, {})[threshold] = value
        return cls(
            _selected(named, given=bool(named)) or base.select,
            _ids(ignore) or base.ignore,
            thresholds,
            base.fail_on if fail_on is None else _fail_on(fail_on),
        )

    @classmethod
    def read(cls, path: str | Path) -> Settings:
        """The settings in a TOML file. Raises as `of` does, naming the file."""
        try:
            data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
            return cls._from_table(data)
        except OSError as error:
            raise UsageError(f"{path}: {(error.strerror or str(error)).lower()}") from error
        except ValueError as error:
            raise UsageError(f"{path}: no TOML ({error})") from error
        except IgavizError as error:
            raise type(error)(f"{path}: {error}", hint=error.hint) from error

    @classmethod
    def _from_table(cls, data: Mapping[str, object]) -> Settings:
        words = {key: value for key, value in data.items() if not isinstance(value, Mapping)}
        unknown = words.keys() - {"select", "ignore", "fail-on"}
        if unknown:
            key = min(unknown)
            known = [*(check.name for check in CHECKS), "select", "ignore", "fail-on"]
            near = difflib.get_close_matches(key, known, n=1)
            raise UsageError(
                f"no setting {key!r}",
                hint=(f"did you mean {near[0]}? " if near else "")
                + "it has select, ignore, fail-on, and a table of thresholds per check",
            )
        thresholds: dict[str, dict[str, float]] = {}
        for name, table in data.items():
            if isinstance(table, Mapping):
                check = find_check(name)
                for threshold, value in table.items():
                    thresholds.setdefault(check.id, {})[threshold] = _threshold(
                        check, threshold, value, f"{name}.{threshold}"
                    )
        return cls(
            _selected(_names(words, "select"), given="select" in words),
            _ids(_names(words, "ignore")),
            thresholds,
            _fail_on(words.get("fail-on", "warning")),
        )

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
    try:
        value: object = float(value_text)
    except ValueError:
        value = value_text.strip()
    return check.id, threshold, _threshold(check, threshold, value, text)


def _threshold(check: Check, threshold: str, value: object, text: str) -> float:
    """`value` as the number that a threshold of `check` is set to; `text` is what was written."""
    if threshold not in check.thresholds:
        near = difflib.get_close_matches(threshold, check.thresholds, n=1)
        guess = f"did you mean {near[0]}? " if near else ""
        raise SelectionError(
            f"{check.name} has no threshold {threshold!r}",
            hint=f"{guess}it has {', '.join(check.thresholds)}",
        )
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UsageError(f"{value!r} is no number in {text!r}")
    return float(value)


def _fail_on(word: object) -> Severity | None:
    if not isinstance(word, str) or word not in FAIL_ON:
        raise UsageError(f"no severity {word!r}", hint=f"one of {', '.join(FAIL_ON)}")
    return FAIL_ON[word]


def _names(words: Mapping[str, object], key: str) -> list[str]:
    """The list of names under `key` of a TOML file; one text will do."""
    value = words.get(key, [])
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError(f"{key} is no list of checks", hint=f'write {key} = ["D101"]')
    return names


def _selected(names: Iterable[str], *, given: bool) -> frozenset[str] | None:
    """The ids of the checks that are selected; None, which is all, where no selection is given."""
    ids = _ids(names)
    if given and not ids:
        raise UsageError("the selection names no check", hint="leave select out to run them all")
    return ids or None


def _ids(names: Iterable[str]) -> frozenset[str]:
    """The ids of checks given by id or name, commas allowed within each."""
    split = (name for text in names for name in text.split(",") if name.strip())
    return frozenset(find_check(name).id for name in split)
