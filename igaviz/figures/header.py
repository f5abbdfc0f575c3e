"""The words of a whole figure: the title, the verdict, and the caption below."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from matplotlib.text import Text

from igaviz.dump.data import AttentionMap
from igaviz.figures import text, theme
from igaviz.figures.view import Window
from igaviz.format import DEFAULT_PHASE
from igaviz.metrics.profiles import NonFinite, Profiles
from igaviz.metrics.table import capital

HEIGHT = 0.84
"""Inches that the header takes from the page."""

_MARGIN = 0.26
_VERDICT_SHARE = 0.45  # of the page's width, at most
_ROOM_BETWEEN = 0.4
_BOTTOM = 0.12
_LINE = 0.17
"""Inches from the lower edge to the caption, and from it to the line above."""

Severity = Literal["healthy", "note", "warning", "error"] | None


class Header:
    """What a figure shows, in two lines; the verdict to their right; the caption at the bottom.

    The caption has a second line, above, where one is too short. `maps`: whether the figure has
    maps, in which yellow stands for what is masked or not finite.
    """

    def __init__(self, page: theme.Page, *, maps: bool = True) -> None:
        self.page = page
        self.maps = maps
        left, right = page.x(_MARGIN), page.x(page.width - _MARGIN)
        line: dict[str, Any] = {"va": "baseline", "parse_math": False}
        bottom, above = (page.y(page.height - up) for up in (_BOTTOM, _BOTTOM + _LINE))
        put = page.figure.text
        self.head: Text = put(left, page.y(0.37), "", size=theme.HEADLINE, weight="bold", **line)
        self.details: Text = put(left, page.y(0.62), "", size=theme.BODY, color=theme.FAINT, **line)
        self.verdict: Text = put(
            right, page.y(0.37), "", size=theme.VERDICT, weight="bold", ha="right", **line
        )
        faint: dict[str, Any] = {"size": theme.SMALL, "color": theme.FAINT, **line}
        self.caption: Text = put(left, bottom, "", **faint)
        self.above: Text = put(left, above, "", **faint)

    def update(
        self,
        profiles: Profiles,
        window: Window,
        verdict: str,
        severity: Severity,
        remark: str = "",
    ) -> None:
        """Say which map this is, what the checks found, and what the picture leaves out.

        `remark` is a sentence for the caption.
        """
        self.say(
            _head(profiles.map),
            _details(profiles.map, profiles.pairs.radius),
            " ".join(filter(None, (remark, _part_shown(window)))),
            verdict,
            severity,
            self._left_out(profiles),
        )

    def say(
        self,
        head: str,
        details: str,
        caption: str,
        verdict: str = "",
        severity: Severity = None,
        left_out: str = "",
    ) -> None:
        """Set the two lines, the caption, and the verdict, each cut where it has no room.

        `left_out`, the end of the caption, has a line of its own where there is no room for both.
        """
        width = self.page.width - 2 * _MARGIN
        glyph, colour = theme.VERDICTS[severity]
        words = f"{glyph} {verdict}".strip()
        words = text.fit(words, width * _VERDICT_SHARE, theme.VERDICT, bold=True)
        taken = text.width(words, theme.VERDICT, bold=True) + _ROOM_BETWEEN
        self.verdict.set_text(words)
        self.verdict.set_color(colour)
        self.head.set_text(text.fit(head, width - taken, theme.HEADLINE, bold=True))
        self.details.set_text(text.fit(details, width, theme.BODY))
        whole = " ".join(filter(None, (caption, left_out)))
        lines = [whole, ""] if text.width(whole, theme.SMALL) <= width else [left_out, caption]
        if not all(lines):
            lines = [whole, ""]
        for line, words in zip((self.caption, self.above), lines, strict=True):
            line.set_text(text.fit(words, width, theme.SMALL))

    def _left_out(self, profiles: Profiles) -> str:
        """What is masked and what is not finite, and that maps show it yellow."""
        parts = []
        if profiles.masked is not None:
            n, of = int(np.count_nonzero(profiles.masked)), profiles.masked.size
            parts.append(f"masked: {n:,} of {of:,} pairs")
        counted = [
            f"{name.replace('_', ' ').replace('geo ', 'geometric ')} {_kinds(count)}"
            for name, count in profiles.non_finite.items()
        ]
        if counted:
            parts.append(f"not finite: {'; '.join(counted)}")
        said = "; ".join(parts)
        if not said:
            return ""
        return f"Yellow is {said}." if self.maps else f"{capital(said)}."


def _part_shown(window: Window) -> str:
    """Which residues are shown, where these are not all."""
    if window.whole or not window.size:
        return ""
    first, last = (window.label_of(position) for position in window.positions[[0, -1]])
    return (
        f"{window.size} of {window.structure.n_residues} residues are shown, {first} to {last}; "
        "numbers and colour scales speak of all."
    )


def _head(map: AttentionMap) -> str:
    item = map.structure.name or f"item {map.id.batch}"
    return f"Layer {map.id.layer} · head {map.id.head} · {item}"


def _details(map: AttentionMap, radius: float) -> str:
    n = map.n_residues
    parts = [
        f"step {map.id.step:,}",
        "" if map.id.phase == DEFAULT_PHASE else f"phase {map.id.phase}",
        "γ not recorded" if map.gamma is None else f"γ = {text.decimal(map.gamma)}",
        "sign −1: the geometric bias is subtracted" if map.geo_bias_sign == -1 else "",
        f"{n} residue{'' if n == 1 else 's'}",
        f"local: Cα–Cα < {radius:g} Å",
        "" if map.structure.flow_time is None else f"t = {text.decimal(map.structure.flow_time)}",
    ]
    return " · ".join(part for part in parts if part)


def _kinds(count: NonFinite) -> str:
    kinds = {"NaN": count.nan, "+∞": count.plus_infinity, "−∞": count.minus_infinity}
    return ", ".join(f"{number:,} {kind}" for kind, number in kinds.items() if number)
