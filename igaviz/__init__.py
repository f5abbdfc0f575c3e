"""See what Invariant Gaussian Attention does: record it in training, draw it, diagnose it."""

from igaviz._version import __version__

__all__ = ["__version__"]
