"""The contacts: what attention, corrected, says of who touches whom, against the structure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from igaviz.dump.data import Floats
from igaviz.figures import colour, theme
from igaviz.figures.header import HEIGHT, Header, Severity
from igaviz.figures.panels import Key, MapPanel, Panel
from igaviz.figures.ticks import value_ticks
from igaviz.figures.view import NO_RESIDUES, View, Window
from igaviz.metrics.contact_map import ContactMap
from igaviz.metrics.contacts import Ranking
from igaviz.metrics.profiles import Profiles
from igaviz.metrics.table import CONTACT_RADIUS, LONG_RANGE
from igaviz.percent import percent

QUESTION = "Does attention know which residues touch?"

_LEFT = 0.8
_SIDE = 5.0
_BESIDE = _LEFT + _SIDE + 1.75
_WIDTH = 5.0
_FOR_THE_KEY = 2 * Key.ROW + 0.04


class ContactsFigure:
    """The figure, built once and drawn anew with each `update`."""

    question: ClassVar[str] = QUESTION

    def __init__(self) -> None:
        top = HEIGHT + theme.TITLE_ROOM
        page = theme.Page(
            _BESIDE + _WIDTH + 0.4,
            top + _FOR_THE_KEY + _SIDE + theme.AXIS_ROOM + theme.CAPTION_ROOM,
        )
        self.figure = page.figure
        self.header = Header(page)
        self.map = TrianglesPanel(page, _LEFT, top + _FOR_THE_KEY, _SIDE)
        self.precision = PrecisionPanel(page.axes(_BESIDE, top + _FOR_THE_KEY, _WIDTH, _SIDE))

    def update(
        self, subject: Profiles, /, view: View, verdict: str = "", severity: Severity = None
    ) -> None:
        """Draw the map of `subject` as `view` wants it; nothing stays of what was drawn before."""
        window = Window.of(subject.map.structure, view)
        found = ContactMap.of(subject.map, subject.pairs)
        clean = " in the clean structure" * (subject.map.structure.ca_reference is not None)
        remark = (
            f"{QUESTION} Contacts: Cα–Cα < {CONTACT_RADIUS:g} Å{clean}. Pairs with |Δ residue| < "
            f"{LONG_RANGE} are left out: the chain alone brings them together."
        )
        self.header.update(subject, window, verdict, severity, remark)
        self.map.draw(found, subject, window)
        self.precision.update(found, subject)


class TrianglesPanel(MapPanel):
    """Corrected attention above the diagonal; contacts below it, and which were found."""

    def __init__(self, page: theme.Page, left: float, top: float, side: float) -> None:
        super().__init__(page, left, top, side)
        self.title.set_position((0, 6 + 72 * _FOR_THE_KEY))
        self.aside.set_position((0, 6 + 72 * _FOR_THE_KEY))
        self.axes.set_xlabel("residue")
        self.axes.set_ylabel("residue")
        self.diagonal = self.line(color=theme.FAINT, linewidth=0.8, zorder=3)
        self.true = self._marks(theme.CONTENT, opacity=0.45)
        self.found = self._marks(theme.ATTENTION)
        self.missed = self._marks(theme.QUERY)
        self.key = Key(self.axes, {self.true: "", self.found: "", self.missed: ""})

    def _marks(self, ink: str, opacity: float = 1.0) -> Line2D:
        return self.line(
            linestyle="none", marker="s", color=ink, alpha=opacity, markeredgewidth=0.0, zorder=4
        )

    def draw(self, found: ContactMap, subject: Profiles, window: Window) -> None:
        """Draw `found` of the residues in `window`."""
        for marks in (self.true, self.found, self.missed, self.diagonal):
            marks.set_data([], [])
        missing = _missing(found, subject)
        precision = found.precision
        title = "Attention above, contacts below"
        drawn = self.say(title, "", missing)
        self.key.set_visible(drawn)
        if not drawn or found.scores is None:
            self.clear()
            return
        if precision is not None:
            self.say(title, f"precision {percent(precision)}")
        self.update(*_upper(found, window), window)
        self._draw_contacts(found, window)

    def _draw_contacts(self, found: ContactMap, window: Window) -> None:
        edge, size = window.size - 0.5, _mark_size(window.size)
        self.diagonal.set_data([-0.5, edge], [-0.5, edge])
        contacts, ranking = found.contacts, found.attention
        touching = np.flatnonzero(contacts.touching)
        chosen = np.empty(0, np.intp) if ranking is None else ranking.chosen
        hit = np.empty(0, bool) if ranking is None else ranking.hit
        missed = chosen[~hit]
        for marks, pairs in (
            (self.true, touching),
            (self.found, chosen[hit]),
            (self.missed, missed),
        ):
            places = [
                (window.place(int(contacts.first[k])), window.place(int(contacts.second[k])))
                for k in pairs
            ]
            seen = [(i, j) for i, j in places if i is not None and j is not None]
            marks.set_data([i for i, _ in seen], [j for _, j in seen])  # below: row j > i
            marks.set_markersize(size)
        self.key.say(self.true, f"contact (n = {len(touching):,})")
        self.key.say(self.found, f"strongest {len(chosen):,}: in contact ({hit.sum():,})")
        self.key.say(self.missed, f"not in contact ({len(missed):,})")


class PrecisionPanel(Panel):
    """The share of contacts among the k strongest pairs, with and without geometry."""

    def __init__(self, axes: Axes) -> None:
        super().__init__(axes, _FOR_THE_KEY)
        theme.plain(axes)
        axes.set_xlabel("strongest pairs taken, k")
        axes.set_ylabel("share of them in contact")
        # wide, to be seen on both sides of a curve that is the same
        self.content = self.line(color=theme.CONTENT, linewidth=3.6, alpha=0.75)
        self.attention = self.line(color=theme.ATTENTION, linewidth=1.8, zorder=3)
        self.chance = self.line(color=theme.INK, linewidth=1.3, linestyle=":")
        self.key = Key(axes, {self.attention: "attention", self.content: "", self.chance: ""})

    def update(self, found: ContactMap, subject: Profiles) -> None:
        """Draw the precision of `found`."""
        for line in (self.content, self.attention, self.chance):
            line.set_data([], [])
        missing = _missing(found, subject) or _no_contact(found)
        drawn = self.say("Precision of the strongest", "", missing)
        self.key.set_visible(drawn)
        if not drawn or found.attention is None:
            return
        most = len(found.attention.precision)
        for line, ranking in ((self.attention, found.attention), (self.content, found.content)):
            if ranking is not None:
                line.set_data(*_curve(ranking))
        self.key.say(self.attention, f"attention: {_at_end(found.attention)}")
        no_content = "no geometry: logits not recorded"
        if found.content is not None:
            no_content = f"no geometry: {_at_end(found.content)}"
        self.key.say(self.content, no_content)
        chance = found.by_chance or 0.0
        self.chance.set_data([0.5, most + 0.5], [chance, chance])
        self.key.say(self.chance, f"by chance: {percent(chance)}")
        self.axes.set_xlim(0.5, max(most, 2) + 0.5)
        self.axes.set_ylim(0, 1.03)
        ticks, labels = value_ticks(0, most, most=6)
        theme.set_ticks(self.axes.xaxis, [max(t, 1) for t in ticks], ["1", *labels[1:]])
        theme.set_ticks(self.axes.yaxis, *value_ticks(0, 1))


def _upper(found: ContactMap, window: Window) -> tuple[Floats, colour.Shades]:
    """What is drawn above the diagonal: the scores of candidates, 0 elsewhere; and its colours."""
    assert found.scores is not None
    scores = np.where(found.candidates, np.maximum(found.scores, 0.0), 0.0)
    high = colour.robust_limits(scores[found.candidates])[1]
    shades = colour.Shades("Reds", 0.0, high or 1.0, total=scores.size)
    return np.triu(window.cut(scores), 1), shades


def _curve(ranking: Ranking) -> tuple[Sequence[float], Sequence[float]]:
    return list(range(1, len(ranking.precision) + 1)), ranking.precision.tolist()


def _at_end(ranking: Ranking) -> str:
    return f"{percent(float(ranking.precision[-1]))} of {len(ranking.precision):,}"


def _mark_size(n: int) -> float:
    """Points: a cell's side, but never so small as not to be seen."""
    return max(72 * _SIDE / max(n, 1), 1.6)


def _missing(found: ContactMap, subject: Profiles) -> str:
    n = subject.map.n_residues
    if n < 2:
        return NO_RESIDUES if n == 0 else "One residue: there is no pair."
    if not len(found.contacts.first):
        return f"No pair is {LONG_RANGE} residues apart."
    return found.why


def _no_contact(found: ContactMap) -> str:
    return "" if found.contacts.touching.any() else "No such pair is in contact."
