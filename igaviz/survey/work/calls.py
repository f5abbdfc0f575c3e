"""Calls on their way to a worker, and back what came of them: as bytes, which always travel.

An exception that can't be pickled would end the worker that raised it, and a result that can't be
has the client of a Dask cluster wait for ever.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from traceback import TracebackException
from typing import Any, TypeVar

from igaviz.errors import IgavizError, WorkerError

T = TypeVar("T")


def pack_call(function: Callable[[T], object], task: T) -> bytes:
    """`function(task)`, to be run by `run_call` elsewhere."""
    return pickle.dumps((function, task))


def run_call(call: bytes) -> bytes:
    """What came of a packed call: its result, or what it raised, for `result_of`."""
    try:
        function, task = pickle.loads(call)
        return pickle.dumps((function(task), None))
    except BaseException as error:  # SystemExit too: a cluster's worker would end
        return pickle.dumps((None, _to_travel(error)))


def result_of(outcome: bytes) -> Any:  # noqa: ANN401 (whatever the function gives)
    """The result of a call. Raises what it raised, `WorkerError` where that is a bug."""
    result, error = pickle.loads(outcome)
    if error is not None:
        raise error
    return result


def _to_travel(error: BaseException) -> Exception:
    """`error` itself where igaviz raised it on purpose; its words, and where it was, otherwise."""
    if isinstance(error, IgavizError) and _travels(error):
        return error
    said = TracebackException.from_exception(error)
    bug = WorkerError("".join(said.format_exception_only()).strip())
    bug.add_note("in a worker: " + "".join(said.format()).strip())
    return bug


def _travels(error: Exception) -> bool:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever an object's own code raises
        return False
    return True
