"""A callback for Lightning's Trainer, of `lightning` and of `pytorch_lightning`."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from igaviz.record.frameworks.door import Describe, StepDoor
from igaviz.record.recorder import Recorder
from igaviz.record.tap import recording

if TYPE_CHECKING:
    from lightning.pytorch import Callback, LightningModule, Trainer
else:
    # The same code under two names, with two classes. A trainer asks for its own where it is given
    # one callback and no list: ours is of each that is imported, or else of one that is there.
    _NAMES = ("lightning.pytorch", "pytorch_lightning")
    _here = [name for name in _NAMES if name in sys.modules]
    if not _here:
        _here = [next((n for n in _NAMES if find_spec(n.partition(".")[0])), _NAMES[0])]

    class Callback(*(import_module(name).Callback for name in _here)):
        """Lightning's own."""


class RecorderCallback(Callback):
    """Records the training batches of a fit, as steps by `trainer.global_step`.

    That is the number of optimiser steps done before the batch: 0 for the first. Of the batches
    that make one step together (`accumulate_grad_batches`) the first is recorded. `module` is what
    `attach` is given, the LightningModule where None. With `validation` the first batch of each
    validation run is recorded as phase `val`, whatever the recorder's interval. `describe`
    makes what the step knows of its items from a batch. Give it on every rank. The recorder
    stays the caller's to close.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        module: nn.Module | None = None,
        validation: bool = False,
        describe: Describe | None = None,
    ) -> None:
        super().__init__()
        self._door = StepDoor(recorder, describe)
        self._module = module
        self._validation = validation

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Attach the model; where nothing of it is recognised, say so."""
        self._door.attach(pl_module if self._module is None else self._module)

    def on_train_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,  # noqa: ANN401 (whatever the loader gives)
        batch_idx: int,
    ) -> None:
        """Enter the step, and note the learning rate that it is made with."""
        self._door.enter(trainer.global_step, batch, epoch=trainer.current_epoch)
        for optimiser in trainer.optimizers[:1]:
            self._door.recorder.note(learning_rate=optimiser.param_groups[0]["lr"])

    def on_before_backward(
        self, trainer: Trainer, pl_module: LightningModule, loss: Tensor
    ) -> None:
        """Note the loss as `training_step` returned it; a model with several has none."""
        if recording() and pl_module.automatic_optimization:
            # It comes divided for accumulation, and multiplied by the scale of half precision.
            scaler = getattr(trainer.precision_plugin, "scaler", None)
            scale = 1.0 if scaler is None else scaler.get_scale()
            self._door.recorder.note(loss=loss.detach() * (trainer.accumulate_grad_batches / scale))

    def on_before_optimizer_step(self, *arguments: Any, **keywords: Any) -> None:  # noqa: ANN401
        """Leave the step: a probe sees the weights that it saw."""
        self._door.leave()

    def on_train_batch_end(self, *arguments: Any, **keywords: Any) -> None:  # noqa: ANN401
        """Leave the step where the optimiser waits for more batches."""
        self._door.leave()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Drop the step of a batch that the model's own `on_train_batch_start` skipped."""
        self._door.drop()

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,  # noqa: ANN401
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Enter the step as phase `val`, for the first batch; not in the sanity check."""
        first = batch_idx == 0 and dataloader_idx == 0
        if self._validation and first and not trainer.sanity_checking:
            self._door.enter(
                trainer.global_step,
                batch,
                phase="val",
                epoch=trainer.current_epoch,
                always=True,
            )

    def on_validation_batch_end(self, *arguments: Any, **keywords: Any) -> None:  # noqa: ANN401
        """Leave the step."""
        self._door.leave()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Wait until all is on disk."""
        self._door.recorder.flush()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Leave the step as the exception would have, and nothing of it in the model."""
        self._door.leave(exception)
