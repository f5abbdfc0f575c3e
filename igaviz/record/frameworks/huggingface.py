"""A callback for the Trainer of Hugging Face's transformers."""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from igaviz.record.frameworks.door import StepDoor
from igaviz.record.recorder import Recorder


class RecorderCallback(TrainerCallback):  # type: ignore[misc,unused-ignore]
    """Records the steps of a Trainer by `state.global_step`.

    That is the number of optimiser steps done before: 0 for the first, and where a checkpoint left
    off for a resumed training. Of the batches that make one step together the first is recorded.
    `module` is what `attach` is given, the Trainer's model where None. A Trainer shows its
    callbacks no batch: call `recorder.describe(…)` in `compute_loss` for what the step knows of
    its items. Give it on every rank. The recorder stays the caller's to close.

    A Trainer tells its callbacks nothing of an exception that ends training. What a due step had
    in the model then is taken out by `recorder.close()`, or at the next training's begin.
    """

    def __init__(self, recorder: Recorder, *, module: nn.Module | None = None) -> None:
        self._door = StepDoor(recorder)
        self._module = module

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        **others: Any,  # noqa: ANN401 (all that a Trainer holds)
    ) -> None:
        """Attach the model."""
        self._door.leave(GeneratorExit())
        attached = model if self._module is None else self._module
        if attached is not None:
            self._door.recorder.attach(attached)

    def on_step_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **others: Any,  # noqa: ANN401
    ) -> None:
        """Enter the step."""
        self._door.enter(state.global_step)

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        optimizer: Any = None,  # noqa: ANN401
        **others: Any,  # noqa: ANN401
    ) -> None:
        """Note the learning rate, and leave the step."""
        if optimizer is not None:
            self._door.recorder.note(learning_rate=optimizer.param_groups[0]["lr"])
        self._door.leave()

    def on_train_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **others: Any,  # noqa: ANN401
    ) -> None:
        """Wait until all is on disk."""
        self._door.leave()
        self._door.recorder.flush()
