"""Pictures of one map: the three figures, and the painter that draws many of them."""

from igaviz.figures.header import Severity
from igaviz.figures.overview import overview
from igaviz.figures.painter import FIGURES, FORMATS, Painter
from igaviz.figures.profiles import profiles
from igaviz.figures.statistics import statistics
from igaviz.figures.view import View

__all__ = [
    "FIGURES",
    "FORMATS",
    "Painter",
    "Severity",
    "View",
    "overview",
    "profiles",
    "statistics",
]
