"""Data classes as lines of JSON and back, by their annotations; nothing that is read is executed.

Floats come back bit for bit; those that are not finite are written as Python's `json` writes them.
Many floats in a row are one text, base64 of little-endian float64: digits take ten times as long.
"""

from __future__ import annotations

import base64
import json
import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import numpy as np

T = TypeVar("T")

_MANY = 16
"""From so many on, floats of a tuple are packed."""

_Build = Callable[[Any], Any]


def dumps(value: object) -> str:
    """One line of JSON: data classes as objects, tuples and sets as lists, paths as text."""
    return json.dumps(plain(value), ensure_ascii=True, separators=(",", ":"), default=_of_numpy)


def loads(kind: type[T], line: str | bytes) -> T:
    """The `kind` that `dumps` wrote. Raises `ValueError`, `TypeError` or `KeyError` for others."""
    return build(kind, json.loads(line))


def plain(value: object) -> object:
    """`value` in what JSON has."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {name: plain(held) for name, held in value.items()}
    if isinstance(value, frozenset):
        return [plain(held) for held in sorted(value)]
    if isinstance(value, tuple | list):
        if len(value) >= _MANY and all(type(held) is float for held in value):
            return base64.b64encode(np.array(value, dtype="<f8").tobytes()).decode("ascii")
        return [plain(held) for held in value]
    return str(value) if isinstance(value, Path) else value


def build(kind: type[T], data: Any) -> T:  # noqa: ANN401 (anything JSON holds)
    """The `kind` that `plain` took apart."""
    make: Callable[[Any], T] = _builder(cast(Any, kind))
    return make(data)


def _of_numpy(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"no JSON for {type(value).__name__}")


@lru_cache(maxsize=256)
def _builder(hint: Any) -> _Build:  # noqa: ANN401 (an annotation)
    """What makes a value of the annotation `hint` out of plain data."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _optional([kind for kind in arguments if kind is not type(None)])
    if origin in (tuple, frozenset):
        return _sequence(origin, arguments)
    if origin is not None and issubclass(origin, Mapping):
        below = _builder(arguments[1])
        if below is _as_it_is:
            return dict
        return lambda data: {name: below(held) for name, held in data.items()}
    if isinstance(hint, type) and is_dataclass(hint):
        return _data_class(hint)
    if isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields"):
        return lambda data: hint(*data)
    return Path if hint is Path else _as_it_is


def _as_it_is(data: Any) -> Any:  # noqa: ANN401
    return data


def _optional(kinds: list[Any]) -> _Build:
    below = _builder(kinds[0]) if len(kinds) == 1 else _as_it_is
    if below is _as_it_is:
        return _as_it_is
    return lambda data: None if data is None else below(data)


def _sequence(origin: type[Any], arguments: tuple[Any, ...]) -> _Build:
    if origin is tuple and not (len(arguments) == 2 and arguments[1] is ...):
        each = [_builder(kind) for kind in arguments]
        return lambda data: tuple(one(held) for one, held in zip(each, data, strict=True))
    if origin is tuple and arguments[0] is float:
        return _floats
    below = _builder(arguments[0])
    if below is _as_it_is:
        return origin
    return lambda data: origin(below(held) for held in data)


def _floats(data: Any) -> tuple[float, ...]:  # noqa: ANN401 (a list, or the text of many)
    if isinstance(data, str):
        return tuple(np.frombuffer(base64.b64decode(data, validate=True), dtype="<f8").tolist())
    return tuple(data)


def _data_class(kind: type[Any]) -> _Build:
    hints = get_type_hints(kind)
    each = [(field.name, _builder(hints[field.name])) for field in fields(kind)]
    return lambda data: kind(**{name: below(data[name]) for name, below in each})
