"""What holds for a whole recording: which maps are kept, how, and how much of them."""

from __future__ import annotations

import math
import operator
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from igaviz.dump.stored import MAX_BYTES
from igaviz.errors import RecordingError
from igaviz.format import ANGSTROM_PER_UNIT, MAP_TERMS, NUMBERS_END
from igaviz.record.trigger import Trigger, check_trigger

LengthUnit = Literal["angstrom", "nanometer"]
AttentionDtype = Literal["float16", "float32"]
WhenFull = Literal["drop", "wait"]

NOT_GIVEN: Any = None
"""In the place of a default: where it is left out, `RecordingError` says what it takes."""

_UNITS_MEANT = {
    **dict.fromkeys(("nm", "nanometre", "nanometers", "nanometres"), "nanometer"),
    **dict.fromkeys(("a", "å", "ang", "angstroms", "ångström", "ångstrom"), "angstrom"),
}
"""What people write for a unit, in lower case, and its name here."""

READABLE_RESIDUES = math.isqrt(MAX_BYTES // 4)
"""Readers refuse a larger item: one map of it takes more than they hold at once."""

DEFAULT_STORE = ("logits_before", "geo_bias", "attention", "pair_bias")
"""The maps that are kept where a layer gives them."""


@dataclass(frozen=True)
class Settings:
    """What a recorder keeps; raises `RecordingError` for what makes no sense.

    `layers`, `heads` and `items` choose what goes into shards (None: all). `items` is a number
    (the first so many) or positions in the batch. Copies that wait to be written take
    `queue_bytes` of memory at most; a step that finds no room is dropped, or waited with.
    """

    length_unit: str
    layers: tuple[int, ...] | None = None
    heads: tuple[int, ...] | None = None
    items: int | tuple[int, ...] = 4
    max_residues: int | None = None
    max_bytes: int | None = None
    ranks: tuple[int, ...] | Literal["all"] = (0,)
    store: tuple[str, ...] = DEFAULT_STORE
    attention_dtype: str = "float16"
    echo: bool = False
    strict: bool = False
    scalars_interval: int | None = None
    trigger: Trigger | None = None
    queue_bytes: int = 4 << 30
    when_full: str = "drop"

    def __post_init__(self) -> None:
        _check_length_unit(self.length_unit)
        _one_of("when_full", self.when_full, ("drop", "wait"))
        _one_of("attention_dtype", self.attention_dtype, ("float16", "float32"))
        for term in self.store:
            _one_of("a term of store", term, MAP_TERMS)
        if "attention" not in self.store and not {"logits_before", "geo_bias"} <= {*self.store}:
            raise RecordingError(
                f"store={self.store!r} can't be read back",
                hint="store attention, or logits_before and geo_bias, or all three",
            )
        for name in ("max_residues", "max_bytes", "scalars_interval", "queue_bytes"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, whole_number(name, value, least=1))  # it is frozen
        check_trigger(self.trigger, self.scalars_interval)

    def chosen_items(self, batch_size: int) -> list[int]:
        """The positions in a batch of this size that go into shards."""
        if isinstance(self.items, int):
            return list(range(min(self.items, batch_size)))
        return [position for position in self.items if position < batch_size]

    @property
    def most_residues(self) -> int:
        """The most valid residues of an item that goes into shards."""
        return min(READABLE_RESIDUES, self.max_residues or READABLE_RESIDUES)

    def records_rank(self, rank: int) -> bool:
        """Whether the process of this rank writes."""
        return self.ranks == "all" or rank in self.ranks

    def as_json(self) -> dict[str, Any]:
        """The settings as `run.json` holds them."""
        trigger = self.trigger
        described = (
            getattr(trigger, "__qualname__", repr(trigger)) if callable(trigger) else trigger
        )
        return {**asdict(replace(self, trigger=None)), "trigger": described}


def make_settings(
    *,
    layers: Collection[int] | None,
    heads: Collection[int] | None,
    items: int | Collection[int],
    ranks: int | Collection[int] | Literal["all"],
    store: Collection[str],
    **others: Any,  # noqa: ANN401 (Settings checks them)
) -> Settings:
    """The settings, from what a user may pass: single numbers and any collection."""
    if isinstance(store, str):
        raise RecordingError(f"store={store!r} is one string", hint=f"store=({store!r},)")
    return Settings(
        layers=None if layers is None else positions("layers", layers),
        heads=None if heads is None else positions("heads", heads),
        items=whole_number("items", items, least=1)
        if isinstance(items, int)
        else positions("items", items),
        ranks="all" if isinstance(ranks, str) and ranks == "all" else positions("ranks", ranks),
        store=tuple(store),
        **others,
    )


def positions(name: str, values: object, *, least: int = 1) -> tuple[int, ...]:
    """Whole numbers in rising order, each once; raises `RecordingError` for fewer than `least`."""
    if isinstance(values, int) and not isinstance(values, bool):
        values = (values,)
    if (
        isinstance(values, str | Mapping)
        or not isinstance(values, Collection)
        or not getattr(values, "ndim", 1)  # an array that can't be iterated over
        or len(values) < least
    ):
        raise RecordingError(f"{name}={values!r} names nothing", hint=f"{name}=[0, 1], say")
    return tuple(sorted({whole_number(f"an entry of {name}", value, least=0) for value in values}))


def whole_number(name: str, value: object, least: int) -> int:
    """`value` as an int, of whatever integer type: numpy's, an array or CPU tensor, [] or [1].

    Raises `RecordingError` where it is none of at least `least`. A tensor on a device is none:
    reading it would make training wait.
    """
    if type(value) is int and value >= least:  # at each step of a training
        return value
    if isinstance(value, Tensor):
        whole = value.device.type == "cpu" and value.dtype != torch.bool
        shown = f"a tensor of {value.dtype} on {value.device}, shape {tuple(value.shape)}"
        hint = f"{name} takes a number that Python has already: count there, not on a device"
    else:
        whole, shown, hint = not isinstance(value, bool), repr(value), None
    number = _index(value) if whole else None
    if number is None or number < least:
        raise RecordingError(
            f"{name} is {shown}, not a whole number of at least {least}", hint=hint
        )
    return number


def format_number(name: str, value: object) -> int:
    """`value` as an int, where it is one that readers take for a step, an epoch or a layer.

    Of whatever integer type, as in `whole_number`; raises `RecordingError` for what is none.
    """
    number = whole_number(name, value, least=0)
    if number >= NUMBERS_END:
        raise RecordingError(f"{name} is {number}, and readers take numbers below {NUMBERS_END}")
    return number


def _index(value: Any) -> int | None:  # noqa: ANN401 (whatever a user passes)
    """`value` as an int, None where it is no integer."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(())  # numpy takes only such an array for a number, torch any of one
    try:
        return operator.index(value)
    except (TypeError, RuntimeError):
        return None


def _check_length_unit(unit: object) -> None:
    if isinstance(unit, str) and unit in ANGSTROM_PER_UNIT:
        return
    written = str(unit).strip().lower()
    meant = written if written in ANGSTROM_PER_UNIT else _UNITS_MEANT.get(written)
    if meant is not None:
        hint = f'write length_unit="{meant}"'
    else:
        names = " or ".join(f'"{name}"' for name in ANGSTROM_PER_UNIT)
        hint = f"length_unit={names}, the unit of the coordinates that the layers receive"
    said = "length_unit is not given" if unit is NOT_GIVEN else f"length_unit is {unit!r}"
    raise RecordingError(said, hint=hint)


def _one_of(name: str, value: object, allowed: Collection[str]) -> None:
    if value not in allowed:
        raise RecordingError(f"{name} is {value!r}", hint=f"one of {', '.join(allowed)}")
