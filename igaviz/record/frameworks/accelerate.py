"""Counting the optimiser's steps in a loop of Hugging Face's Accelerate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from igaviz.record.recorder import Recorder

if TYPE_CHECKING:
    from accelerate import Accelerator


class AcceleratorSteps:
    """The steps of a loop that accumulates gradients: `number` is the optimiser's next, from 0.

    `first` is the number to go on from in a resumed training. Make it on every process, as the
    recorder.
    """

    def __init__(self, recorder: Recorder, accelerator: Accelerator, *, first: int = 0) -> None:
        self._recorder = recorder
        self._accelerator = accelerator
        self.number = first

    @contextmanager
    def step(self, **about: Any) -> Iterator[None]:  # noqa: ANN401 (what Recorder.step takes)
        """A context for one batch, around `accelerator.accumulate(model)`.

        `about` is what `Recorder.step` takes beside the number. Of the batches that make one step
        together the first is recorded.
        """
        with self._recorder.step(self.number, **about):
            yield
        # It says whether the batch that has just ended was the last of its optimiser step.
        if self._accelerator.sync_gradients:
            self.number += 1
