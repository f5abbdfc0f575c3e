"""The words of a whole figure: the title, the verdict, and the caption below."""

from __future__ import annotations

from typing import Any, Literal

from matplotlib.text import Text

from igaviz.dump.data import AttentionMap
from igaviz.figures import text, theme
from igaviz.figures.view import Window
from igaviz.format import DEFAULT_PHASE
from igaviz.metrics.profiles import NonFinite, Profiles

HEIGHT = 0.84
"""Inches that the header takes from the page."""

_MARGIN = 0.26
_VERDICT_SHARE = 0.45  # of the page's width, at most
_ROOM_BETWEEN = 0.4

Severity = Literal["healthy", "note", "warning", "error"] | None


class Header:
    """What a figure shows, in two lines; the verdict to their right; the caption at the bottom.

    `maps`: whether it has maps, in which yellow stands for what is not finite.
    """

    def __init__(self, page: theme.Page, *, maps: bool = True) -> None:
        self.page = page
        self.not_finite = "Yellow is not finite" if maps else "Not finite"
        left, right = page.x(_MARGIN), page.x(page.width - _MARGIN)
        line: dict[str, Any] = {"va": "baseline", "parse_math": False}
        bottom = page.y(page.height - 0.12)
        put = page.figure.text
        self.head: Text = put(left, page.y(0.37), "", size=theme.HEADLINE, weight="bold", **line)
        self.details: Text = put(left, page.y(0.62), "", size=theme.BODY, color=theme.FAINT, **line)
        self.verdict: Text = put(
            right, page.y(0.37), "", size=theme.VERDICT, weight="bold", ha="right", **line
        )
        self.caption: Text = put(left, bottom, "", size=theme.SMALL, color=theme.FAINT, **line)

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
            self._caption(profiles, window, remark),
            verdict,
            severity,
        )

    def say(
        self, head: str, details: str, caption: str, verdict: str = "", severity: Severity = None
    ) -> None:
        """Set the two lines, the caption, and the verdict, each cut where it has no room."""
        width = self.page.width - 2 * _MARGIN
        glyph, colour = theme.VERDICTS[severity]
        words = f"{glyph} {verdict}".strip()
        words = text.fit(words, width * _VERDICT_SHARE, theme.VERDICT, bold=True)
        taken = text.width(words, theme.VERDICT, bold=True) + _ROOM_BETWEEN
        self.verdict.set_text(words)
        self.verdict.set_color(colour)
        self.head.set_text(text.fit(head, width - taken, theme.HEADLINE, bold=True))
        self.details.set_text(text.fit(details, width, theme.BODY))
        self.caption.set_text(text.fit(caption, width, theme.SMALL))

    def _caption(self, profiles: Profiles, window: Window, remark: str) -> str:
        parts = [remark] if remark else []
        if not window.whole and window.size:
            first, last = (window.label_of(position) for position in window.positions[[0, -1]])
            parts.append(
                f"{window.size} of {window.structure.n_residues} residues are shown, {first} to "
                f"{last}; numbers and colour scales speak of all."
            )
        counted = [
            f"{name.replace('_', ' ').replace('geo ', 'geometric ')} {_kinds(count)}"
            for name, count in profiles.non_finite.items()
        ]
        if counted:
            parts.append(f"{self.not_finite}: {'; '.join(counted)}.")
        return " ".join(parts)


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
