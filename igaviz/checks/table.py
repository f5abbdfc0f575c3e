"""The checks, as one table: everything that text, JSON, figures and docs know about a check."""

from __future__ import annotations

from igaviz.checks.check import Check
from igaviz.checks.naming import what_is_like
from igaviz.checks.of_attention import OF_ATTENTION
from igaviz.checks.of_geometry import OF_GEOMETRY
from igaviz.checks.of_recording import OF_RECORDING
from igaviz.errors import SelectionError

CHECKS: tuple[Check, ...] = (*OF_RECORDING, *OF_GEOMETRY, *OF_ATTENTION)
"""In the order of their ids: the recording, geometry, attention."""

_BY_ID = {check.id: check for check in CHECKS}
_BY_NAME = {check.name: check for check in CHECKS}


def find_check(name: str) -> Check:
    """The check with this id or name, in any case; raises `SelectionError` with those like it."""
    wanted = name.strip()
    check = _BY_ID.get(wanted.upper()) or _BY_NAME.get(wanted.lower())
    if check is not None:
        return check
    names = {check.id: check.name for check in CHECKS}
    raise SelectionError(f"no check {name!r}", hint=what_is_like(wanted, names))
