"""Whether the code of a kind of module calls `tap`: read from its class, without running it."""

from __future__ import annotations

import dis
import inspect
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

from torch import nn

from igaviz.record.tap import tap


def calls_tap(kind: type[nn.Module]) -> bool:
    """Whether a method of the class names `tap`, itself or by functions of the same file.

    What is called further away isn't looked into, so False doesn't prove that it taps nothing.
    """
    seen: set[FunctionType] = set()
    return any(_names_tap(method, seen) for method in _methods(kind))


def _methods(kind: type[nn.Module]) -> Iterator[FunctionType]:
    """The functions of a class and of its bases that aren't torch's, as they were written."""
    for base in kind.__mro__:
        if base.__module__.partition(".")[0] not in ("torch", "builtins"):
            for member in vars(base).values():
                if (function := _as_written(member)) is not None:
                    yield function


def _as_written(member: object) -> FunctionType | None:
    """The function behind a method and its decorators, None where there is none."""
    if isinstance(member, staticmethod | classmethod):
        member = member.__func__
    inner = inspect.unwrap(member) if callable(member) else member
    return inner if isinstance(inner, FunctionType) else None


def _names_tap(function: FunctionType, seen: set[FunctionType]) -> bool:
    if function in seen:
        return False
    seen.add(function)
    used = _names(function.__code__)
    values = [*_enclosed(function), *map(function.__globals__.get, used.globals)]
    if any(value is tap for value in values):
        return True
    modules = {value.__name__ for value in values if isinstance(value, ModuleType)}
    if "tap" in used.attributes and any(map(_is_ours, modules | used.imports)):
        return True
    return any(
        _names_tap(value, seen)
        for value in values
        if isinstance(value, FunctionType) and value.__module__ == function.__module__
    )


class _Names(NamedTuple):
    """The names that code uses, by what they are names of."""

    globals: set[str]
    attributes: set[str]
    imports: set[str]


def _names(code: CodeType) -> _Names:
    """Those of `code` and of the functions within it."""
    found = _Names(set(), set(), set())
    kept = {
        **dict.fromkeys(("LOAD_GLOBAL", "LOAD_NAME"), found.globals),
        **dict.fromkeys(("LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM"), found.attributes),
        "IMPORT_NAME": found.imports,
    }
    for step in dis.get_instructions(code):
        if step.opname in kept:
            kept[step.opname].add(step.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            for names, more in zip(found, _names(constant), strict=True):
                names |= more
    return found


def _enclosed(function: FunctionType) -> Iterator[Any]:
    """The values that a function has from functions around it, as far as they are set."""
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:
            continue


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] == "igaviz"
