"""See what Invariant Gaussian Attention does: record it in training, draw it, diagnose it."""

from importlib import import_module
from typing import TYPE_CHECKING

from igaviz._version import __version__

if TYPE_CHECKING:
    from igaviz import figures, metrics
    from igaviz.checks import Settings
    from igaviz.checks.explain import explain
    from igaviz.dump import open_dump, read_maps
    from igaviz.metrics import measure
    from igaviz.record import Recorder, tap
    from igaviz.survey.compare import compare
    from igaviz.survey.diagnose import diagnose
    from igaviz.survey.differences import draw_differences
    from igaviz.survey.drawing.history import histories
    from igaviz.survey.drawing.pictures import Style
    from igaviz.survey.export import Wanted, export
    from igaviz.survey.info import info
    from igaviz.survey.kept.cache import Cache
    from igaviz.survey.merge import merge
    from igaviz.survey.page import page
    from igaviz.survey.parts.join import join_parts
    from igaviz.survey.parts.lines import part_lines
    from igaviz.survey.parts.part import Part
    from igaviz.survey.plan import Choice
    from igaviz.survey.render import render
    from igaviz.survey.summary import summary_rows
    from igaviz.survey.verify import verify
    from igaviz.survey.work.workers import Workers

__all__ = [
    "Cache",
    "Choice",
    "Part",
    "Recorder",
    "Settings",
    "Style",
    "Wanted",
    "Workers",
    "__version__",
    "compare",
    "diagnose",
    "draw_differences",
    "explain",
    "export",
    "figures",
    "histories",
    "info",
    "join_parts",
    "measure",
    "merge",
    "metrics",
    "open_dump",
    "page",
    "part_lines",
    "read_maps",
    "render",
    "summary_rows",
    "tap",
    "verify",
]

_HOME = {
    "Cache": "igaviz.survey.kept.cache",
    "Choice": "igaviz.survey.plan",
    "Part": "igaviz.survey.parts.part",
    "Recorder": "igaviz.record",
    "Settings": "igaviz.checks",
    "Style": "igaviz.survey.drawing.pictures",
    "compare": "igaviz.survey.compare",
    "Wanted": "igaviz.survey.export",
    "Workers": "igaviz.survey.work.workers",
    "diagnose": "igaviz.survey.diagnose",
    "draw_differences": "igaviz.survey.differences",
    "explain": "igaviz.checks.explain",
    "export": "igaviz.survey.export",
    "histories": "igaviz.survey.drawing.history",
    "info": "igaviz.survey.info",
    "join_parts": "igaviz.survey.parts.join",
    "measure": "igaviz.metrics",
    "merge": "igaviz.survey.merge",
    "open_dump": "igaviz.dump",
    "page": "igaviz.survey.page",
    "part_lines": "igaviz.survey.parts.lines",
    "read_maps": "igaviz.dump",
    "render": "igaviz.survey.render",
    "summary_rows": "igaviz.survey.summary",
    "tap": "igaviz.record",
    "verify": "igaviz.survey.verify",
}
"""Where each name lives: imported at its first use, so that nobody pays for the other side."""


_MODULES = ("figures", "metrics")
"""Those whose names are public as they are."""


def __getattr__(name: str) -> object:
    """The public name `name`, imported from where it lives."""
    if name in _MODULES:
        return import_module(f"igaviz.{name}")  # sets the attribute as well
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'igaviz' has no attribute {name!r}")
    try:
        value = getattr(import_module(home), name)
    except ModuleNotFoundError as error:
        if error.name == "torch":
            error.add_note("hint: recording needs torch, in the environment that training runs in")
        raise
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
