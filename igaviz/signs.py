"""The signs of verdicts, the same in texts, pictures and pages. Pure.

They differ in shape, so that no colour is needed to tell them apart; DejaVu Sans has them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Sign(NamedTuple):
    """The sign of a severity, and what stands for it where an encoding hasn't got it."""

    mark: str
    ascii: str


SIGNS: Mapping[str, Sign] = MappingProxyType(
    {
        "healthy": Sign("○", "."),
        "note": Sign("◆", "*"),
        "warning": Sign("▲", "!"),
        "error": Sign("✖", "X"),
    }
)
"""The sign of each severity, by its name."""

UNKNOWN = "?"
"""The sign of what was not judged."""

GEOMETRY_UNKNOWN = Sign("–", "-")
"""The sign of what is healthy as far as it could be judged: geometry was not."""
