"""Known findings: what an earlier diagnosis said is accepted, what is new is not.

A finding is known where the baseline has findings of the same id, run, phase and layer (of the
same rank and batch item, where it speaks of an item), one of them as severe at least, and names
every head that shows it now. A further head, a further layer, a higher severity is new. Steps are
not compared: a baseline is made of an earlier step, or of another training of the same name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from igaviz.checks.finding import Diagnosis, Finding, Severity
from igaviz.errors import UsageError

SCHEMA = "igaviz.diagnose/1"
"""What the file must be: the output of `igaviz diagnose --json`."""

_HINT = "a baseline is what `igaviz diagnose --json` printed"
_SEVERITIES = {str(severity): severity for severity in Severity}

_Place = tuple[str, str, str, int | None, int | None, int | None]
"""(id, run, phase, layer, rank, batch item), the last two None where it speaks of a layer."""


@dataclass(frozen=True)
class _Known:
    severity: Severity
    heads: frozenset[int]


@dataclass(frozen=True)
class Baseline:
    """The findings of an earlier diagnosis, by place."""

    known: dict[_Place, _Known]

    @classmethod
    def read(cls, path: Path) -> Baseline:
        """The baseline in a file. Raises `UsageError` where it can't be read or is something else.

        Files by layer and files `--by map` do alike: the maps of one place are put together.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UsageError(f"{path}: {(error.strerror or str(error)).lower()}") from error
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{path}: no JSON", hint=_HINT) from error
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            raise UsageError(f"{path}: its schema is not {SCHEMA}", hint=_HINT)
        known: dict[_Place, _Known] = {}
        try:
            for finding in data["findings"]:
                _add(known, finding)
        except (KeyError, TypeError) as error:
            raise UsageError(f"{path}: a finding in it is damaged", hint=_HINT) from error
        return cls(known)

    def knows(self, finding: Finding) -> bool:
        """Whether `finding` is no news."""
        of_item = finding.layer is None
        known = self.known.get(
            (
                *(finding.id, finding.run, finding.phase, finding.layer),
                finding.rank if of_item else None,
                finding.batch if of_item else None,
            )
        )
        return (
            known is not None
            and finding.severity <= known.severity
            and known.heads.issuperset(finding.heads)
        )

    def accept(self, diagnosis: Diagnosis) -> Diagnosis:
        """`diagnosis` with what is known marked as accepted."""
        return replace(
            diagnosis,
            findings=self._marked(diagnosis.findings),
            by_map=self._marked(diagnosis.by_map),
        )

    def _marked(self, findings: Iterable[Finding]) -> tuple[Finding, ...]:
        return tuple(
            replace(finding, accepted=True) if self.knows(finding) else finding
            for finding in findings
        )


def _add(known: dict[_Place, _Known], finding: dict[str, Any]) -> None:
    layer = finding["layer"]
    item = (None, None) if layer is not None else (finding["rank"], finding["batch"])
    place = (finding["id"], finding["run"], finding["phase"], layer, *item)
    severity, heads = _SEVERITIES[finding["severity"]], frozenset(finding["heads"])
    other = known.get(place)
    if other is not None:
        severity, heads = max(severity, other.severity), heads | other.heads
    known[place] = _Known(severity, heads)
