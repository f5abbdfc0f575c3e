"""The recorder: the doors that a training loop uses."""

from __future__ import annotations

import inspect
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NoReturn, Self

from torch import Tensor, nn

from igaviz.errors import RecordingError
from igaviz.format import DEFAULT_PHASE
from igaviz.record.attach import Layers
from igaviz.record.config import recorder_arguments
from igaviz.record.families import Family
from igaviz.record.per_item import Arrays, PerItem
from igaviz.record.probe import Probe, make_probe
from igaviz.record.recording import Recording
from igaviz.record.schedule import Interval, describe, make_schedules
from igaviz.record.settings import (
    DEFAULT_STORE,
    NOT_GIVEN,
    AttentionDtype,
    LengthUnit,
    WhenFull,
    make_settings,
    positions,
)
from igaviz.record.steps import Steps
from igaviz.record.trigger import Trigger

_ABOUT_ITEMS = {field.name for field in fields(PerItem)}
"""What `step` and `probe` take of the items of a batch."""


class Recorder:
    """Records attention into the folder `dir` while a model trains.

    `length_unit`, which must be given, is the unit of the coordinates that the layers receive. Full
    maps are written at the steps of `interval` (every k; `{0: 50, 5000: 500}`; a function of the
    step) and of `at`, per-head numbers every `scalars_interval` steps. `layers`, `heads` and
    `items` (a number, or positions in the batch) choose what goes into the maps; an item of more
    than `max_residues` is skipped and counted; at `max_bytes` in the folder recording ends. `ranks`
    says which ranks write: one, several, or "all". `store` names the maps to keep,
    `attention_dtype` the type of the weights on disk. `echo` prints the classic line of each layer
    at due steps. `trigger` (metric → level, or a function of a layer's line of scalars) writes full
    maps of a scalar step whose numbers ask for it. What waits to be written holds `queue_bytes` of
    memory at most; a step that finds no room is dropped and counted, or waited with, as `when_full`
    says.

    Wrong arguments raise `RecordingError` at once. From the first `step` on nothing is raised: the
    first failure is logged with its stack, noted in `run.json`, and ends the recording. With
    `strict` it raises `RecordingError`.
    """

    def __init__(
        self,
        dir: str | os.PathLike[str],
        *,
        length_unit: LengthUnit = NOT_GIVEN,
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
        trigger: Trigger | None = None,
        queue_bytes: int = 4 << 30,
        when_full: WhenFull = "drop",
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
            trigger=trigger,
            queue_bytes=queue_bytes,
            when_full=when_full,
        )
        named = positions("at", at, least=0)
        schedules = make_schedules(interval, named, scalars_interval)
        # Path.is_file raises where a parent folder may not be searched.
        if os.path.isfile(dir):  # noqa: PTH113
            raise RecordingError(f"{dir} is a file, not a folder to record into")
        described = {
            **self._settings.as_json(),
            "interval": describe(interval),
            "at": [*named],
        }
        self._recording = Recording(Path(dir), self._settings, described)
        self._layers = Layers()
        kinds = (interval is not None or bool(named), scalars_interval is not None)
        self.steps = Steps(self._settings, schedules, kinds, self._layers, self._recording)
        self._probe: Probe | None = None

    @classmethod
    def from_config(
        cls,
        mapping_or_path: Mapping[str, Any] | str | os.PathLike[str],
        *,
        length_unit: LengthUnit = NOT_GIVEN,
    ) -> Self:
        """A recorder as a mapping or a YAML file asks for it; one that is never due if it says so.

        Reads a section `igaviz` that holds arguments of `Recorder`, but for `length_unit`, or else
        the names that users have: `enable_attention_vis`, `attention_vis_interval`,
        `attention_vis_dir`, or `enable_vis`, `vis_interval`, `vis_dir`, in whatever section they
        stand.
        """
        parameters = inspect.signature(cls).parameters.keys() - {"length_unit"}
        enabled, arguments = recorder_arguments(mapping_or_path, parameters)
        recorder = cls(length_unit=length_unit, **arguments)
        if not enabled:
            recorder.steps.close(expects_more=True)
            recorder.close()
        return recorder

    def attach(self, model: nn.Module, *, families: Sequence[Family] = ()) -> dict[str, str]:
        """The layers of `model` that will be recorded: qualified name → how.

        A layer that calls `tap` itself is known by its code, or says so by `taps_itself = True` and
        its `layer_idx`. Others are recognised by their structure as one of the known families, or
        of `families`, and read from outside while a due step is open; they are numbered in the
        order of their first calls.
        What looks like attention and isn't recognised is logged. Raises `RecordingError` where
        nothing is recorded, and for `nn.DataParallel`.
        """
        return self._layers.attach(model, families)

    @property
    def strict(self) -> bool:
        """Whether a failure raises, rather than ends the recording."""
        return self._settings.strict

    def probe(self, batch: Any, **about: Any) -> None:  # noqa: ANN401 (whatever the model takes)
        """Run `batch` as phase `probe` at the end of each due training step from now on.

        `batch` is a function that runs a forward, or what the attached model is called with (a
        mapping: by keywords; a tuple or list: by position). The model is in eval mode, without
        gradients, random numbers are the same each time, and everything is restored. `about` is
        what `step` takes of the batch's items: `names`, `flow_time`, `residue_index`, ….
        """
        _check_about(about)
        self._probe = make_probe(batch, self._layers.roots, about)

    @contextmanager
    def step(
        self,
        step: int,
        *,
        phase: str = DEFAULT_PHASE,
        epoch: float | None = None,
        names: Sequence[str] | None = None,
        flow_time: Arrays | float | None = None,
        ca_reference: Arrays | None = None,
        residue_index: Arrays | None = None,
        chain_index: Arrays | None = None,
        sequence: Sequence[str] | None = None,
        always: bool = False,
    ) -> Iterator[None]:
        """A context: what layers tap inside it is recorded, if the step is due.

        Enter it on every rank, around forward and backward. The values per item (`names`,
        `flow_time`, `ca_reference`, …) are given for the whole batch, padded as the batch is. A
        (step, phase) is recorded once, and of each layer the first forward. With `always` it is due
        whatever the schedule says.
        """
        per_item = PerItem(names, flow_time, ca_reference, residue_index, chain_index, sequence)
        steps = self.steps
        due, opened = steps.begin(step, phase=phase, epoch=epoch, per_item=per_item, always=always)
        if not due:
            with steps.within(eager=False):
                yield
            return
        with steps.finishing(opened), steps.within(eager=True):
            yield
        if phase == DEFAULT_PHASE and self._probe is not None:
            steps.run_probe(step, epoch, self._probe)

    def note(self, **numbers: float | Tensor) -> None:
        """Add numbers (loss, learning_rate) to the step that is open and due.

        A tensor is read, and so waited for, only where the step is due. What is no single number,
        or can't have its name, is left out, and a warning says so once for each name.
        """
        if self.steps.open:
            opened = self.steps.open[-1]
            with self._recording.guard(opened.moment.step):
                opened.note(numbers)

    def describe(self, **about: Any) -> None:  # noqa: ANN401 (each checked as it is used)
        """Tell the step that is open and due of its items, before any layer is called.

        `about` is what `step` takes of them: `names`, `flow_time`, `residue_index`, …. For loops
        that enter a step before they have its batch.
        """
        if self.steps.open:
            opened = self.steps.open[-1]
            with self._recording.guard(opened.moment.step):
                _check_about(about)
                opened.describe(about)

    def scalars(self) -> dict[str, float]:
        """The numbers of the last scalar step, `{"iga/layer3/gamma": 0.81, …}`, given once.

        Averaged over heads (the largest, of extremes); {} where there is nothing new. For what
        logs numbers: `if numbers := recorder.scalars(): wandb.log(numbers, step=step)`.
        """
        return self._recording.scalars()

    def flush(self) -> None:
        """Wait until all that was recorded so far is on disk."""
        self._recording.flush()

    def close(self) -> None:
        """End the recording and say so in `run.json`. No step is due from here on.

        What is recorded so far is on disk when it returns. A step that is still open is dropped,
        and compiled code runs compiled again.
        """
        self._close(quiet=False)

    def _close(self, *, quiet: bool) -> None:
        self.steps.close()
        self._layers.forget()
        self._probe = None
        self._recording.close(quiet=quiet)

    def __getstate__(self) -> NoReturn:
        raise RecordingError(
            "a recorder can't be sent to another process, or copied",
            hint="make it in the process that trains: with spawn, in the function that its ranks "
            "run; with Lightning take strategy='ddp'",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # What stopped training must be heard.
        self._close(quiet=error is not None)


def _check_about(about: Mapping[str, Any]) -> None:
    unknown = sorted(about.keys() - _ABOUT_ITEMS)
    if unknown:
        raise RecordingError(
            f"nothing of a batch's items is called {unknown[0]!r}",
            hint=f"one of {', '.join(sorted(_ABOUT_ITEMS))}",
        )
