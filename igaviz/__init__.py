"""See what Invariant Gaussian Attention does: record it in training, draw it, diagnose it."""

from importlib import import_module
from typing import TYPE_CHECKING

from igaviz._version import __version__

if TYPE_CHECKING:
    from igaviz.record import Recorder, tap

__all__ = ["Recorder", "__version__", "tap"]

_HOME = {
    "Recorder": "igaviz.record",
    "tap": "igaviz.record",
}
"""Where each name lives: imported at its first use, so that nobody pays for the other side."""


def __getattr__(name: str) -> object:
    """The public name `name`, imported from where it lives."""
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'igaviz' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
