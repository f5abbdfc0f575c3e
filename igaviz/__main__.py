"""`python -m igaviz` is `igaviz`."""

import sys

from igaviz.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
