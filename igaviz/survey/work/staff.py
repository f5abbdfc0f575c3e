"""Workers that stay: a verb has several passes, and starting processes takes time."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any

_staff: ContextVar[_Staff | None] = ContextVar("_staff", default=None)


class _Staff:
    """The workers that wait for the next pass, by what they were hired as."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack
        self.idle: dict[Hashable, list[tuple[Any, ExitStack]]] = defaultdict(list)

    def take(
        self, kind: Hashable, hire: Callable[[], AbstractContextManager[Any]]
    ) -> tuple[Any, ExitStack]:
        """Workers of this `kind` that nobody else has, and what ends them."""
        if self.idle[kind]:
            return self.idle[kind].pop()
        end = self.stack.enter_context(ExitStack())
        return end.enter_context(hire()), end


@contextmanager
def staying() -> Iterator[None]:
    """Workers that are hired in this context stay until it is left, and serve all passes in it."""
    with ExitStack() as stack:
        before = _staff.set(_Staff(stack))
        try:
            yield
        finally:
            _staff.reset(before)


@contextmanager
def hired(kind: Hashable, hire: Callable[[], AbstractContextManager[Any]]) -> Iterator[Any]:
    """Workers of this `kind`: where they stay, some that were hired before; else by `hire`.

    Those of a pass that ends early, by Ctrl-C or otherwise, do not stay: they are ended with it.
    """
    staff = _staff.get()
    if staff is None:
        with hire() as crew:
            yield crew
        return
    crew, end = staff.take(kind, hire)
    try:
        yield crew
    except BaseException:
        end.__exit__(*sys.exc_info())
        raise
    staff.idle[kind].append((crew, end))
