"""The lines of a scalars file: per-head numbers of many more steps than there are shards."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from igaviz.format import GAMMA_GRADIENT, METRIC_NAMES, NUMBERS_END

MAX_LINE = 2**20
_MAX_NAME = 64
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_NATURAL = ("step", "layer")

# What the recorder writes first in each line. Any other order costs a full parse, no more.
_HEAD = re.compile(
    rb'\{"step": ?([0-9]{1,15}), ?"phase": ?"([A-Za-z_]{1,64})", ?"attempt": ?([0-9]{1,15}), ?'
    rb'"layer": ?([0-9]{1,15}), ?"maps": ?[0-9]{1,15}, ?"heads": ?\[([0-9, ]{0,4096})\]'
)


@dataclass(frozen=True)
class ScalarLine:
    """One layer at one step: per head, each metric over the `maps` items of the batch.

    `values[name][k]` belongs to `heads[k]`, None for a number that is not finite. `numbers` are the
    step's own (loss, learning rate, …), as its training noted them. `gamma_gradient_norm` is the
    Euclidean norm over heads of the gradient that reached the layer's γ, None where there was none.
    `unread` says what of the line doesn't fit, and is left out; "" where all of it does.
    """

    step: int
    phase: str
    rank: int
    attempt: int
    layer: int
    maps: int
    heads: tuple[int, ...]
    values: Mapping[str, tuple[float | None, ...]]
    numbers: Mapping[str, float | None]
    gamma_gradient_norm: float | None
    unread: str = ""


class LineHead(NamedTuple):
    """What a line is about, without its numbers."""

    step: int
    phase: str
    attempt: int
    layer: int
    heads: tuple[int, ...]


def line_head(raw: bytes) -> LineHead | str:
    """What the line `raw` is about, or the reason why it is none.

    Quick: the numbers of a line that begins as the recorder's do are not looked at, so it may
    still turn out damaged in `parse_line`.
    """
    head = _quick_head(raw)
    if head is not None:
        return head
    line = parse_line(raw, 0)
    if isinstance(line, str):
        return line
    return LineHead(line.step, line.phase, line.attempt, line.layer, line.heads)


def _quick_head(raw: bytes) -> LineHead | None:
    match = _HEAD.match(raw) if raw.endswith(b"}\n") else None
    if match is None:
        return None
    step, phase, attempt, layer, heads = match.groups()
    numbers = _head_numbers(heads)
    if numbers is None:
        return None
    return LineHead(int(step), _phase_name(phase), int(attempt), int(layer), numbers)


@lru_cache(maxsize=256)
def _head_numbers(raw: bytes) -> tuple[int, ...] | None:
    try:
        return tuple(int(number) for number in raw.split(b",")) if raw.strip() else ()
    except ValueError:
        return None


@lru_cache(maxsize=256)
def _phase_name(raw: bytes) -> str:
    return raw.decode("ascii")


def parse_line(raw: bytes, rank: int) -> ScalarLine | str:
    """The line, or the reason why it is none."""
    try:
        fields = json.loads(raw)
    except (ValueError, RecursionError):
        whole = raw.rstrip().endswith(b"}") or not raw.startswith(b"{")
        return "not a line of JSON" if whole else "torn: its writer was stopped within it"
    if not isinstance(fields, dict) or not all(_is_natural(fields.get(name)) for name in _NATURAL):
        return "not an object with `step` and `layer`"
    heads = fields.get("heads")
    if not isinstance(heads, list) or not all(_is_natural(head) for head in heads):
        return "`heads` is no list of head numbers"
    phase = fields.get("phase", "train")
    if not isinstance(phase, str) or not phase.isidentifier():
        return "`phase` is no name"
    values, unread = _metrics(fields, len(heads))
    unread += [said for name, fits, said in _OTHERS if name in fields and not fits(fields[name])]
    line = ScalarLine(
        step=fields["step"],
        phase=phase,
        rank=rank,
        attempt=_natural_or(fields.get("attempt"), 0),
        layer=fields["layer"],
        maps=_natural_or(fields.get("maps"), 1),
        heads=tuple(heads),
        values=values,
        numbers=_own_numbers(fields.get("numbers")),
        gamma_gradient_norm=_number(fields.get("gamma_gradient_norm")),
        unread="; ".join(unread),
    )
    head = _quick_head(raw)
    if head is not None and head != (line.step, phase, line.attempt, line.layer, line.heads):
        return "says twice what it is about"
    return line


def _metrics(
    fields: Mapping[str, Any], n_heads: int
) -> tuple[dict[str, tuple[float | None, ...]], list[str]]:
    """The metrics of a line, and which of them don't fit, in words."""
    values: dict[str, tuple[float | None, ...]] = {}
    unread = []
    for name, listed in fields.items():
        if name in METRIC_NAMES and listed is not None and not isinstance(listed, list):
            unread.append(f"`{name}` is no list of numbers")
        if not isinstance(listed, list) or not _NAME.fullmatch(name) or name in _NO_METRICS:
            continue
        if len(listed) != n_heads:
            unread.append(f"`{name}` has {len(listed)} values for {n_heads} heads")
            continue
        numbers = tuple(map(_number, listed))
        if None in numbers and not all(map(_is_number, listed)):
            unread.append(f"`{name}` holds what is no number")
        else:
            values[name] = numbers
    return values, unread


def _own_numbers(found: Any) -> dict[str, float | None]:  # noqa: ANN401 (anything JSON holds)
    """What a loop noted of its step; without what has no printable name, or is no number."""
    if not isinstance(found, dict):
        return {}
    return {
        name: _number(value)
        for name, value in found.items()
        if is_name_of_number(name) and _is_number(value)
    }


def is_name_of_number(name: str) -> bool:
    """Whether a number of a step may be called that: 1 to 64 letters that can be printed."""
    return 0 < len(name) <= _MAX_NAME and name.isprintable()


def _is_number(value: Any) -> bool:  # noqa: ANN401
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _is_natural(value: Any) -> bool:  # noqa: ANN401 (anything JSON holds)
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < NUMBERS_END


def _natural_or(value: Any, default: int) -> int:  # noqa: ANN401
    return value if _is_natural(value) else default


def _number(value: Any) -> float | None:  # noqa: ANN401
    if type(value) is float:  # nearly all are
        return value if math.isfinite(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


_OTHERS: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("maps", _is_natural, "`maps` is no whole number"),
    ("attempt", _is_natural, "`attempt` is no whole number"),
    (GAMMA_GRADIENT, _is_number, "`gamma_gradient_norm` is no number"),
    (
        "numbers",
        lambda found: isinstance(found, dict) and len(_own_numbers(found)) == len(found),
        "`numbers` is no object of names and numbers",
    ),
)
"""What else a line may hold: its name, whether a value fits, what is said of one that doesn't."""

_NO_METRICS = frozenset({"heads", *(name for name, _, _ in _OTHERS)})
