"""JSON Schemas of what the verbs print with `--json`: part of the package, `schemas/VERB.json`."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from igaviz.errors import UsageError

VERBS = (
    "compare",
    "diagnose",
    "explain",
    "export",
    "info",
    "merge",
    "render",
    "summary",
    "verify",
)
"""The verbs that print JSON."""


def json_schema(verb: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of what `igaviz VERB --json` prints.

    Raises `UsageError` for a verb that prints none.
    """
    if verb not in VERBS:
        raise UsageError(f"no JSON of {verb!r}", hint=f"one of {', '.join(VERBS)}")
    text = (resources.files("igaviz.report") / "schemas" / f"{verb}.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
