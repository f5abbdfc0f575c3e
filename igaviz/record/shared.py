"""Layers that switch recording on themselves (`enable_vis`) share one recorder per folder."""

from __future__ import annotations

import atexit
import logging
import os
from pathlib import Path

import torch

from igaviz.record import active
from igaviz.record.open_step import OpenStep
from igaviz.record.per_item import PerItem
from igaviz.record.recorder import Recorder

_log = logging.getLogger(__name__)
_NOTHING_PER_ITEM = PerItem()


class _Shared:
    """The recorder of one folder, and the steps that its layers count."""

    def __init__(self, folder: Path, interval: int) -> None:
        self.recorder = Recorder(folder, interval=interval, length_unit="nanometer")
        self.interval = interval
        self._steps = 0
        self._lowest: int | None = None
        self._opened: OpenStep | None = None
        atexit.register(self.close)

    def count(self, layer: int) -> None:
        """Begin the next step where `layer` is the lowest of those that were ever called."""
        if self._lowest is None or layer == self._lowest:
            self.end_step()
            _, self._opened = self.recorder.steps.begin(self._steps, per_item=_NOTHING_PER_ITEM)
            self._steps += 1
        self._lowest = layer if self._lowest is None else min(layer, self._lowest)

    def end_step(self) -> None:
        """Write the step that is open, if any is."""
        if self._opened is not None:
            self.recorder.steps.finish(self._opened)
            self._opened = None

    def close(self) -> None:
        self.end_step()
        self.recorder.close()


_shared: dict[Path, _Shared] = {}


def shared_recorder(folder: str | os.PathLike[str], *, interval: int) -> Recorder:
    """The recorder of `folder` that the layers of this process share; coordinates in nanometres.

    For a layer's constructor: raises `RecordingError` for wrong arguments. With another interval
    than before, a new recorder takes the place of the old one, as a new attempt.
    """
    return _get(folder, interval, replace=True).recorder


def count_forward(
    folder: str | os.PathLike[str], *, interval: int, layer: int, training: bool
) -> None:
    """For the beginning of a layer's forward, so that its taps have a step to go to.

    Within `recorder.step(…)` of any recorder that step is theirs, and this does nothing. Without
    one, each training forward of the layer with the lowest number begins a step, counted from 0,
    which is written when the next one begins, at an evaluating forward, or at exit.
    """
    if torch.compiler.is_compiling() or active.in_backward():
        return
    shared = _get(folder, interval, replace=False)
    if active.steps_entered or not training:
        shared.end_step()
    else:
        shared.count(layer)


def _get(folder: str | os.PathLike[str], interval: int, *, replace: bool) -> _Shared:
    path = Path(folder).absolute()
    shared = _shared.get(path)
    if shared is None or (replace and shared.interval != interval):
        fresh = _Shared(path, interval)
        if shared is not None:
            _log.warning(
                "igaviz: %s is recorded every %d steps from now on, no longer every %d",
                path,
                interval,
                shared.interval,
            )
            shared.close()
            atexit.unregister(shared.close)
        shared = _shared[path] = fresh
    return shared
