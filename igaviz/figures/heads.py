"""The heads of one step: a matrix of layers and heads, by type or by one metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch

from igaviz.figures import colour, text, theme
from igaviz.figures.colour import Shades
from igaviz.figures.header import HEIGHT, Header, Severity
from igaviz.figures.panels import BAR_GAP, BAR_WIDTH, ColourBar, Key, Panel
from igaviz.figures.ticks import axis_name, scaled_ticks, value_ticks
from igaviz.figures.view import View
from igaviz.format import DEFAULT_PHASE
from igaviz.metrics.heads import (
    BLIND_EFFECT,
    DOMINANT,
    HEAD_TYPES,
    ONE_HOT_SHARE,
    TYPE,
    Cell,
    HeadTable,
)
from igaviz.metrics.resolution import scale_ends
from igaviz.metrics.table import SATURATED, capital

QUESTION = "Which heads and layers use geometry?"

_LEFT = 0.86
_WIDTH = 6.2
_BESIDE = _LEFT + _WIDTH + 1.85
_RIGHT = 4.1
_TALLEST = 6.4
_LOWEST = 1.8  # a colour bar's name has room beside it
_CELL = 0.62
_WIDEST_CELL = 2.4
_ROOM = 3.7  # beside the panel to the right, at its lowest
_SMALLEST = 0.2
_EDGE = 0.15  # of a cell that white lines may take
_SMALL_NUMBERS = 0.3  # inches of a cell in which a number has room
_POINT, _SMALL_POINT = 42, 14
_MANY_POINTS = 300  # that hide one another, and the names of the types, unless they are small
_SIZE = theme.SMALL - 1.0  # of the words in cells
_FOR_THE_KEY = 3 * Key.ROW + 0.04


class HeadsFigure:
    """The figure for so many layers and heads, built once and drawn anew with each `update`."""

    question: ClassVar[str] = QUESTION

    def __init__(self, n_layers: int, n_heads: int) -> None:
        width = min(_WIDTH, n_heads * _WIDEST_CELL)
        few = min(width / n_heads, _ROOM / n_layers)  # that are as high as wide
        high = max(_CELL, few, _LOWEST / n_layers)
        cell = max(min(high, _TALLEST / n_layers), _SMALLEST)
        matrix, right = n_layers * cell, min(max(n_layers * cell - _FOR_THE_KEY, 3.2), 4.6)
        top = HEIGHT + theme.TITLE_ROOM
        height = top + max(matrix, _FOR_THE_KEY + right) + theme.AXIS_ROOM + theme.CAPTION_ROOM
        page = theme.Page(_BESIDE + _RIGHT + 0.3, height)
        self.figure = page.figure
        self.header = Header(page)
        size = (width / n_heads, cell)
        self.matrix = MatrixPanel(page.axes(_LEFT, top, width, matrix), size)
        self.bar = ColourBar(page.axes(_LEFT + width + BAR_GAP, top, BAR_WIDTH, matrix))
        self.types = TypesPanel(page.axes(_BESIDE, top + _FOR_THE_KEY, _RIGHT, right))
        self.layers = LayersPanel(page.axes(_BESIDE, top + _FOR_THE_KEY, _RIGHT, right))

    def update(
        self, subject: HeadTable, /, view: View, verdict: str = "", severity: Severity = None
    ) -> None:
        """Draw the table of `subject`; nothing stays of what was drawn before."""
        self.header.say(*_words(subject), verdict, severity)
        by_type = subject.metric == TYPE
        shades = colour.by_decades(subject.values)
        self.matrix.update(subject, _type_inks() if by_type else {}, shades)
        self.bar.title, self.bar.unit = subject.title, subject.unit
        self.bar.update(None if by_type or not shades.total else shades)
        self.types.axes.set_visible(by_type)
        self.layers.axes.set_visible(not by_type)
        if by_type:
            self.types.update(subject)
        else:
            self.layers.update(subject)


class MatrixPanel(Panel):
    """A cell for each head: its colour, and its type or number where that has room."""

    def __init__(self, axes: Axes, cell: tuple[float, float]) -> None:
        super().__init__(axes)
        self.cell = cell
        self.room = cell[0] - 0.05
        axes.set_xlabel("head")
        axes.set_ylabel("layer")
        self.image = axes.imshow(np.zeros((1, 1, 3)), aspect="auto", interpolation="nearest")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        edge = min(1.5, _EDGE * 72 * min(cell))
        self.edges = self.line(color=theme.PAPER, linewidth=edge, zorder=2)

    def update(self, table: HeadTable, inks: Mapping[str, str], shades: Shades) -> None:
        """Draw `table`, words in their `inks` and numbers in `shades`."""
        for words in list(self.axes.texts):
            if words not in (self.title, self.aside, self.sentence):
                words.remove()
        n_layers, n_heads = len(table.layers), len(table.heads)
        self.say(capital(table.title), _aside(table))
        pixels = np.ones((n_layers, n_heads, 3)) * to_rgb(theme.PAPER)
        written = self._written(table)
        colours = shades.colormap()(shades.norm()(shades.drawable(table.values)))[..., :3]
        for y, layer in enumerate(table.layers):
            for x, head in enumerate(table.heads):
                if (layer, head) not in table.recorded:
                    continue
                word = table.words.get((layer, head))
                if word is not None:
                    pixels[y, x] = to_rgb(inks.get(word, theme.FIELD))
                elif np.isfinite(table.values[y, x]):
                    pixels[y, x] = colours[y, x]
                else:
                    pixels[y, x] = to_rgb(theme.RULE)
                severity = table.severities.get((layer, head))
                self._write(written[layer, head], severity, (x, y), tuple(pixels[y, x]))
        self.image.set_data(pixels)
        self.image.set_extent((-0.5, n_heads - 0.5, n_layers - 0.5, -0.5))
        self.edges.set_data(*_edges(n_layers, n_heads))
        self.axes.set_xlim(-0.5, n_heads - 0.5)
        self.axes.set_ylim(n_layers - 0.5, -0.5)
        widest = max(text.width(str(head), theme.SMALL) for head in table.heads)
        for axis, numbers, taken in (
            (self.axes.xaxis, table.heads, max(0.24, widest + 0.07) / self.cell[0]),
            (self.axes.yaxis, table.layers, 0.17 / self.cell[1]),
        ):
            stride = max(1, int(np.ceil(taken)))
            places = range(0, len(numbers), stride)
            theme.set_ticks(axis, [float(k) for k in places], [str(numbers[k]) for k in places])

    def _written(self, table: HeadTable) -> dict[Cell, str]:
        """What is written in each cell: its word or number, or nothing.

        Words are their first letters, all of them where one alone has no room; numbers are left
        out, all of them where most have no room.
        """
        short = any(text.width(word, _SIZE) > self.room for word in table.words.values())
        words = {cell: word[:1] if short else word for cell, word in table.words.items()}
        numbers = {
            (layer, head): self._number(float(table.values[y, x]))
            for y, layer in enumerate(table.layers)
            for x, head in enumerate(table.heads)
            if (layer, head) not in words
        }
        if sum(map(bool, numbers.values())) < len(numbers) / 2:
            numbers = dict.fromkeys(numbers, "")
        return words | numbers

    def _write(
        self,
        word: str,
        severity: str | None,
        place: tuple[float, float],
        behind: tuple[float, float, float],
    ) -> None:
        """The word or number of a cell, and the sign of its verdict in the corner."""
        ink = _readable_on(behind)
        if word and self.cell[1] >= _SMALLEST:
            self.axes.text(*place, word, ha="center", va="center", size=_SIZE, color=ink, zorder=4)
        if severity in ("note", "warning", "error") and min(self.cell) >= _SMALL_NUMBERS:
            glyph, tint = theme.VERDICTS[severity]
            self.axes.text(
                place[0] + 0.5 - 0.09 / self.cell[0], place[1] - 0.5 + 0.09 / self.cell[1], glyph,
                ha="center", va="center", size=theme.SMALL - 3, color=tint, zorder=5,
                path_effects=theme.HALO,
            )  # fmt: skip

    def _number(self, value: float) -> str:
        """`value` in two digits or one, as there is room; empty where there is none."""
        words = [text.decimal(value, n) for n in (2, 1)] if np.isfinite(value) else ["–"]
        return next((word for word in words if text.width(word, _SIZE) <= self.room), "")


class TypesPanel(Panel):
    """Both effects of each head, and where a head is of which type."""

    def __init__(self, axes: Axes) -> None:
        super().__init__(axes, _FOR_THE_KEY)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlabel("geometry effect")
        axes.set_ylabel("content effect")
        axes.set(xlim=(0, 1), ylim=(0, 1))
        for axis in (axes.xaxis, axes.yaxis):
            theme.set_ticks(axis, *value_ticks(0, 1))
        borders = np.array(
            [
                [BLIND_EFFECT, 0],
                [BLIND_EFFECT, 1],
                [np.nan, np.nan],
                [BLIND_EFFECT, DOMINANT * BLIND_EFFECT],
                [1 / DOMINANT, 1],
                [np.nan, np.nan],
                [BLIND_EFFECT, BLIND_EFFECT / DOMINANT],
                [1, 1 / DOMINANT],
            ]
        )
        self.line(color=theme.FAINT, linewidth=0.9, zorder=1.5).set_data(*borders.T)
        places = (
            ("blind", BLIND_EFFECT / 2, 0.9, 90),
            ("content", 0.27, 0.955, 0),
            ("mixed", 0.9, 0.955, 0),
            ("geometric", 0.86, 0.045, 0),
        )
        self.names = [
            axes.text(
                x, y, name, size=theme.BODY, color=theme.FAINT, ha="center", va="center",
                rotation=turn, zorder=1.6,
            )
            for name, x, y, turn in places
        ]  # fmt: skip
        inks = _type_inks()
        self.points = axes.scatter([], [], s=_POINT, linewidths=0.8, zorder=3)
        self.points.set_edgecolor(theme.INK)
        self.patches = {
            name: Patch(facecolor=inks[name], edgecolor=theme.INK, linewidth=0.6)
            for name in HEAD_TYPES
        }
        self.key = Key(axes, {patch: name for name, patch in self.patches.items()})

    def update(self, table: HeadTable) -> None:
        """Draw the heads of `table` that have both effects."""
        self.title.set_text("What moves each head's attention")
        inks = _type_inks()
        points = [
            (table.geometry[y, x], table.content[y, x], inks[word])
            for y, layer in enumerate(table.layers)
            for x, head in enumerate(table.heads)
            if (word := table.words.get((layer, head))) is not None
            and np.isfinite(table.geometry[y, x])
            and np.isfinite(table.content[y, x])
        ]
        self.points.set_offsets(np.array([p[:2] for p in points]).reshape(-1, 2))
        self.points.set_facecolor([p[2] for p in points])
        many = len(points) > _MANY_POINTS
        self.points.set_sizes([_SMALL_POINT if many else _POINT])
        self.points.set_linewidth(0.4 if many else 0.8)
        for words in self.names:
            words.set(zorder=4 if many else 1.6, path_effects=theme.HALO if many else [])
        self.sentence.set_text("" if points else "No head has both effects.")
        for name, patch in self.patches.items():
            self.key.say(patch, f"{name} ({table.count(name)})")


class LayersPanel(Panel):
    """The numbers of each layer's heads, and their median."""

    def __init__(self, axes: Axes) -> None:
        super().__init__(axes, _FOR_THE_KEY)
        theme.plain(axes)
        axes.set_xlabel("layer")
        self.points = self.line(
            linestyle="none", marker="o", markersize=5, color=theme.ATTENTION, alpha=0.55
        )
        self.median = self.line(color=theme.INK, linewidth=1.5, marker="_", markersize=12)
        self.key = Key(axes, {self.points: "a head", self.median: "median of the layer"})

    def update(self, table: HeadTable) -> None:
        """Draw the numbers of `table`."""
        for line in (self.points, self.median):
            line.set_data([], [])
        finite = np.isfinite(table.values)
        drawn = self.say("By layer", "", "" if finite.any() else "No head has a number.")
        self.key.set_visible(drawn)
        if not drawn:
            return
        low, high = float(table.values[finite].min()), float(table.values[finite].max())
        rows, _ = np.nonzero(finite)
        self.points.set_data(rows, table.values[finite])
        self.median.set_data(np.arange(len(table.layers)), table.medians)
        self.axes.set_xlim(-0.6, len(table.layers) - 0.4)
        if colour.by_decades(table.values).log:
            power = self._fit_decades(low, high)
        else:
            power = self._fit_y(*scale_ends(table.metric, low, high))
        self.axes.set_ylabel(axis_name(table.title, power, table.unit))
        stride = -(-len(table.layers) // 12)
        places = range(0, len(table.layers), stride)
        names = [str(table.layers[k]) for k in places]
        theme.set_ticks(self.axes.xaxis, [float(k) for k in places], names)

    def _fit_decades(self, low: float, high: float) -> str:
        """Make the axis hold `low` and `high` by decades; its ticks have no power of ten."""
        self.axes.set_yscale("log")
        self.axes.set_ylim(low / 1.5, high * 1.5)
        self._number(*value_ticks(low, high, log=True))
        return ""

    def _fit_y(self, low: float, high: float) -> str:
        """Make the axis hold `low` and `high`; returns the power of ten of its ticks."""
        self.axes.set_yscale("linear")
        margin = 0.07 * (high - low)
        self.axes.set_ylim(low - margin, high + margin)
        ticks, labels, power = scaled_ticks(low, high)
        self._number(ticks, labels)
        return power

    def _number(self, ticks: list[float], labels: list[str]) -> None:
        theme.set_ticks(self.axes.yaxis, ticks, labels)
        self.give_way(labels)


def _type_inks() -> dict[str, str]:
    inks = (theme.FIELD, theme.CONTENT, theme.ATTENTION, theme.BIAS, theme.QUERY)
    return dict(zip(HEAD_TYPES, inks, strict=True))


def _quoted(means: str) -> str:
    """`means` for a figure: values that code has between backticks are quoted."""
    return means.replace("`", '"')


def _readable_on(behind: tuple[float, float, float]) -> str:
    """Of ink and paper, what stands out more from the colour `behind`."""
    inks: tuple[str, str] = theme.INK, theme.PAPER
    return max(inks, key=lambda ink: abs(_light(to_rgb(ink)) - _light(behind)))


def _light(rgb: tuple[float, float, float]) -> float:
    return 0.30 * rgb[0] + 0.59 * rgb[1] + 0.11 * rgb[2]


def _edges(n_layers: int, n_heads: int) -> tuple[list[float], list[float]]:
    """The lines between cells, as one line with gaps."""
    x: list[float] = []
    y: list[float] = []
    for k in range(1, n_layers):
        x += [-0.5, n_heads - 0.5, np.nan]
        y += [k - 0.5, k - 0.5, np.nan]
    for k in range(1, n_heads):
        x += [k - 0.5, k - 0.5, np.nan]
        y += [-0.5, n_layers - 0.5, np.nan]
    return x, y


def _aside(table: HeadTable) -> str:
    beyond = table.count("beyond")
    without = len(table.recorded) - len(table.words) - int(np.isfinite(table.values).sum())
    parts = [f"{beyond} beyond" if beyond else "", f"{without} without" if without else ""]
    return ", ".join(filter(None, parts))


def _words(table: HeadTable) -> tuple[str, str, str]:
    """Head line, details and caption."""
    n_layers, n_maps = len(table.layers), len(table.recorded)
    layers = f"layer {table.layers[0]}" if n_layers == 1 else f"{n_layers} layers"
    items = text.some(table.items, theme.BODY)
    details = [
        f"step {table.step:,}",
        "" if table.phase == DEFAULT_PHASE else f"phase {table.phase}",
        f"mean over {len(table.items)} items: {items}" if len(table.items) > 1 else items,
    ]
    head = f"{n_maps} head{'' if n_maps == 1 else 's'} of {layers} · {table.title}"
    caption = (
        f"{QUESTION} Blind: geometry moves under {BLIND_EFFECT:g} of attention; content, "
        f"geometric: that moves {DOMINANT:g}× what the other does; one-hot: over "
        f"{ONE_HOT_SHARE:g} of queries give one key over {SATURATED:g}."
    )
    if table.metric != TYPE:
        caption = (
            f"How does {table.title} differ from head to head and from layer to layer? "
            f"{capital(table.title)}: {_quoted(table.means)}."
        )
    return head, " · ".join(filter(None, details)), caption
