"""Pictures of maps, layers, steps and runs, and the painter that draws many of them."""

from igaviz.figures.functions import (
    contacts,
    effect,
    grid,
    heads,
    separation,
    terms,
    trajectory,
)
from igaviz.figures.header import Severity
from igaviz.figures.overview import overview
from igaviz.figures.painter import DEFAULT_FIGURES, FIGURES, FORMATS, FigureType, Painter, Scope
from igaviz.figures.profiles import profiles
from igaviz.figures.statistics import statistics
from igaviz.figures.view import View

__all__ = [
    "DEFAULT_FIGURES",
    "FIGURES",
    "FORMATS",
    "FigureType",
    "Painter",
    "Scope",
    "Severity",
    "View",
    "contacts",
    "effect",
    "grid",
    "heads",
    "overview",
    "profiles",
    "separation",
    "statistics",
    "terms",
    "trajectory",
]
