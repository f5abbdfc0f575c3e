"""Workers that stay: a verb has several passes, and starting processes takes half a second."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

_staff: ContextVar[_Staff | None] = ContextVar("_staff", default=None)


class _Staff:
    """The workers that were hired so far, by what they were hired as."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack
        self.hired: dict[Hashable, Any] = {}


@contextmanager
def staying() -> Iterator[None]:
    """Workers that are hired in this context stay until it is left, and serve all passes in it."""
    with ExitStack() as stack:
        before = _staff.set(_Staff(stack))
        try:
            yield
        finally:
            _staff.reset(before)


def hired(
    kind: Hashable, hire: Callable[[], AbstractContextManager[Any]]
) -> AbstractContextManager[Any]:
    """Workers of this `kind`: where they stay, those that were hired before; else by `hire`."""
    staff = _staff.get()
    if staff is None:
        return hire()
    if kind not in staff.hired:
        staff.hired[kind] = staff.stack.enter_context(hire())
    return nullcontext(staff.hired[kind])
