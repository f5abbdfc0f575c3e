"""The difference: one head in two runs or at two steps, and what became of its attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from igaviz.dump.data import AttentionMap, Floats
from igaviz.figures import colour, text, theme
from igaviz.figures.colour import DIFFERENCE_FLOOR, Shades
from igaviz.figures.header import HEIGHT, Header, Severity
from igaviz.figures.panels import MapPanel
from igaviz.figures.view import NO_RESIDUES, View, Window
from igaviz.metrics.difference import Difference

QUESTION = "What became of this head's attention and of its geometric bias?"

_LEFT = 0.73
_SIDE = 2.94
_PITCH = 4.16
_ROW = theme.TITLE_ROOM + _SIDE + theme.AXIS_ROOM
_NAT = 1.0  # biases are drawn linearly within ±1 nat: less changes no attention that one sees


class Scales(NamedTuple):
    """Where the colour scales end: attention, its difference, and biases in nats, all ± but one."""

    attention: float
    moved: float
    bias: float

    @classmethod
    def of(cls, difference: Difference) -> Scales:
        """The ends that suit one difference: robust largest values."""
        return cls(
            max((_top(m.attention) for m in (difference.a, difference.b)), default=0.0),
            _largest(difference.attention),
            max(_largest(b) for b in (difference.bias_a, difference.bias_b, difference.bias)),
        )

    def join(self, other: Scales) -> Scales:
        """The ends that suit both."""
        return Scales(*(max(pair) for pair in zip(self, other, strict=True)))


@dataclass(frozen=True, eq=False)
class Compared:
    """A difference, the scales that it shares with others, and what its two sides are called."""

    difference: Difference
    scales: Scales
    name_a: str
    name_b: str


class DifferenceFigure:
    """The figure, built once and drawn anew with each `update`."""

    question: ClassVar[str] = QUESTION

    def __init__(self) -> None:
        page = theme.Page(_LEFT + 3 * _PITCH - 0.2, HEIGHT + 2 * _ROW + theme.CAPTION_ROOM)
        self.figure = page.figure
        self.header = Header(page)
        self.rows = [
            [
                MapPanel(
                    page,
                    _LEFT + column * _PITCH,
                    HEIGHT + row * _ROW + theme.TITLE_ROOM,
                    _SIDE,
                    leftmost=column == 0,
                )
                for column in range(3)
            ]
            for row in range(2)
        ]
        for panels in self.rows:
            panels[0].axes.set_ylabel("query residue")
            for panel in panels:
                panel.axes.set_xlabel("key residue")

    def update(
        self, subject: Compared, /, view: View, verdict: str = "", severity: Severity = None
    ) -> None:
        """Draw `subject` as `view` wants it; nothing stays of what was drawn before."""
        difference, scales = subject.difference, subject.scales
        a, b = difference.a, difference.b
        window = Window.of(a.structure, view)
        self.header.say(*_words(subject), verdict, severity)
        log = view.scale == "log"
        weights = _weights(scales, a.n_residues, log=log)
        moved = _signed(scales.moved, DIFFERENCE_FLOOR if log else 0.0)
        bias = _signed(scales.bias, _NAT)
        elsewhere = difference.moved
        share = "" if elsewhere is None else f"{text.decimal(100 * elsewhere, 2)} % moved"
        for panel, title, aside, values, shades in (
            (self.rows[0][0], "A: attention", "line: 1/N", a.attention, weights),
            (self.rows[0][1], "B: attention", "line: 1/N", b.attention, weights),
            (self.rows[0][2], "B − A: attention", share, difference.attention, moved),
            (self.rows[1][0], "A: geometric bias", "nat", difference.bias_a, bias),
            (self.rows[1][1], "B: geometric bias", "nat", difference.bias_b, bias),
            (self.rows[1][2], "B − A: bias", "nat", difference.bias, bias),
        ):
            _draw(panel, title, aside, values, shades, window)


def _draw(
    panel: MapPanel,
    title: str,
    aside: str,
    values: Floats | None,
    shades: Shades,
    window: Window,
) -> None:
    sentence = "Not recorded in both." if title.startswith("B −") else "Not recorded."
    sentence = sentence if values is None else "" if window.size else NO_RESIDUES
    if panel.say(title, aside, sentence) and values is not None:
        level = 1 / len(values) if shades.cmap == "Reds" else None
        panel.update(window.cut(values), colour.counted(values, shades), window, level=level)
    else:
        panel.clear()


def _weights(scales: Scales, n: int, *, log: bool) -> Shades:
    high = min(max(scales.attention, 10.0 / max(n, 1)), 1.0)
    return Shades("Reds", colour.ATTENTION_FLOOR if log else 0.0, high, log=log)


def _signed(largest: float, within: float) -> Shades:
    high = max(largest, 10 * within) or 1.0
    return Shades("RdBu_r", -high, high, within=within)


def _top(attention: Floats | None) -> float:
    return 0.0 if attention is None else colour.attention_limits(attention, log=True)[1]


def _largest(values: Floats | None) -> float:
    if values is None:
        return 0.0
    low, high = colour.robust_limits(values)
    return max(-low, high)


def _words(subject: Compared) -> tuple[str, str, str]:
    a, b = subject.difference.a, subject.difference.b
    item = a.structure.name or f"item {a.id.batch}"
    n = a.n_residues
    gamma = f"γ {_gamma(a)} → {_gamma(b)}" if (a.gamma, b.gamma) != (None, None) else ""
    details = [
        f"A: {subject.name_a}",
        f"B: {subject.name_b}",
        gamma,
        f"{n:,} residue{'' if n == 1 else 's'}",
    ]
    caption = (
        "Red: B gives more; blue: less. Biases: each row less its mean, linear within ±1 nat. "
        "Pictures of one comparison share their scales."
    )
    if not subject.difference.finite:
        caption += " Yellow is masked or not finite."
    head = f"Layer {a.id.layer} · head {a.id.head} · {item} · A → B"
    return head, " · ".join(filter(None, details)), caption


def _gamma(map: AttentionMap) -> str:
    return "not recorded" if map.gamma is None else text.decimal(map.gamma)
