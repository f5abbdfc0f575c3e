"""What callers pass to the functions of the verbs, checked in one place."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from igaviz.defaults import LOCAL_RADIUS
from igaviz.dump import Dump
from igaviz.errors import UsageError

P = ParamSpec("P")
R = TypeVar("R")

_TYPES = {"Dump": (Dump,), "Dump | None": (Dump, type(None))}
"""What is taken for a parameter with this annotation."""


def check_radius(radius: Any) -> None:  # noqa: ANN401 (whatever a caller passes)
    """Raise `UsageError` where `radius`, in Å, can't be the limit of local pairs."""
    if not (isinstance(radius, int | float) and 0 < radius < math.inf):
        raise UsageError(f"the radius must be a positive length in Å, not {radius}")


def takes_dumps(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, which raises `UsageError` where what is passed for a `Dump` isn't one.

    And where its `radius` is no positive length.
    """
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
        check_radius(given.get("radius", LOCAL_RADIUS))
        return function(*args, **kwargs)

    return checked
