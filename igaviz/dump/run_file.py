"""What the run files beside shards say of recordings that have no more, or nothing at all."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from igaviz.format import parse_run_json_name

_MOST_BYTES = 4 << 20
_MOST_LETTERS = 300


@dataclass(frozen=True)
class Ended:
    """A recording that failed, or had no room left: from `step` on nothing is on disk."""

    rank: int
    attempt: int
    step: int | None
    reason: str


def recordings_that_ended(folder: Path) -> tuple[Ended, ...]:
    """The recordings of a folder that say in `run.json` that they ended early, and why.

    Readers work without run files: one that can't be read says nothing.
    """
    found = []
    for path in sorted(folder.glob("run*.json")):
        rank = parse_run_json_name(path.name)
        if rank is not None:
            found += list(_ended_in(path, rank))
    return tuple(found)


def why_nothing(folder: Path, ended: Sequence[Ended]) -> str:
    """The end of a sentence that says why `folder` holds no shard, as far as its run files know."""
    if ended:
        return f"; its recording ended: {ended[-1].reason}"
    empty = sum(
        _natural(entry.get("empty_steps")) or 0
        for path in sorted(folder.glob("run*.json"))
        if parse_run_json_name(path.name) is not None
        for entry in _attempts_in(path)
    )
    if not empty:
        return ""
    steps = "1 step was" if empty == 1 else f"{empty:,} steps were"
    return f"; {steps} due and nothing was tapped: is tap(...) called within recorder.step?"


def _attempts_in(path: Path) -> Iterator[dict[str, Any]]:
    """What a run file says of each attempt; nothing where it can't be read."""
    try:
        facts = path.lstat()
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > _MOST_BYTES:
            return
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return
    attempts = content.get("attempts") if isinstance(content, dict) else None
    attempts = attempts if isinstance(attempts, list) else []
    yield from (entry for entry in attempts if isinstance(entry, dict))


def _ended_in(path: Path, rank: int) -> Iterator[Ended]:
    for entry in _attempts_in(path):
        off = entry.get("off")
        if isinstance(off, dict):
            yield Ended(
                rank=rank,
                attempt=_natural(entry.get("attempt")) or 0,
                step=_natural(off.get("step")),
                reason=_one_line(off.get("reason")),
            )


def _natural(value: Any) -> int | None:  # noqa: ANN401 (anything JSON holds)
    whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**15
    return value if whole else None


def _one_line(value: Any) -> str:  # noqa: ANN401
    text = " ".join(value.split()) if isinstance(value, str) else "no reason is given"
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]}…"
