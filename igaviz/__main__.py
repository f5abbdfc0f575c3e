"""`igaviz`, and `python -m igaviz`: the command line, imported when it runs and not before.

The processes that a command starts import this module too, and have no use for the rest of it.
"""

import os
import sys

from igaviz.process import BLAS_THREADS, interrupted, leave_quickly


def main() -> int:
    """The exit code of the command line; see `igaviz.cli.main`."""
    os.environ.update(BLAS_THREADS)
    leave_quickly()
    try:
        from igaviz.cli.main import main as run
    except KeyboardInterrupt:
        return interrupted()
    return run()


if __name__ == "__main__":
    sys.exit(main())
