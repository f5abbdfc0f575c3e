"""Words and numbers for a figure: strangers' names made harmless, numbers as people write them."""

from __future__ import annotations

import math
import unicodedata
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache

from matplotlib.font_manager import FontProperties, findfont, get_font

FONT = "DejaVu Sans"  # comes with matplotlib: the same picture on every machine

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_LONGEST = 400  # characters looked at before a name is measured
_SOME, _NAMES = 3, 3.0  # of many names so many are told, in so many inches


def clean(text: str) -> str:
    """`text` on one line, in characters that the figure's font can draw.

    Line breaks and tabs become spaces; control, formatting and stacking characters go; what the
    font lacks (emoji, most scripts) becomes □.
    """
    composed = unicodedata.normalize("NFC", text[:_LONGEST])
    spaced = "".join(" " if c.isspace() else c for c in composed)
    kept = (c for c in spaced if unicodedata.category(c) not in _UNDRAWABLE)
    return " ".join("".join(c if _in_font(c) else "□" for c in kept).split())


def fit(text: str, inches: float, size: float, *, bold: bool = False) -> str:
    """`text`, cleaned, and cut with an ellipsis where it is wider than `inches` at `size` points.

    The middle goes first: names that differ mostly differ at their end. Empty where not even the
    ellipsis has room.
    """
    text = clean(text)
    if width(text, size, bold=bold) <= inches:
        return text
    if width("…", size, bold=bold) > inches:
        return ""
    lengths = range(len(text))
    too_long = bisect_left(
        lengths, True, key=lambda n: width(_shortened(text, n), size, bold=bold) > inches
    )
    return _shortened(text, max(0, too_long - 1))


def some(names: Sequence[str], size: float) -> str:
    """The first of `names`, cut so that they leave room for other words on their line."""
    told = names[:_SOME]
    shown = ", ".join(fit(name, _NAMES / len(told), size) for name in told)
    return f"{shown} …" if len(names) > _SOME else shown


def fold(text: str, inches: float, size: float, lines: int) -> str:
    """`text`, cleaned, in up to so many lines of whole words; the last one is cut as by `fit`."""
    text = clean(text)
    folded: list[str] = []
    while len(folded) < lines - 1 and width(text, size) > inches:
        spaces = [place for place, letter in enumerate(text) if letter == " "]
        fitting = bisect_left(spaces, True, key=lambda end: width(text[:end], size) > inches)
        if not fitting:  # no word has room
            break
        end = spaces[fitting - 1]
        folded.append(text[:end])
        text = text[end + 1 :]
    return "\n".join([*folded, fit(text, inches, size)])


def _shortened(text: str, keep: int) -> str:
    """`text` with `keep` of its characters: two thirds from its beginning, the rest its end."""
    tail = keep // 3
    return text[: keep - tail].rstrip() + "…" + text[len(text) - tail :].lstrip()


def decimal(value: float, digits: int = 3) -> str:
    """`value` with at most `digits` significant digits, a true minus sign, powers of ten raised.

    0.0183, 1,204, 2.4×10⁷, −3.5, "not finite".
    """
    if not math.isfinite(value):
        return "not finite"
    if value == 0:
        return "0"
    exponent = int(f"{value:.{digits - 1}e}".split("e")[1])  # of the rounded value: 9.999 is 10
    if -4 <= exponent < 5:
        places = max(0, digits - 1 - exponent)
        text = f"{value:,.{places}f}"
        text = text.rstrip("0").rstrip(".") if places else text
    else:
        mantissa = f"{value / 10.0**exponent:.{digits - 1}f}".rstrip("0").rstrip(".")
        power = f"10{superscript(exponent)}"
        text = {"1": power, "-1": f"-{power}"}.get(mantissa, f"{mantissa}×{power}")
    return text.replace("-", "−")


def superscript(exponent: int) -> str:
    """`exponent` in raised digits: ⁻³."""
    return str(exponent).translate(_SUPERSCRIPT)


_UNDRAWABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Mn", "Me", "Mc"})


@lru_cache(maxsize=4096)
def _in_font(character: str) -> bool:
    return get_font(findfont(FONT)).get_char_index(ord(character)) != 0


@lru_cache(maxsize=1024)
def width(text: str, size: float, *, bold: bool = False) -> float:
    """Inches that `text` takes in the figure's font."""
    weight = "bold" if bold else "normal"
    font = get_font(findfont(FontProperties(family=FONT, weight=weight)))
    font.set_size(size, 72)
    font.set_text(text, 0.0)
    across, _ = font.get_width_height()
    return float(across) / 64 / 72
