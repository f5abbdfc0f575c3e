"""The steps of a training loop as they come: which are due, what listens, how each is left."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from igaviz.errors import RecordingError
from igaviz.format import DEFAULT_PHASE, PHASES, PROBE_PHASE
from igaviz.record import active
from igaviz.record.attach import Layers
from igaviz.record.capture import Moment
from igaviz.record.compiled import eager_stance
from igaviz.record.open_step import OpenStep
from igaviz.record.per_item import PerItem
from igaviz.record.probe import Probe, beside_training
from igaviz.record.provenance import is_distributed
from igaviz.record.recording import Recording
from igaviz.record.schedule import Schedule
from igaviz.record.settings import Settings, format_number


class Steps:
    """The steps of one recording; `open` are those that are due and not yet left.

    `kinds` says whether maps, and scalars, are ever due.
    """

    def __init__(
        self,
        settings: Settings,
        schedules: tuple[Schedule, Schedule],
        kinds: tuple[bool, bool],
        layers: Layers,
        recording: Recording,
    ) -> None:
        self._settings = settings
        self._maps_due, self._scalars_due = schedules
        self._kinds = kinds
        self._layers = layers
        self._recording = recording
        self.open: list[OpenStep] = []
        self._entered: set[tuple[int, str]] = set()
        self._inside: list[ExitStack] = []
        self._closed = False
        self._expects_more = False

    def close(self, *, expects_more: bool = False) -> None:
        """Drop what is open, and leave every step. None is due from here on.

        The first that comes all the same is said, unless `expects_more`.
        """
        self._closed = True
        self._expects_more |= expects_more
        for opened in [*self.open]:
            self._drop(opened)
        for inside in [*self._inside]:
            inside.close()

    def begin(
        self,
        step: int,
        *,
        phase: str = DEFAULT_PHASE,
        epoch: float | None = None,
        per_item: PerItem,
        always: bool = False,
    ) -> tuple[bool, OpenStep | None]:
        """Whether the step is due, and what listens to its taps where this process records it.

        For what can't wrap a step in `with recorder.step(…)`; `finish` must follow.
        """
        due, opened = False, None
        if self._closed:
            if not self._expects_more:
                self._recording.tally.warn_once(
                    "closed",
                    "step %s comes after the recorder was closed and is not recorded, nor is any "
                    "other: close it when training has ended, or make a new one",
                    step,
                )
            return due, opened
        with self._recording.guard(step):
            self._recording.start()
        # Where that failed on this rank, the step is due still, as on all others.
        with self._recording.guard(step):
            step = format_number("step", step)
            phase = _known_phase(phase)
            epoch = None if epoch is None else _epoch_number(epoch)
            maps, scalars = self._what_is_due(step, phase, always=always)
            due = maps or scalars
            if due and self._recording.live:
                moment = Moment(step, phase, epoch, time.time())
                opened = OpenStep(
                    moment,
                    self._settings,
                    self._layers,
                    self._recording,
                    per_item,
                    maps=maps,
                    scalars=scalars,
                )
                self._listen(opened)
        return due, opened

    def _listen(self, opened: OpenStep) -> None:
        self.open.append(opened)
        try:
            opened.listen()
        except BaseException:
            # Ctrl-C comes at any time: nothing of ours may stay in the model.
            self._drop(opened)
            raise

    def finish(self, opened: OpenStep, *, quiet: bool = False) -> None:
        """Write what `opened` has seen; `quiet` where training failed itself and must be heard."""
        self._leave(opened)
        if self._recording.live and (opened.seen or not quiet):
            with self._recording.guard(opened.moment.step, quiet=quiet):
                opened.finish(interrupted=quiet)
        opened.drop()
        if self._settings.strict:
            self._recording.flush(quiet=quiet)

    def _leave(self, opened: OpenStep) -> None:
        opened.leave()
        if opened in self.open:
            self.open.remove(opened)

    def _drop(self, opened: OpenStep) -> None:
        self._leave(opened)
        opened.drop()

    def run_probe(self, step: int, epoch: float | None, probe: Probe) -> None:
        """Record the probe's forward. One that fails leaves nothing, and costs nothing else.

        On every rank, or a sharded model's ranks would wait; after a failure too.
        """
        per_item = PerItem(**probe.about)
        _, opened = self.begin(step, phase=PROBE_PHASE, epoch=epoch, per_item=per_item)
        if opened is None and not is_distributed():
            return
        try:
            with active.inside_step(), eager_stance(), beside_training(self._layers.roots):
                probe.run()
        except Exception as error:
            recording_failed = opened is not None and not self._recording.live
            if opened is not None:
                self._drop(opened)
            if not recording_failed:
                self._recording.tally.probe_failed(error, probe.call, step)
            elif self._settings.strict:
                raise
            return
        except BaseException:
            if opened is not None:
                self._drop(opened)
            raise
        if opened is not None:
            self.finish(opened)

    @contextmanager
    def within(self, *, eager: bool) -> Iterator[None]:
        """This process is inside a step, until `close` at the latest."""
        with ExitStack() as inside:
            inside.enter_context(active.inside_step())
            if eager:
                inside.enter_context(eager_stance())
            self._inside.append(inside)
            inside.callback(self._inside.remove, inside)
            yield

    @contextmanager
    def finishing(self, opened: OpenStep | None) -> Iterator[None]:
        """A context that writes what `opened` has seen, unless Ctrl-C or the like ends it."""
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

    def _what_is_due(self, step: int, phase: str, *, always: bool) -> tuple[bool, bool]:
        """Whether full maps are due, and whether scalars are: equal on all ranks."""
        maps, scalars = self._kinds if always else (self._maps_due(step), self._scalars_due(step))
        if maps or scalars:
            if (step, phase) in self._entered:
                return False, False
            self._entered.add((step, phase))
        return maps, scalars


def _epoch_number(epoch: float) -> int:
    """The epoch that a step is in: some loops count parts of one, 1.25."""
    part = isinstance(epoch, float) and math.isfinite(epoch)
    return format_number("epoch", math.floor(epoch) if part else epoch)


def _known_phase(phase: str) -> str:
    """The phase as the format names it: it may come as numpy's string, or in an enumeration."""
    if phase not in PHASES:
        raise RecordingError(f"no phase {phase!r}", hint=f"one of {', '.join(PHASES)}")
    return PHASES[PHASES.index(phase)]
