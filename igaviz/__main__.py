"""`igaviz`, and `python -m igaviz`: the command line, imported when it runs and not before.

The processes that a command starts import this module too, and have no use for the rest of it.
"""

import sys

from igaviz.process import begin_command, interrupted, open_closed_streams


def main() -> int:
    """The exit code of the command line; see `igaviz.cli.main`."""
    open_closed_streams()
    begin_command()
    try:
        from igaviz.cli.main import main as run
    except KeyboardInterrupt:
        return interrupted()
    return run()


if __name__ == "__main__":
    sys.exit(main())
