"""Which metrics are shown over the steps of a run where nobody names one.

All three places have γ, what geometry moves, and the queries that are saturated. The others differ
with what is asked there.
"""

from __future__ import annotations

from typing import Final

OF_TRAJECTORY: Final = ("gamma", "geometry_effect", "content_effect", "saturation", "self_mass")
"""Panels of the figure `trajectory`. It asks when geometry comes into use, so content's effect
stands beside geometry's, and when a layer falls ill, which the last two show."""

OF_TRENDS: Final = ("gamma", "geometry_effect", "saturation", "self_mass", "entropy")
"""The trends of `igaviz summary`: first, last and slope. Entropy has a slope while attention
sharpens, where no query is saturated yet."""

OF_PAGE: Final = ("geometry_effect", "gamma", "geometry_ratio", "entropy", "saturation")
"""Charts of the page. It says what users' rules of thumb are, of γ and the geometry ratio, and
shows these two; any other metric can be chosen there head by head."""
