"""Which of several findings that are equally severe says most to a reader."""

from __future__ import annotations

DOUBTFUL = ("D001", "D002", "D003", "D004", "D007")
"""The ids of the checks that doubt other numbers while they stand."""

ASIDE = ("D006", "D005")
"""The ids of the checks that are said of an item, and of no map: its numbers are right."""

TELLING = (
    *DOUBTFUL,
    "D105",  # a mistake in the code, with one remedy
    *("D202", "D203", "D201"),  # what became of attention
    *("D101", "D103", "D104", "D107", "D204", "D205"),  # what geometry does, or fails to
    *("D206", "D208"),  # what may have many reasons
    *("D210", "D211", "D209"),  # what is said over steps and between heads
    *ASIDE,  # what is left out of the numbers
)
"""The ids of the checks that find something, those first that say most to a reader. Of several
that are equally severe on a map, the first of these is its verdict."""


def telling(check_id: str | None) -> int:
    """The place of a check in `TELLING`, 0 for the most telling; None and the others come last."""
    return TELLING.index(check_id) if check_id in TELLING else len(TELLING)
