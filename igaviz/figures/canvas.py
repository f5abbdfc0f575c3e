"""The canvas that figures are drawn on: matplotlib's own, with words drawn once and then kept.

Half the time of a figure goes into its words: some two hundred of them, most of which (titles,
ticks, legends) are those of the figure before. Here a string is drawn once, by matplotlib, on a
small canvas of its own; wherever it is written again, what came out is copied. To that end words
stand at whole pixels.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib import rcParams
from matplotlib.backend_bases import GraphicsContextBase
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text

_KEPT = 2048  # strings; some kilobytes each

_MANNER = (
    "text.hinting",
    "text.hinting_factor",
    "text.kerning_factor",
    "text.antialiased",
    "font.serif",
    "font.sans-serif",
    "font.monospace",
)
"""The settings that the same string in the same font is drawn by."""

_settings: Any = rcParams  # their types know literal names alone


class _Stamp(NamedTuple):
    """A string as an image [rows, columns, 4], and where it lies from the string's origin.

    Rows go upwards.
    """

    image: npt.NDArray[np.uint8]
    left: int
    below: int


class WordRenderer(RendererAgg):
    """Draws as `RendererAgg` does, and copies the strings that it drew before."""

    def draw_text(
        self,
        gc: GraphicsContextBase,
        x: float,
        y: float,
        s: str,
        prop: FontProperties,
        angle: float,
        ismath: Any = False,  # noqa: ANN401
        mtext: Text | None = None,
    ) -> None:
        """Write `s` with its origin at the whole pixel that is nearest to `x`, `y`."""
        manner = tuple(str(_settings[name]) for name in _MANNER)
        stamp = _stamp(s, prop.copy(), angle, self.dpi, gc.get_rgb()[:3], manner)
        if stamp is not None:
            left, bottom = round(x) + stamp.left, int(self.height) - round(y) + stamp.below
            self.draw_image(gc, left, bottom, stamp.image)


@lru_cache(maxsize=_KEPT)
def _stamp(
    s: str,
    prop: FontProperties,
    angle: float,
    dpi: float,
    ink: tuple[float, float, float],
    manner: tuple[str, ...],
) -> _Stamp | None:
    """The string as matplotlib draws it with the settings in force; None where it leaves no mark.

    `manner` is what these settings are: who saves a figure with their own gets other words.
    """
    renderer: Any = RendererAgg  # matplotlib gives it no types
    width, height, _ = renderer(1, 1, dpi).get_text_width_height_descent(s, prop, False)
    reach = math.ceil(width + height) + 2
    canvas = renderer(2 * reach, 2 * reach, dpi)
    gc = canvas.new_gc()
    gc.set_foreground((*ink, 1.0), isRGBA=True)
    canvas.draw_text(gc, reach, reach, s, prop, angle)
    drawn = np.asarray(canvas.buffer_rgba())
    rows, columns = (np.flatnonzero(drawn[..., 3].any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    image = drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    upwards = np.ascontiguousarray(image[::-1])  # as `draw_image` takes it
    return _Stamp(upwards, int(columns[0]) - reach, reach - int(rows[-1]) - 1)


class Canvas(FigureCanvasAgg):
    """A canvas for pixels that keeps words; other formats are drawn by matplotlib's own."""

    _drawn_for: tuple[float, ...] = ()

    def get_renderer(self) -> WordRenderer:
        """The renderer for the figure's present size."""
        size = (*self.figure.bbox.size, self.figure.dpi)
        if self._drawn_for != size:
            renderer: Any = WordRenderer
            self.renderer: WordRenderer = renderer(*size)
            self._drawn_for = size
        return self.renderer

    def pixels(self) -> npt.NDArray[np.uint8]:
        """The figure, drawn: [rows, columns, 4] RGBA, good until it is drawn again."""
        agg: Any = self
        agg.draw()
        return np.asarray(agg.buffer_rgba())
