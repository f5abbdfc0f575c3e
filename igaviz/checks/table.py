"""The checks, as one table: everything that text, JSON, figures and docs know about a check."""

from __future__ import annotations

import difflib

from igaviz.checks.check import Check
from igaviz.checks.invariants import INVARIANTS
from igaviz.checks.of_attention import OF_ATTENTION
from igaviz.checks.of_geometry import OF_GEOMETRY
from igaviz.errors import SelectionError

CHECKS: tuple[Check, ...] = (*INVARIANTS, *OF_GEOMETRY, *OF_ATTENTION)
"""In the order of their ids: invariants of a sound recording, geometry, attention."""

_BY_ID = {check.id: check for check in CHECKS}
_BY_NAME = {check.name: check for check in CHECKS}


def find_check(name: str) -> Check:
    """The check with this id or name, in any case; raises `SelectionError` with the nearest."""
    wanted = name.strip()
    check = _BY_ID.get(wanted.upper()) or _BY_NAME.get(wanted.lower())
    if check is not None:
        return check
    known = {key.lower(): found for key, found in (_BY_ID | _BY_NAME).items()}
    near = difflib.get_close_matches(wanted.lower(), known, n=1, cutoff=0.5)
    hint = (
        f"did you mean {known[near[0]].name} ({known[near[0]].id})?"
        if near
        else f"checks go by id or name: {CHECKS[0].id} to {CHECKS[-1].id}"
    )
    raise SelectionError(f"no check {name!r}", hint=hint)
