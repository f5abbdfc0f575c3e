"""The errors that igaviz raises on purpose: each says what was wrong, where, and what to do.

Everything that a user or a file can cause is an `IgavizError`; anything else that escapes is a
bug. The command line turns them into one or two plain lines and the exit code they carry.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def named(error: BaseException) -> str:
    """The kind of `error` and what it says; of one whose own text can't be had, that."""
    try:
        said = str(error)
    except Exception as second:  # of whatever a user's code raises
        said = f"(its text can't be had: {type(second).__name__})"
    return f"{type(error).__name__}: {said}"


class IgavizError(Exception):
    """Something a user or a file caused: a message, and a hint that says what to do."""

    exit_code = 2

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if hint:
            self.add_note(f"hint: {hint}")  # for who sees it as an exception


class UsageError(IgavizError):
    """An argument or an option that makes no sense."""


class SelectionError(UsageError):
    """A layer, head, step, item, phase, rank or residue that isn't there; the hint says what is."""


class DumpError(IgavizError):
    """A dump, or a piece of one, that can't be read: damaged, refused, too new, or missing.

    `path` is the file, `where` the place inside it (empty for the file as a whole).
    """

    def __init__(self, reason: str, *, path: str, where: str = "", hint: str | None = None) -> None:
        place = f"{path}:{where}" if where else path
        super().__init__(f"{place}: {reason}", hint=hint)
        self.reason = reason
        self.path = path
        self.where = where

    def __reduce__(self) -> tuple[object, ...]:
        """Cross a process border with the place and the hint."""
        return _rebuild_dump_error, (self.reason, self.path, self.where, self.hint)


class NothingReadableError(IgavizError):
    """No shard of the input can be read; `lines` names each piece with its reason."""

    def __init__(self, lines: Sequence[str], *, hint: str | None = None) -> None:
        super().__init__("\n".join(lines), hint=hint)
        self.lines = tuple(lines)


class OutputError(IgavizError):
    """A result that can't be written, or would overwrite what is there."""

    @classmethod
    def unwritable(cls, path: object, error: Exception) -> OutputError:
        """The one that says why nothing can be written to `path`, or below it."""
        if isinstance(error, FileNotFoundError):
            return cls(
                f"{path}: can't write there (there is no folder {Path(str(path)).parent})",
                hint="make the folder first, or name another",
            )
        reason = getattr(error, "strerror", None) or str(error)
        return cls(
            f"{path}: can't write there ({reason.lower()})",
            hint="look at the folder, its free space and its permissions",
        )


OVERWRITE = "overwrite with --force (from Python force=True)"
"""The hint where something is there already."""


class RecordingError(IgavizError, ValueError):
    """Wrong arguments to the recorder; with `strict=True` also the first failure of a recording."""


class WorkerError(Exception):
    """A bug that showed in a worker: what was raised there, in words; a note has the traceback.

    Not an `IgavizError`: nobody raised it on purpose.
    """


def _rebuild_dump_error(reason: str, path: str, where: str, hint: str | None) -> DumpError:
    return DumpError(reason, path=path, where=where, hint=hint)
