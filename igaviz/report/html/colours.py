"""The colours of the figures, in both styles, as a page writes them."""

from __future__ import annotations

from typing import Any

from igaviz.checks import Verdict
from igaviz.checks.finding import GEOMETRY_NOT_JUDGED, NOT_JUDGED
from igaviz.figures import theme
from igaviz.signs import GEOMETRY_UNKNOWN, SIGNS, UNKNOWN

_INKS = ("INK", "FAINT", "RULE", "PAPER", "FIELD", "ATTENTION", "BIAS", "QUERY", "LOCAL")
_STOPS = 17
_LINES = {
    "light": ("#1f5fae", "#c25a00", "#00805a", "#a3228e", "#6b5b00", "#b0122b", "#4f6d8f"),
    "dark": ("#6fb1ff", "#ffb454", "#45dba6", "#ff9ae8", "#e3d36b", "#ff7b7b", "#a9c1dd"),
}
"""Lines that are told apart by colour: runs."""

MOST_LINES = min(map(len, _LINES.values()))
"""More runs than that are coloured by their verdicts."""

_ORDER = {"light": ("#9cc3ea", "#0b2f5e"), "dark": ("#2f5f96", "#d9ecff")}
"""Lines in an order: layers, from the first to the last."""

GLYPHS = {severity: sign.mark for severity, sign in SIGNS.items()}

MARKS = {"none": UNKNOWN, "unknown": GEOMETRY_UNKNOWN.mark, **GLYPHS}
"""The sign of each kind of verdict, from what says least to the worst."""

LABELS = {**{kind: kind for kind in MARKS}, "none": "not judged", "unknown": "geometry not judged"}
"""What each kind of verdict is called."""


def kind_of(verdict: Verdict) -> str:
    """The severity's name, `unknown` where geometry was not judged, `none` where nothing was."""
    others = {NOT_JUDGED: "none", GEOMETRY_NOT_JUDGED: "unknown"}
    return others.get(verdict) or str(verdict.severity)


def palettes() -> dict[str, dict[str, Any]]:
    """Each style's inks, verdict colours, colour maps as stops, and lines."""
    found: dict[str, dict[str, Any]] = {}
    for name in ("light", "dark"):
        with theme.style(name):
            found[name] = {
                "inks": {ink.lower(): getattr(theme, ink) for ink in _INKS},
                "verdicts": {key: theme.VERDICTS[key][1] for key in GLYPHS},
                "maps": {key: _stops(shades) for key, shades in theme.MAPS.items()},
                "lines": list(_LINES[name]),
                "order": list(_ORDER[name]),
            }
    return found


def _stops(shades: Any) -> list[str]:  # noqa: ANN401 (matplotlib's own)
    colours = (shades(k / (_STOPS - 1))[:3] for k in range(_STOPS))
    return ["#" + "".join(f"{round(255 * part):02x}" for part in colour) for colour in colours]
