"""What a process is set to that does igaviz's work and nothing else: a command, its workers."""

import atexit
import gc
import os
import sys
import threading
import time
from pathlib import Path

BLAS_THREADS = {
    name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
}
"""The environment that has numpy, when it is imported, start one thread.

Its matrices are too small to be worth more: these turn idly between the products, which keeps all
cores of a machine busy and saves nothing, and would add up in another order.
"""

INTERRUPTED = 130
"""The exit code after Ctrl-C."""

_STDERR = 2
_A_MOMENT = 0.1
"""Seconds in which the system has a thread gone that Python is done with."""


class _This:
    """What this process is."""

    command = False


def begin_command() -> None:
    """Make this process a command of igaviz. numpy, if it isn't imported yet, starts one thread."""
    _This.command = True
    os.environ.update(BLAS_THREADS)
    leave_quickly()


def can_fork() -> bool:
    """Whether copies of this process can work as it does, and harm nobody.

    A copy has one thread, and every lock as the others held it: so there must be no others. Of
    another's program it would have the open files, the handlers of signals and whatever is to be
    done when an object goes: so it must be a command. On other systems than Linux, their own
    libraries don't bear being copied.
    """
    if sys.platform != "linux" or not _This.command:
        return False
    try:
        return _is_alone()
    except OSError:
        return False


def _is_alone() -> bool:
    """Whether this process has one thread; one that has just ended is waited for a moment."""
    until = time.monotonic() + _A_MOMENT
    while sum(1 for _ in Path("/proc/self/task").iterdir()) > 1:
        if threading.active_count() > 1 or time.monotonic() > until:
            return False
        time.sleep(0.001)
    return True


def open_closed_streams() -> None:
    """Have stdin, stdout and stderr lead nowhere where they are closed (`2>&-`).

    Else nobody could write to them, and the next file opened would be what libraries write to.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(number, True)
    os.close(number)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nothing = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 (stays open)
            setattr(sys, name, nothing)


def leave_quickly() -> None:
    """Have Python look for no more cycles at its exit: all memory goes back to the system anyway.

    Looking through all that was imported takes a fifth of the time of a short command.
    """
    atexit.register(gc.freeze)


def interrupted() -> int:
    """The exit code after Ctrl-C, once it is said on stderr."""
    print("igaviz: interrupted", file=sys.stderr)
    # `python -m` forgets the code and ends by SIGINT if Ctrl-C hit an exec, as of a data class;
    # another exec has it forget that
    exec("")
    return INTERRUPTED
