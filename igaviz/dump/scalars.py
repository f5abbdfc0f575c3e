"""The lines of a scalars file: per-head numbers of many more steps than there are shards."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from igaviz.dump.data import Damage

MAX_LINE = 2**20
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_NATURAL = ("step", "layer")


@dataclass(frozen=True)
class ScalarLine:
    """One layer at one step: per head, each metric over the `maps` items of the batch.

    `values[name][k]` belongs to `heads[k]`, None for a number that is not finite.
    """

    step: int
    phase: str
    rank: int
    attempt: int
    layer: int
    maps: int
    heads: tuple[int, ...]
    values: Mapping[str, tuple[float | None, ...]]


def read_scalars(
    path: Path, rank: int, report: Callable[[Damage], None] | None = None
) -> Iterator[ScalarLine]:
    """The lines of the scalars file at `path`, one at a time.

    A torn last line is dropped silently (its writer was stopped); any other line that doesn't fit
    is skipped and handed to `report`.
    """
    try:
        stream = path.open("rb")
    except OSError as error:
        _tell(report, path, "", f"can't be read ({error.strerror})")
        return
    with stream:
        number = 0
        while raw := stream.readline(MAX_LINE):
            number += 1
            if not raw.endswith(b"\n"):
                if len(raw) < MAX_LINE:
                    return
                _tell(report, path, f"line {number}", "longer than 1 MiB; the rest is not read")
                return
            if raw == b"\n":
                continue
            line = _parse(raw, rank)
            if isinstance(line, str):
                _tell(report, path, f"line {number}", line)
            else:
                yield line


def _tell(report: Callable[[Damage], None] | None, path: Path, where: str, reason: str) -> None:
    if report is not None:
        report(Damage(str(path), where, reason))


def _parse(raw: bytes, rank: int) -> ScalarLine | str:
    """The line, or the reason why it is none."""
    try:
        fields = json.loads(raw)
    except (ValueError, RecursionError):
        return "not a line of JSON"
    if not isinstance(fields, dict) or not all(_is_natural(fields.get(name)) for name in _NATURAL):
        return "not an object with `step` and `layer`"
    heads = fields.get("heads")
    if not isinstance(heads, list) or not all(_is_natural(head) for head in heads):
        return "`heads` is no list of head numbers"
    phase = fields.get("phase", "train")
    if not isinstance(phase, str) or not phase.isidentifier():
        return "`phase` is no name"
    values = {
        name: tuple(_number(value) for value in listed)
        for name, listed in fields.items()
        if _NAME.fullmatch(name)
        and name != "heads"
        and isinstance(listed, list)
        and len(listed) == len(heads)
    }
    return ScalarLine(
        step=fields["step"],
        phase=phase,
        rank=rank,
        attempt=_natural_or(fields.get("attempt"), 0),
        layer=fields["layer"],
        maps=_natural_or(fields.get("maps"), 1),
        heads=tuple(heads),
        values=values,
    )


def _is_natural(value: Any) -> bool:  # noqa: ANN401 (anything JSON holds)
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**15


def _natural_or(value: Any, default: int) -> int:  # noqa: ANN401
    return value if _is_natural(value) else default


def _number(value: Any) -> float | None:  # noqa: ANN401
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
