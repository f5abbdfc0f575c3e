"""The command line: the list of verbs, and the one place that maps errors to exit codes."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from igaviz._version import __version__
from igaviz.cli import (
    compare,
    console,
    diagnose,
    explain,
    export,
    info,
    interrupt,
    merge,
    render,
    summary,
    verify,
)
from igaviz.cli.options import NOTHING_DONE
from igaviz.errors import IgavizError, named
from igaviz.process import INTERRUPTED, interrupted
from igaviz.survey.work.staff import staying

DONE = 0
FOUND = 1
BUG = 3
_FULL = (errno.ENOSPC, errno.EDQUOT)

VERBS: tuple[Callable[..., int], ...] = (
    info.info,
    render.render,
    diagnose.diagnose,
    explain.explain,
    summary.summary,
    compare.compare,
    verify.verify,
    merge.merge,
    export.export,
)


class _ClosedStdoutError(Exception):
    """Whoever read stdout has gone (`| head`)."""


class _Group(typer.core.TyperGroup):
    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 (typer's own)
        """Run the verb; typer would turn a closed stdout into exit code 1."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _ClosedStdoutError from error


class _State:
    """What the options before the verb say."""

    debug = False


app = typer.Typer(
    name="igaviz",
    cls=_Group,
    help="See what Invariant Gaussian Attention does: read the dumps that training recorded.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for verb in VERBS:
    # in full: typer would cut it at the width
    app.command(short_help=(verb.__doc__ or "").splitlines()[0])(verb)


def _show_version(asked: bool) -> None:
    if asked:
        print(f"igaviz {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show a traceback if igaviz itself fails.")
    ] = False,
) -> None:
    _State.debug = debug


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code of `igaviz ARGUMENTS`: 0 done, 1 found or skipped something, 2 nothing done.

    3 is a bug in igaviz, 130 Ctrl-C. A closed stdout ends quietly with 0.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a name may hold what a terminal can't show
            stream.reconfigure(errors="replace")
    try:
        code = _run(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        code = _leave_stdout()
    except OSError as error:
        if error.errno not in _FULL:
            raise
        code = _full(error)
    return code


def _run(arguments: list[str]) -> int:
    console.Invoked.arguments = tuple(arguments)
    try:
        with interrupt.heard(), staying():
            result = app(arguments or ["--help"], prog_name="igaviz", standalone_mode=False)
    except TyperException as error:
        _print_error(_usage_message(error), _usage_hint(error))
        return NOTHING_DONE
    except IgavizError as error:
        _print_error(str(error), error.hint)
        return error.exit_code
    except _ClosedStdoutError:
        return _leave_stdout()
    except SystemExit as error:
        # typer leaves with 1 where stdout closes under `--help`
        if isinstance(error.__context__, BrokenPipeError):
            return _leave_stdout()
        raise
    except (KeyboardInterrupt, typer.Abort) as error:
        if isinstance(error.__cause__, EOFError):  # typer takes it for the end of what is typed
            return _bug(error.__cause__)
        return interrupted()
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _FULL:
            return _full(error)
        if interrupt.asked():  # in the middle of an import it comes out as some other error
            return interrupted()
        return _bug(error)
    if result == INTERRUPTED or interrupt.asked():
        return interrupted()
    return int(result or DONE)


def _full(error: OSError) -> int:
    _leave_stdout()
    _print_error(f"can't write: {(error.strerror or str(error)).lower()}", "make room there")
    return NOTHING_DONE


def _bug(error: Exception) -> int:
    if _State.debug:
        traceback.print_exception(error)
    else:
        _print_error(
            f"a bug in igaviz: {named(error)}",
            "run it again as igaviz --debug ... and report what it prints",
        )
    return BUG


def _usage_message(error: TyperException) -> str:
    return " ".join(error.format_message().split()).replace(": Value error, ", ": ")


def _usage_hint(error: TyperException) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "igaviz"
    return f"see {command} --help"


def _print_error(message: str, hint: str | None) -> None:
    for line in message.splitlines() or [""]:
        print(f"igaviz: {line}", file=sys.stderr)
    if hint:
        print(f"hint: {hint}", file=sys.stderr)


def _leave_stdout() -> int:
    """Point stdout at nothing, so that Python's own flush at exit finds no closed pipe."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return DONE
