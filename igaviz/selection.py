"""The grammar of selections: text to numbers, and a plain sentence where they aren't there.

Numbers (layers, heads, steps, items, ranks): `3`, `0,2-4` (both ends included), `all`, `first`,
`last`, `1000:5000:500` (end included where reached). A number that is named must exist; a range
takes what exists in it and must meet something. Residues: `57`, `-3`, `10-50`, `0:50`, with the
chain before a slash where there are several: `A/57`.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from igaviz.errors import SelectionError, UsageError
from igaviz.format import chain_label

K = TypeVar("K", bound=Hashable)

Selected = str | int | Iterable[int]
"""What a selection can be given as: text of the grammar, a number, several."""

GRAMMAR = "write 3, 0,2-4, all, first, last or 1000:5000:500"
RESIDUE_GRAMMAR = "write 57, 10-50 or 0:50, and A/57 where there are several chains"

_NUMBER = re.compile(r"[0-9]{1,18}")
_SPAN = re.compile(r"([0-9]{1,18})[-:]([0-9]{1,18})(?::([0-9]{1,18}))?")
_RESIDUES = re.compile(r"(?:([A-Z]+)/)?(-?[0-9]{1,9})(?:[-:](-?[0-9]{1,9}))?")
_RELATIVE = ("first", "last")
_WORDS = ("all", *_RELATIVE)


@dataclass(frozen=True)
class _Part:
    """One piece between commas: a word, or the numbers start, start + stride, … up to stop."""

    text: str
    start: int = 0
    stop: int = 0
    stride: int = 1

    def of(self, available: Sequence[int]) -> Sequence[int]:
        """Those of `available` (ascending) that this piece names."""
        if self.text == "all":
            return available
        if self.text == "first":
            return available[:1]
        if self.text == "last":
            return available[-1:]
        return [
            n
            for n in available
            if self.start <= n <= self.stop and (n - self.start) % self.stride == 0
        ]


@dataclass(frozen=True)
class Numbers:
    """A parsed selection of numbers; `choose` applies it to what there is."""

    text: str
    parts: tuple[_Part, ...]

    @classmethod
    def parse(cls, text: str, what: str = "number") -> Numbers:
        """The selection that `text` writes; `what` (layer, head, …) is named in the error.

        Raises `UsageError` where the text isn't of the grammar.
        """
        pieces = [piece.strip() for piece in text.split(",")]
        return cls(text, tuple(_parse_part(piece, text, what) for piece in pieces))

    @classmethod
    def of(cls, selected: Selected, what: str = "number") -> Numbers:
        """The same of a text, a number, or several numbers. Raises as `parse` does."""
        if isinstance(selected, str):
            return cls.parse(selected, what)
        numbers = selected if isinstance(selected, Iterable) else (selected,)
        try:
            return cls.parse(",".join(str(operator.index(number)) for number in numbers), what)
        except TypeError:
            raise UsageError(f"{selected!r} is not a selection of {what}s", hint=GRAMMAR) from None

    def among(self, available: Sequence[int]) -> frozenset[int]:
        """Those of `available` (ascending) that are chosen; none is no error."""
        return frozenset(number for part in self.parts for number in part.of(available))

    def possible(self, available: Collection[int]) -> frozenset[int]:
        """Those of `available` that may be chosen once it is known what else there is.

        What is `first` or `last` is known only then: it may be any.
        """
        if any(part.text in _RELATIVE for part in self.parts):
            return frozenset(available)
        return self.among(sorted(available))

    def choose(
        self,
        groups: Mapping[K, Collection[int]],
        what: str,
        say: Callable[[], str] | None = None,
    ) -> dict[K, tuple[int, ...]]:
        """The chosen numbers of each group (a run, say), ascending; empty groups are left out.

        Raises `SelectionError`, saying what there is (in the words of `say` where it has some),
        where a part of the selection meets nothing in any group.
        """
        ordered = {key: sorted(set(numbers)) for key, numbers in groups.items()}
        chosen: dict[K, set[int]] = {key: set() for key in ordered}
        for part in self.parts:
            met = False
            for key, numbers in ordered.items():
                found = part.of(numbers)
                chosen[key].update(found)
                met = met or bool(found)
            if not met:
                there = sorted({n for numbers in ordered.values() for n in numbers})
                words = (say() if say else "") or _there_is(there, what)
                raise SelectionError(f"no {what} {part.text}: {words}")
        return {key: tuple(sorted(numbers)) for key, numbers in chosen.items() if numbers}


def _parse_part(piece: str, text: str, what: str) -> _Part:
    if piece in _WORDS:
        return _Part(piece)
    if _NUMBER.fullmatch(piece):
        return _Part(piece, int(piece), int(piece))
    span = _SPAN.fullmatch(piece)
    if span is None or int(span[3] or 1) == 0 or int(span[1]) > int(span[2]):
        raise UsageError(f"{text!r} is not a selection of {what}s", hint=GRAMMAR)
    return _Part(piece, int(span[1]), int(span[2]), int(span[3] or 1))


def _there_is(numbers: Sequence[int], what: str) -> str:
    if not numbers:
        return f"there is no {what} at all"
    if len(numbers) == 1:
        return f"there is only {what} {numbers[0]}"
    return f"there are {what}s {format_numbers(numbers)}"


def format_numbers(numbers: Iterable[int], most: int = 12, apart: str = ",") -> str:
    """`numbers` as text that the grammar reads back: neighbours joined, long lists cut in words.

    Where that is long, equal distances are joined too, as `25:1475:25`.
    """
    ordered = sorted(set(numbers))
    texts = [_span_text(*span) for span in _spans(ordered, most_stride=1)]
    if len(texts) > most:
        texts = [_span_text(*span) for span in _spans(ordered)]
    if len(texts) <= most:
        return ",".join(texts).replace(",", apart)
    return f"{','.join(texts[:4])} … {texts[-1]} ({len(ordered)} of them)".replace(",", apart)


def format_time_line(mapped: Collection[int], numbered: Collection[int]) -> str:
    """Which steps have maps, and which of the others have numbers alone, in words.

    Numbers at equal distances are said as such, whichever of them have maps as well.
    """
    alone = sorted(set(numbered) - set(mapped))
    maps = f"maps at steps {format_numbers(mapped, apart=', ')}" if mapped else "no maps"
    if not alone:
        return maps
    first, last, stride = _even(alone, set(mapped))
    if stride:
        return f"{maps}; numbers every {stride} from {first} to {last}"
    return f"{maps}; numbers alone at steps {format_numbers(alone, apart=', ')}"


def _even(alone: Sequence[int], mapped: Collection[int]) -> tuple[int, int, int]:
    """(first, last, distance) of the equal distances that `alone` is of, but for `mapped`.

    The distance is 0 where there are none.
    """
    stride = math.gcd(*(b - a for a, b in pairwise(alone)))
    first, last = alone[0], alone[-1]
    steps = (last - first) // stride + 1 if stride else 0
    if stride < 2 or not 3 <= steps <= len(alone) + len(mapped):
        return first, last, 0
    even = set(range(first, last + 1, stride)) <= {*alone, *mapped}
    while first - stride in mapped:
        first -= stride
    while last + stride in mapped:
        last += stride
    return first, last, stride if even else 0


def _spans(ordered: Sequence[int], most_stride: int | None = None) -> list[tuple[int, int, int]]:
    """(first, last, stride) of the runs of equal distances in ascending numbers."""
    spans: list[tuple[int, int, int]] = []
    for n in ordered:
        first, last, stride = spans[-1] if spans else (n, n, 0)
        step = n - last
        if spans and (step == stride or (stride == 0 and step <= (most_stride or step))):
            spans[-1] = first, n, step
        elif stride > 1 and last - first == stride:  # two alone are no run: try the second anew
            spans[-1] = first, first, 0
            spans.append((last, n, step) if step <= (most_stride or step) else (last, last, 0))
        else:
            spans.append((n, n, 0))
    return spans


def _span_text(first: int, last: int, stride: int) -> str:
    if first == last:
        return str(first)
    if last - first == stride:
        return f"{first},{last}"
    return f"{first}-{last}" if stride == 1 else f"{first}:{last}:{stride}"


@dataclass(frozen=True)
class Residues:
    """A parsed selection of residues by their numbers in the structure."""

    text: str
    spans: tuple[tuple[str | None, int, int], ...]

    @classmethod
    def parse(cls, text: str) -> Residues:
        """The selection that `text` writes. Raises `UsageError` where it isn't of the grammar."""
        spans = []
        for piece in text.split(","):
            match = _RESIDUES.fullmatch(piece.strip())
            if match is None or (match[3] is not None and int(match[2]) > int(match[3])):
                raise UsageError(f"{text!r} is not a selection of residues", hint=RESIDUE_GRAMMAR)
            spans.append((match[1], int(match[2]), int(match[3] or match[2])))
        return cls(text, tuple(spans))

    def positions(
        self, residue_index: Sequence[int], chain_index: Sequence[int]
    ) -> tuple[int, ...]:
        """Positions (0…N-1) of the chosen residues, in the order in which they were named.

        Raises `SelectionError` where a span meets no residue, or names one number that several
        chains have without saying which.
        """
        chosen: dict[int, None] = {}
        for chain, first, last in self.spans:
            found = [
                position
                for position, (number, index) in enumerate(
                    zip(residue_index, chain_index, strict=True)
                )
                if first <= number <= last and chain in (None, chain_label(index))
            ]
            name = _span_name(chain, first, last)
            if not found:
                raise SelectionError(
                    f"no residue {name}: {_residues_there(residue_index, chain_index)}"
                )
            if first == last and len(found) > 1:
                chains = ", ".join(f"{chain_label(chain_index[p])}/{first}" for p in found)
                raise SelectionError(f"residue {name} is ambiguous", hint=f"write one of {chains}")
            chosen.update(dict.fromkeys(found))
        return tuple(chosen)


def _span_name(chain: str | None, first: int, last: int) -> str:
    between = ":" if first < 0 else "-"  # -3:10, as -3-10 is hard to read
    numbers = str(first) if first == last else f"{first}{between}{last}"
    return f"{chain}/{numbers}" if chain else numbers


def _residues_there(residue_index: Sequence[int], chain_index: Sequence[int]) -> str:
    spans: dict[int, list[int]] = {}
    for number, chain in zip(residue_index, chain_index, strict=True):
        spans.setdefault(chain, []).append(number)
    texts = [
        _span_name(chain_label(chain) if len(spans) > 1 else None, min(numbers), max(numbers))
        for chain, numbers in sorted(spans.items())
    ]
    return "there are residues " + ", ".join(texts[:8]) + (" …" if len(texts) > 8 else "")
