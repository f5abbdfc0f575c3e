"""What to say of a check that there is not."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

_ID = re.compile(r"[Dd]?[0-9]+")


def what_is_like(wanted: str, names: Mapping[str, str]) -> str:
    """A hint: the ids that begin like an id, or the name that `wanted` looks like.

    `names` are those of the checks, by id.
    """
    if _ID.fullmatch(wanted):
        group = f"D{wanted.upper().lstrip('D')}"[:2]
        like = [known for known in names if known.startswith(group)]
        return f"there are {', '.join(like or names)}; igaviz explain lists them"
    by_name = {name: known for known, name in names.items()}
    near = difflib.get_close_matches(wanted.lower(), by_name, n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]} ({by_name[near[0]]})? igaviz explain lists all"
    first, *_, last = names
    return f"checks go by id or name, {first} to {last}: igaviz explain lists them"
