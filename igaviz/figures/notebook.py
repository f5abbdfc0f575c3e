"""Figures that a notebook shows by themselves, whether or not pyplot was ever imported."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from matplotlib.figure import Figure

from igaviz.figures import png
from igaviz.figures.canvas import Canvas

_POINTS = 72  # of a screen to an inch: half the pixels, so that words are sharp on fine screens


class NotebookFigure(Figure):
    """A matplotlib figure that shows itself as PNG where it is the last value of a cell.

    A plain `Figure` does so only after pyplot's inline mode was switched on, and then as the
    user's settings have it. Everything else is a plain figure's.
    """

    def _repr_png_(self) -> bytes:
        """The figure as a PNG file."""
        from igaviz.figures import theme  # theme makes these figures

        canvas = self.canvas
        assert isinstance(canvas, Canvas)
        with theme.style():
            return png.encode(canvas.pixels(), self.dpi)

    def _repr_mimebundle_(
        self,
        include: Collection[str] | None = None,
        exclude: Collection[str] | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """What IPython shows, ahead of its own ways with figures: the PNG and its size."""
        width, height = (round(_POINTS * inches) for inches in self.get_size_inches())
        data = {"image/png": self._repr_png_(), "text/plain": repr(self)}
        return data, {"image/png": {"width": width, "height": height}}
