"""The recorder: what is due when, and the doors that a training loop uses."""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from torch import Tensor, nn

from igaviz.errors import RecordingError
from igaviz.format import DEFAULT_PHASE, PHASES
from igaviz.record import active
from igaviz.record.attach import Layers
from igaviz.record.capture import Moment
from igaviz.record.compiled import eager_stance
from igaviz.record.config import recorder_arguments
from igaviz.record.open_step import OpenStep
from igaviz.record.per_item import Arrays, PerItem
from igaviz.record.recording import Recording
from igaviz.record.schedule import Interval, describe, make_schedules
from igaviz.record.settings import (
    DEFAULT_STORE,
    AttentionDtype,
    LengthUnit,
    make_settings,
    whole_number,
)


class Recorder:
    """Records attention into the folder `dir` while a model trains.

    `length_unit` is the unit of the coordinates that the layers receive. Full maps are written at
    the steps of `interval` (every k; `{0: 50, 5000: 500}`; a function of the step) and of `at`,
    per-head numbers every `scalars_interval` steps. `layers`, `heads` and `items` (a number, or
    positions in the batch) choose what goes into the maps; an item of more than `max_residues` is
    skipped and counted; at `max_bytes` in the folder recording ends. `ranks` says which ranks
    write: one, several, or "all". `store` names the maps to keep, `attention_dtype` the type of
    the weights on disk. `echo` prints the classic line of each layer at due steps.

    Wrong arguments raise `RecordingError` at once. From the first `step` on nothing is raised: the
    first failure is logged with its stack, noted in `run.json`, and ends the recording. With
    `strict` it raises `RecordingError`.
    """

    def __init__(
        self,
        dir: str | os.PathLike[str],
        *,
        length_unit: LengthUnit,
        interval: Interval | None = None,
        at: Collection[int] = (),
        layers: Collection[int] | None = None,
        heads: Collection[int] | None = None,
        items: int | Collection[int] = 4,
        max_residues: int | None = None,
        max_bytes: int | None = None,
        ranks: int | Collection[int] | Literal["all"] = 0,
        store: Collection[str] = DEFAULT_STORE,
        attention_dtype: AttentionDtype = "float16",
        echo: bool = False,
        strict: bool = False,
        scalars_interval: int | None = None,
    ) -> None:
        self._settings = make_settings(
            length_unit=length_unit,
            layers=layers,
            heads=heads,
            items=items,
            max_residues=max_residues,
            max_bytes=max_bytes,
            ranks=ranks,
            store=store,
            attention_dtype=attention_dtype,
            echo=echo,
            strict=strict,
            scalars_interval=scalars_interval,
        )
        self._maps_due, self._scalars_due = make_schedules(interval, at, scalars_interval)
        # Path.is_file raises where a parent folder may not be searched.
        if os.path.isfile(dir):  # noqa: PTH113
            raise RecordingError(f"{dir} is a file, not a folder to record into")
        described = {**self._settings.as_json(), "interval": describe(interval), "at": [*at]}
        self._recording = Recording(Path(dir), self._settings, described)
        self._layers = Layers()
        self._entered: set[tuple[int, str]] = set()
        self._open: list[OpenStep] = []
        self._closed = False

    @classmethod
    def from_config(
        cls,
        mapping_or_path: Mapping[str, Any] | str | os.PathLike[str],
        *,
        length_unit: LengthUnit,
    ) -> Self:
        """A recorder as a mapping or a YAML file asks for it; one that is never due if it says so.

        Reads a section `igaviz` that holds arguments of `Recorder`, or else the names that users
        have: `enable_attention_vis`, `attention_vis_interval`, `attention_vis_dir`, or
        `enable_vis`, `vis_interval`, `vis_dir`, in whatever section they stand.
        """
        parameters = inspect.signature(cls).parameters.keys() - {"length_unit"}
        enabled, arguments = recorder_arguments(mapping_or_path, parameters)
        recorder = cls(length_unit=length_unit, **arguments)
        if not enabled:
            recorder.close()
        return recorder

    def attach(self, model: nn.Module) -> dict[int, str]:
        """The layers of `model` that will be recorded, number → qualified name.

        A layer that calls `tap` itself says so by `taps_itself = True` and its `layer_idx`. Raises
        `RecordingError` where the model holds none.
        """
        return self._layers.attach(model)

    @contextmanager
    def step(
        self,
        step: int,
        *,
        phase: str = DEFAULT_PHASE,
        epoch: int | None = None,
        names: Sequence[str] | None = None,
        flow_time: Arrays | float | None = None,
        ca_reference: Arrays | None = None,
        residue_index: Arrays | None = None,
        chain_index: Arrays | None = None,
        sequence: Sequence[str] | None = None,
    ) -> Iterator[None]:
        """A context: what layers tap inside it is recorded, if the step is due.

        Enter it on every rank, around forward and backward. The values per item (`names`,
        `flow_time`, `ca_reference`, …) are given for the whole batch, padded as the batch is. A
        (step, phase) is recorded once, and of each layer the first forward.
        """
        per_item = PerItem(names, flow_time, ca_reference, residue_index, chain_index, sequence)
        due, opened = self.begin(step, phase=phase, epoch=epoch, per_item=per_item)
        stance = eager_stance if due else nullcontext
        with active.inside_step(), self._finishing(opened), stance():
            yield

    def note(self, **numbers: float | Tensor) -> None:
        """Nothing; adds numbers (loss, learning_rate) to the step that is open and due.

        A tensor is read, and so waited for, only where the step is due.
        """
        if self._open:
            opened = self._open[-1]
            with self._recording.guard(opened.moment.step):
                opened.note(numbers)

    def close(self) -> None:
        """Nothing; ends the recording and says so in `run.json`. No step is due from here on."""
        self._closed = True
        self._recording.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def begin(
        self,
        step: int,
        *,
        phase: str = DEFAULT_PHASE,
        epoch: int | None = None,
        per_item: PerItem,
    ) -> tuple[bool, OpenStep | None]:
        """Whether the step is due, and what listens to its taps where this process records it.

        For what can't wrap a step in `with recorder.step(…)`; `finish` must follow.
        """
        due, opened = False, None
        if self._closed:
            return due, opened
        with self._recording.guard(step):
            self._recording.start()
            maps, scalars = self._what_is_due(step, phase)
            due = maps or scalars
            if due and self._recording.live:
                moment = Moment(int(step), phase, epoch, time.time(), per_item)
                opened = OpenStep(
                    moment,
                    self._settings,
                    self._layers,
                    self._recording,
                    maps=maps,
                    scalars=scalars,
                )
                self._open.append(opened)
                active.listen(opened)
        return due, opened

    def finish(self, opened: OpenStep, *, quiet: bool = False) -> None:
        """Write what `opened` has seen; `quiet` where training failed itself and must be heard."""
        self._drop(opened)
        if self._recording.live and (opened.seen or not quiet):
            with self._recording.guard(opened.moment.step, quiet=quiet):
                opened.finish()

    def _drop(self, opened: OpenStep) -> None:
        active.dismiss(opened)
        self._open.remove(opened)

    @contextmanager
    def _finishing(self, opened: OpenStep | None) -> Iterator[None]:
        if opened is None:
            yield
            return
        try:
            yield
        except Exception:
            # What was seen before training failed may be what explains it.
            self.finish(opened, quiet=True)
            raise
        except BaseException:
            self._drop(opened)
            raise
        self.finish(opened)

    def _what_is_due(self, step: int, phase: str) -> tuple[bool, bool]:
        """Whether full maps are due, and whether scalars are: equal on all ranks."""
        step = whole_number("step", step, least=0)
        if phase not in PHASES:
            raise RecordingError(f"no phase {phase!r}", hint=f"one of {', '.join(PHASES)}")
        maps, scalars = self._maps_due(step), self._scalars_due(step)
        if maps or scalars:
            if (step, phase) in self._entered:
                return False, False
            self._entered.add((step, phase))
        return maps, scalars
