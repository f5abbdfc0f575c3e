"""One of several shares of the work, for machines that know nothing of each other."""

from __future__ import annotations

import re
from dataclasses import dataclass

from igaviz.errors import UsageError

_PART = re.compile(r"([0-9]{1,9})/([0-9]{1,9})")


@dataclass(frozen=True)
class Part:
    """The share `number` of `of`, counted from 1: pieces are dealt out like cards."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Part:
        """The part that `text` writes: `3/16`. Raises `UsageError` where it writes none."""
        found = _PART.fullmatch(text)
        number, of = (int(found[1]), int(found[2])) if found else (0, 0)
        if not 1 <= number <= of:
            raise UsageError(
                f"--part {text!r} is not a part", hint="write 3/16 for the third of sixteen"
            )
        return cls(number, of)

    def has(self, position: int) -> bool:
        """Whether the piece at `position`, from 0 on, falls to this part."""
        return position % self.of == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"
