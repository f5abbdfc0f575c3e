"""Many pictures with the same axes: what a worker process keeps, and how a picture is saved."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Protocol

from matplotlib.figure import Figure

from igaviz.aside import written_aside
from igaviz.dump.data import AttentionMap
from igaviz.errors import OutputError, UsageError
from igaviz.figures import png, theme
from igaviz.figures.canvas import Canvas
from igaviz.figures.contacts import ContactsFigure
from igaviz.figures.difference import DifferenceFigure
from igaviz.figures.effect import EffectFigure
from igaviz.figures.grid import GridFigure
from igaviz.figures.header import Severity
from igaviz.figures.heads import HeadsFigure
from igaviz.figures.overview import OverviewFigure
from igaviz.figures.profiles import ProfilesFigure, profiles_layout
from igaviz.figures.separation import SeparationFigure
from igaviz.figures.statistics import StatisticsFigure
from igaviz.figures.terms import TermsFigure
from igaviz.figures.trajectory import TrajectoryFigure
from igaviz.figures.trajectory_map import trajectory_figure
from igaviz.figures.view import View, profiles_of
from igaviz.metrics.pairs import Pairs
from igaviz.metrics.profiles import Profiles

Scope = Literal["map", "layer", "step", "run", "pair"]
"""What one picture shows: a head of an attention call, all its heads, a step, a run, or a head
twice."""


class BuiltFigure(Protocol):
    """A figure whose axes are made; `update` draws another subject on them."""

    figure: Figure

    def update(
        self,
        subject: Any,  # noqa: ANN401 (what the figure type's scope says)
        /,
        view: View,
        verdict: str = "",
        severity: Severity = None,
    ) -> None:
        """Draw `subject`; nothing stays of what was drawn before."""


@dataclass(frozen=True)
class FigureType:
    """A kind of picture: what one of them shows, the question it answers, and how it is built.

    `layout` gives the arguments of `build` that a subject needs, seen as a view wants it: figures
    of one layout share their axes.
    """

    scope: Scope
    question: str
    build: Callable[..., BuiltFigure]
    layout: Callable[[Any, View], tuple[int, ...]] = lambda _subject, _view: ()


FIGURES: Mapping[str, FigureType] = MappingProxyType(
    {
        "attention_overview": FigureType(
            "map", "What does this head see, and what does geometry add to it?", OverviewFigure
        ),
        "attention_profiles": FigureType(
            "map",
            "Where does a residue look, and is that where geometry points?",
            ProfilesFigure,
            lambda _, view: profiles_layout(view),
        ),
        "distance_statistics": FigureType(
            "map", "How do attention and geometric bias depend on distance?", StatisticsFigure
        ),
        "grid": FigureType(
            "layer", GridFigure.question, GridFigure, lambda sheet, _: (len(sheet.tiles),)
        ),
        "heads": FigureType(
            "step",
            HeadsFigure.question,
            HeadsFigure,
            lambda table, _: (len(table.layers), len(table.heads)),
        ),
        "trajectory": FigureType(
            "run",
            TrajectoryFigure.question,
            trajectory_figure,
            lambda history, _: (len(history.tracks), len(history.metrics)),
        ),
        "effect": FigureType("map", EffectFigure.question, EffectFigure),
        "terms": FigureType("map", TermsFigure.question, TermsFigure),
        "separation": FigureType("map", SeparationFigure.question, SeparationFigure),
        "contacts": FigureType("map", ContactsFigure.question, ContactsFigure),
    }
)
"""The figure types by the name that stands in their files' names."""

_OF_PAIRS: Mapping[str, FigureType] = MappingProxyType(
    {"difference": FigureType("pair", DifferenceFigure.question, DifferenceFigure)}
)
"""Those that need two maps: no selection of one dump gives them."""

DEFAULT_FIGURES = ("attention_overview", "attention_profiles", "distance_statistics")
"""The three figures that are drawn where none is named."""

FORMATS: Mapping[str, Mapping[str, str | None]] = MappingProxyType(
    {
        "png": {},
        "svg": {"Date": None, "Creator": "igaviz"},
        "pdf": {"CreationDate": None, "Producer": None, "Creator": "igaviz"},
    }
)
"""What each file format says of itself: nothing that changes from run to run."""

DPI_RANGE = (20, 600)
"""Dots per inch: more than that is more memory than a picture may take."""


class Painter:
    """Draws subject after subject on figures that are built once; one per process (or thread)."""

    def __init__(self) -> None:
        self._built: dict[tuple[str, str], tuple[tuple[int, ...], BuiltFigure]] = {}
        self._profiles: Profiles | None = None

    def paint(
        self,
        name: str,
        map: AttentionMap,
        pairs: Pairs | None = None,
        view: View = View(),  # noqa: B008 (frozen)
        verdict: str = "",
        severity: Severity = None,
    ) -> Figure:
        """The figure `name` of `map`: pixel for pixel what the function for it would draw anew.

        It is the painter's own and is drawn over by the next `paint` of that name. Raises as
        `overview` does, and `UsageError` for a name that is not in `FIGURES`.
        """
        check_name(name)
        return self.draw(name, self._profiles_of(map, pairs, view), view, verdict, severity)

    def draw(
        self,
        name: str,
        subject: object,
        view: View = View(),  # noqa: B008 (frozen)
        verdict: str = "",
        severity: Severity = None,
    ) -> Figure:
        """The figure `name` of `subject`, which is what the name's scope wants; as `paint`."""
        check_name(name)
        kind = FIGURES.get(name) or _OF_PAIRS[name]
        layout, key = kind.layout(subject, view), (name, view.style)
        with theme.style(view.style):
            last, built = self._built.get(key, (None, None))
            if built is None or last != layout:
                built = kind.build(*layout)
                self._built[key] = layout, built
            built.update(subject, view, verdict, severity)
        return built.figure

    def _profiles_of(self, map: AttentionMap, pairs: Pairs | None, view: View) -> Profiles:
        # the three figures of one map share what is computed for it
        last = self._profiles
        same = (
            last is not None
            and last.given is map
            and (pairs is None or last.pairs is pairs)
            and last.pairs.radius == view.radius
        )
        if last is None or not same:
            last = self._profiles = profiles_of(map, pairs, view)
        return last

    @staticmethod
    def save(figure: Figure, path: Path, format: str = "png", dpi: int = theme.DPI) -> None:
        """Write `figure` to `path`, whole or not at all, with the same bytes every time.

        Raises `UsageError` for a format that is not in `FORMATS` or a resolution out of
        `DPI_RANGE`, `OutputError` where the file can't be written.
        """
        if format not in FORMATS:
            raise UsageError(f"no format {format!r}", hint=f"there are {', '.join(FORMATS)}")
        if not DPI_RANGE[0] <= dpi <= DPI_RANGE[1]:
            raise UsageError(f"{dpi} dots per inch", hint="write a number from 20 to 600")
        with theme.style():
            data = _png(figure, dpi) if format == "png" else _vector(figure, format, dpi)
        publish(Path(path), data)


def _png(figure: Figure, dpi: int) -> bytes:
    before = figure.dpi
    figure.set_dpi(dpi)
    try:
        canvas = figure.canvas
        assert isinstance(canvas, Canvas)
        return png.encode(canvas.pixels(), dpi)
    finally:
        figure.set_dpi(before)


def _vector(figure: Figure, format: str, dpi: int) -> bytes:
    """An SVG or PDF file: words stay words; what is too much for lines is pixels, at `dpi`."""
    buffer = io.BytesIO()  # on a full disk matplotlib's own error would hide the system's
    figure.savefig(buffer, format=format, dpi=dpi, metadata=FORMATS[format])
    return buffer.getvalue()


def publish(path: Path, data: bytes) -> None:
    """Write `data` aside and rename it to `path`: whole or not at all."""
    try:
        with written_aside(path) as aside:
            aside.write_bytes(data)
    except OSError as error:
        raise OutputError.unwritable(path, error) from error


def check_name(name: str) -> None:
    """Raise `UsageError` where there is no figure type `name`."""
    if name not in FIGURES and name not in _OF_PAIRS:
        raise UsageError(f"no figure {name!r}", hint=f"there are {', '.join(FIGURES)}")
