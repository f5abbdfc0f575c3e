"""A callback for the Trainer of Hugging Face's transformers."""

from __future__ import annotations

import logging
from typing import Any

from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from igaviz.record.frameworks.door import StepDoor
from igaviz.record.recorder import Recorder

_log = logging.getLogger(__name__)


class RecorderCallback(TrainerCallback):  # type: ignore[misc,unused-ignore]
    """Records the steps of a Trainer by `state.global_step`.

    That is the number of optimiser steps done before: 0 for the first, and where a checkpoint left
    off for a resumed training. Of the batches that make one step together the first is recorded.
    `module` is what `attach` is given, the Trainer's model where None. A Trainer shows its
    callbacks no batch: call `recorder.describe(…)` in `compute_loss` for what the step knows of
    its items. With `validation` the first batch of each evaluation in training is recorded as phase
    `val`, whatever the recorder's interval. Give it on every rank. The recorder stays the caller's
    to close.

    A Trainer tells its callbacks nothing of an exception that ends training. What a due step had
    in the model then is taken out by `recorder.close()`, or at the next training's begin.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        module: nn.Module | None = None,
        validation: bool = False,
    ) -> None:
        self._door = StepDoor(recorder)
        self._module = module
        self._validation = validation
        self._copies = False

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        **others: Any,  # noqa: ANN401 (all that a Trainer holds)
    ) -> None:
        """Attach the model; where nothing of it is recognised, say so."""
        self._door.drop()
        self._copies = args.n_gpu > 1
        if self._copies:
            _log.warning(
                "igaviz: nothing is recorded: on %d GPUs of one process each forward runs in "
                "copies of the model; hint: start it with torchrun, or show it one GPU",
                args.n_gpu,
            )
            return
        attached = model if self._module is None else self._module
        if attached is not None:
            self._door.attach(attached)
        if args.eval_on_start:
            self._enter_validation(state)

    def on_step_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        optimizer: Any = None,  # noqa: ANN401
        **others: Any,  # noqa: ANN401
    ) -> None:
        """Enter the step, and note the learning rate that it is made with."""
        if self._copies:
            return
        self._door.enter(state.global_step, epoch=int(state.epoch or 0))
        if optimizer is not None:
            self._door.recorder.note(learning_rate=optimizer.param_groups[0]["lr"])

    def on_pre_optimizer_step(self, *arguments: Any, **others: Any) -> None:  # noqa: ANN401
        """Leave the step: a probe sees the weights that it saw."""
        self._door.leave()

    def on_substep_end(self, *arguments: Any, **others: Any) -> None:  # noqa: ANN401
        """Leave the step where the optimiser waits for more batches."""
        self._door.leave()

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **others: Any,  # noqa: ANN401
    ) -> None:
        """Enter the evaluation that follows, if one does."""
        self._door.leave()
        if control.should_evaluate:
            self._enter_validation(state)

    on_epoch_end = on_step_end

    def on_prediction_step(self, *arguments: Any, **others: Any) -> None:  # noqa: ANN401
        """Leave the evaluation after its first batch."""
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

    def _enter_validation(self, state: TrainerState) -> None:
        if self._validation and not self._copies:
            epoch = int(state.epoch or 0)
            self._door.enter(state.global_step, phase="val", epoch=epoch, always=True)
