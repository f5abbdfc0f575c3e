"""A due step while it is open: it listens to taps and keeps what each layer gave first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from igaviz.dump.write import ATTRIBUTES_OF_A_STEP
from igaviz.errors import RecordingError
from igaviz.format import MAP_TERMS
from igaviz.record.active import TapCall
from igaviz.record.attach import Layers
from igaviz.record.batch import BatchItems
from igaviz.record.capture import MapCapture, Moment
from igaviz.record.recording import Recording
from igaviz.record.scalars import ScalarCapture
from igaviz.record.settings import Settings
from igaviz.record.tensors import check_call


class OpenStep:
    """What one due step has seen so far. The first call of each layer counts, later ones don't.

    `maps` says whether full maps are due, `scalars` whether per-head numbers are.
    """

    def __init__(
        self,
        moment: Moment,
        settings: Settings,
        layers: Layers,
        recording: Recording,
        *,
        maps: bool,
        scalars: bool,
    ) -> None:
        self.moment = moment
        self._layers = layers
        self._recording = recording
        self._batch = BatchItems(moment.per_item)
        self._maps = MapCapture(moment, settings) if maps else None
        echo = maps and settings.echo
        self._scalars = (
            ScalarCapture(moment, settings, keep=scalars, echo=echo) if scalars or echo else None
        )
        self.seen: set[int] = set()
        self._numbers: dict[str, float] = {}

    def take(self, call: TapCall) -> None:
        """Keep what is due of one layer, where it is the layer's first call in this step."""
        if not self._recording.live:
            return
        with self._recording.guard(self.moment.step):
            name = self._layers.name(call)
            if name.number in self.seen:
                return
            self.seen.add(name.number)
            sizes = check_call(call)
            with _outside_of_training(call):
                items = self._batch.of(call, sizes)
                if self._maps is not None:
                    self._maps.take(call, sizes, name, items)
                if self._scalars is not None:
                    self._scalars.take(call, sizes, name, items)

    def note(self, numbers: Mapping[str, float | Tensor]) -> None:
        """Add numbers of the step."""
        taken = sorted({*numbers} & {*ATTRIBUTES_OF_A_STEP})
        if taken:
            raise RecordingError(f"note: {taken[0]!r} is a name that every step has already")
        for name, number in numbers.items():
            self._numbers[name] = float(number.detach() if isinstance(number, Tensor) else number)

    def finish(self) -> None:
        """Write what was seen."""
        step = self.moment.step
        if not self.seen:
            self._recording.count_empty(step)
            return
        record = None
        if self._maps is not None:
            self._recording.count_skipped(self._maps.skipped, step)
            record = self._maps.record(self._numbers)
        lines = [] if self._scalars is None else self._scalars.lines(self._recording.attempt)
        self._recording.write(record, lines, step)


@contextmanager
def _outside_of_training(call: TapCall) -> Iterator[None]:
    """No gradients, and no autocast that would round what is computed here."""
    tensor = next(value for term in MAP_TERMS if (value := getattr(call, term)) is not None)
    with torch.no_grad(), torch.autocast(tensor.device.type, enabled=False):
        yield
