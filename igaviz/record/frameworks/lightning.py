"""A callback for Lightning's Trainer, of `lightning` and of `pytorch_lightning`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from igaviz.record.frameworks.door import Describe, StepDoor
from igaviz.record.recorder import Recorder

if TYPE_CHECKING:
    from lightning.pytorch import Callback, LightningModule, Trainer
else:
    # Both packages are the same code under two names; their trainers ask for methods, not classes.
    only_old = "pytorch_lightning" in sys.modules and "lightning" not in sys.modules
    try:
        Callback = import_module("pytorch_lightning" if only_old else "lightning.pytorch").Callback
    except ModuleNotFoundError:
        Callback = import_module("pytorch_lightning").Callback


class RecorderCallback(Callback):
    """Records the training batches of a fit, as steps by `trainer.global_step`.

    That is the number of optimiser steps done before the batch: 0 for the first. Of the batches
    that make one step together (`accumulate_grad_batches`) the first is recorded. `module` is what
    `attach` is given, the LightningModule where None. With `validation` the first batch of each
    validation run is recorded as phase `val`. `describe` makes what the step knows of its items
    from a batch. Give it on every rank. The recorder stays the caller's to close.
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
        """Attach the model."""
        self._door.recorder.attach(pl_module if self._module is None else self._module)

    def on_train_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,  # noqa: ANN401 (whatever the loader gives)
        batch_idx: int,
    ) -> None:
        """Enter the step."""
        self._door.enter(trainer.global_step, batch, epoch=trainer.current_epoch)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Tensor | Mapping[str, Any] | None,
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        """Note the loss and the learning rate, and leave the step."""
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        numbers = {} if loss is None else {"loss": loss}
        for optimiser in trainer.optimizers[:1]:
            numbers["learning_rate"] = optimiser.param_groups[0]["lr"]
        self._door.recorder.note(**numbers)
        self._door.leave()

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
            self._door.enter(trainer.global_step, batch, phase="val", epoch=trainer.current_epoch)

    def on_validation_batch_end(self, *arguments: Any, **keywords: Any) -> None:  # noqa: ANN401
        """Leave the step."""
        self._door.leave()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Wait until all is on disk."""
        self._door.recorder.flush()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Leave the step as the exception would have, and nothing behind in the model."""
        self._door.leave(exception)
