"""Counting the optimiser's steps in a loop of Hugging Face's Accelerate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from igaviz.format import DEFAULT_PHASE
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
    def step(
        self,
        *,
        phase: str = DEFAULT_PHASE,
        **about: Any,  # noqa: ANN401 (what Recorder.step takes)
    ) -> Iterator[None]:
        """A context for forward and backward of one batch, in `accelerator.accumulate(model)`.

        `about` is what `Recorder.step` takes beside the number. Of the batches that make one step
        together the first is recorded. Only batches of training count, and none that raises.
        """
        with self._recorder.step(self.number, phase=phase, **about):
            yield
        # It says whether the batch that has just ended is the last of its optimiser step.
        if phase == DEFAULT_PHASE and self._accelerator.sync_gradients:
            self.number += 1
