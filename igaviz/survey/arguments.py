"""What callers pass to the functions of the verbs, checked in one place."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from igaviz.dump import Dump
from igaviz.errors import UsageError

P = ParamSpec("P")
R = TypeVar("R")

_TYPES = {"Dump": (Dump,), "Dump | None": (Dump, type(None))}
"""What is taken for a parameter with this annotation."""


def takes_dumps(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, which raises `UsageError` where anything but a dump is passed for a `Dump`."""
    signature = inspect.signature(function)
    wanted = {
        name: _TYPES[parameter.annotation]
        for name, parameter in signature.parameters.items()
        if parameter.annotation in _TYPES
    }

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        given = signature.bind_partial(*args, **kwargs).arguments
        for name, types in wanted.items():
            if name in given and not isinstance(given[name], types):
                found = type(given[name]).__name__
                raise UsageError(
                    f"{name} of {function.__name__}() is a {found}, and no dump",
                    hint="pass what igaviz.open_dump(path) returns",
                )
        return function(*args, **kwargs)

    return checked
