"""A step of a recorder that is entered in one callback and left in another."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from torch import nn

from igaviz.errors import RecordingError
from igaviz.record.recorder import Recorder
from igaviz.record.tap import recording

_log = logging.getLogger(__name__)

Describe = Callable[[Any], Mapping[str, Any]]
"""From a batch to what `Recorder.describe` takes: `names`, `flow_time`, `residue_index`, …."""


class StepDoor:
    """At most one step of `recorder` at a time.

    `describe` is asked for each batch of a step that is due; where it fails, that is logged and
    the step is recorded without it.
    """

    def __init__(self, recorder: Recorder, describe: Describe | None = None) -> None:
        self.recorder = recorder
        self._describe = describe
        self._inside = ExitStack()

    def attach(self, model: nn.Module) -> None:
        """Attach `model`; where that fails, say so and let training go on, unless it is strict."""
        try:
            self.recorder.attach(model)
        except RecordingError as error:
            if self.recorder.strict:
                raise
            _log.error(
                "igaviz: nothing of this model is attached: %s; hint: %s; training goes on, and "
                "layers that call tap(...) are recorded",
                error,
                error.hint,
            )

    def enter(self, step: int, batch: Any = None, **about: Any) -> None:  # noqa: ANN401
        """Enter `step`; one that an exception left open before is dropped."""
        self.drop()
        self._inside.enter_context(self.recorder.step(step, **about))
        if self._describe is not None and recording():
            try:
                self.recorder.describe(**self._describe(batch))
            except Exception:
                _log.exception("igaviz: describe failed; step %d is recorded without it", step)

    def drop(self) -> None:
        """Leave a step that nothing is to be kept of, if any was entered."""
        self.leave(GeneratorExit())

    def leave(self, error: BaseException | None = None) -> None:
        """Leave the step that was entered, if any; with the exception that ended it."""
        inside = self._inside.pop_all()
        kind = None if error is None else type(error)
        inside.__exit__(kind, error, None if error is None else error.__traceback__)
