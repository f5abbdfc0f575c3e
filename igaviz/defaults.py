"""What is taken where nobody says: of options of the command line and of Python's functions. Pure.

The command line's help shows these numbers, and it must not import numpy for that.
"""

from __future__ import annotations

from typing import Final

LOCAL_RADIUS: Final = 8.0
"""Å: pairs closer than this are local (`--radius`)."""

DPI: Final = 150
"""Dots per inch of pictures (`--dpi`)."""

PICTURED_HEADS: Final = 12
"""Heads of which the page has figures (`--figures`)."""
