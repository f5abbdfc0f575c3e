"""One recording of one process: it ends at the first failure, and never takes training along."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

from igaviz.errors import OutputError, RecordingError, named
from igaviz.record.background import Background
from igaviz.record.capture import MapCapture
from igaviz.record.host import HostCopy
from igaviz.record.provenance import rank_and_world_size
from igaviz.record.scalars import ScalarCapture, as_dictionary
from igaviz.record.settings import Settings
from igaviz.record.tally import Tally
from igaviz.record.trigger import fired
from igaviz.record.writer import Writer

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class SeenStep:
    """All that was seen of one step, on its way to the files."""

    step: int
    maps: MapCapture | None
    maps_due: bool
    scalars: ScalarCapture | None
    numbers: Mapping[str, HostCopy | float]
    gamma_gradients: Mapping[int, HostCopy]
    triggered: bool = False
    _lines: list[dict[str, Any]] | None = None
    _measuring: threading.Lock = field(default_factory=threading.Lock)

    def lines(self, attempt: int) -> list[dict[str, Any]]:
        """Its lines of scalars, made by the thread that asks first; waits for the device only."""
        with self._measuring:
            if self._lines is None:
                numbers, gradients = _values(self.numbers), _values(self.gamma_gradients)
                scalars = self.scalars
                self._lines = scalars.finish(attempt, numbers, gradients) if scalars else []
            return self._lines


class Recording:
    """What stands between a recorder and its files: `guard` around all that can fail.

    The files belong to a thread of their own. What is public here is for the training thread.
    """

    def __init__(self, folder: Path, settings: Settings, described: Mapping[str, Any]) -> None:
        self._folder = folder
        self._settings = settings
        self._described = described
        self._background = Background(settings.queue_bytes)
        self._writer: Writer | None = None
        self._started = False
        self._ended = False
        self._failed = False
        self._writable = True
        self._lock = threading.Lock()
        self._failure: Exception | None = None
        self._process: int | None = None
        self._at_exit: Finalize | None = None
        self.tally = Tally(settings)
        self._unread: list[SeenStep] = []
        atexit.register(self.close, quiet=True)

    @property
    def live(self) -> bool:
        """Whether this process records: a chosen rank, before any failure, not a forked child."""
        return self._writer is not None and not self._ended and not self._forked

    @property
    def _forked(self) -> bool:
        """Whether this is a child of the process that records, without its thread."""
        return self._process not in (None, os.getpid())

    @contextmanager
    def guard(self, step: int | None = None, *, quiet: bool = False) -> Iterator[None]:
        """Ends the recording at an exception inside; raises it only where it is strict.

        `quiet` raises in no case: for work done while training's own exception is on its way, and
        for that of another thread.
        """
        try:
            yield
        except Exception as error:
            if self._forked:
                return
            with self._lock:
                first = not self._failed
                self._failed = self._ended = True
            if not first:
                return
            self._fail(error, step)
            if self._settings.strict and not quiet:
                self._failure = None
                raise _as_recording_error(error) from error.__cause__

    def start(self) -> None:
        """Find this process's rank, and make the folder ready where it writes; once.

        The process that does this is the one that records, whichever made the recorder.
        """
        if self._started:
            return
        self._started = True
        self._process = os.getpid()
        # A process that multiprocessing forked ends without atexit; any other would call this too
        # late, when h5py has taken itself down.
        self._at_exit = Finalize(None, self.close, kwargs={"quiet": True}, exitpriority=0)
        rank, world_size = rank_and_world_size()
        if self._settings.records_rank(rank):
            self._writer = Writer(
                self._folder,
                rank=rank,
                world_size=world_size,
                length_unit=self._settings.length_unit,
                max_bytes=self._settings.max_bytes,
                settings=self._described,
            )
            if self._writer.attempt:
                self.tally.warn_once(
                    "attempt",
                    "%s holds a recording already: this is attempt %d; what was recorded there at "
                    "or after its first step is read no more (a new folder keeps both)",
                    self._folder,
                    self._writer.attempt,
                )

    def hold(self, n_bytes: int) -> bool:
        """Whether `n_bytes` more may be held in memory; may wait for them."""
        return self._background.hold(n_bytes, wait=self._settings.when_full == "wait")

    def release(self, n_bytes: int) -> None:
        """Give back bytes of a step that is not written."""
        if n_bytes and not self._forked:
            self._background.release(n_bytes)

    def write(self, seen: SeenStep, held: int) -> None:
        """Have a step written by the other thread, which then releases what it `held`."""
        if seen.scalars is not None:
            if seen.scalars.keep:
                self._unread = [other for other in self._unread if other.step == seen.step]
                self._unread.append(seen)
            self._background.submit(partial(self._write_scalars, seen))
        self._background.submit(partial(self._write_maps, seen), held)

    def flush(self, *, quiet: bool = False) -> None:
        """Wait until all that was recorded is on disk. Raises what went wrong, where strict."""
        if self._forked:
            return
        self._background.flush()
        failure, self._failure = self._failure, None
        if failure is not None and self._settings.strict and not quiet:
            raise _as_recording_error(failure)

    def scalars(self) -> dict[str, float]:
        """The numbers of the last scalar step, of all its phases, given once."""
        unread, self._unread = self._unread, []
        found: dict[str, float] = {}
        for seen in unread:
            with self.guard(seen.step):
                if self._writer is not None and not self._forked:
                    found |= as_dictionary(seen.lines(self._writer.attempt))
        return found

    def close(self, *, quiet: bool = False) -> None:
        """End the recording: all of it is on disk, and the run file says so. Raises as `flush`."""
        if self._forked:
            return
        if self.live:
            self._background.submit(self._write_end)
        self._ended = True
        self._background.stop()
        # Not before: where Ctrl-C ends the waiting, the process's exit waits again.
        atexit.unregister(self.close)
        if self._at_exit is not None:
            self._at_exit.cancel()
        self.flush(quiet=quiet)

    # What follows is done by the other thread.

    @contextmanager
    def _writing(self, step: int) -> Iterator[None]:
        """A `guard` that also keeps what waits behind a failure from being written."""
        with self.guard(step, quiet=True):
            try:
                yield
            except Exception:
                self._writable = False
                raise

    def _write_scalars(self, seen: SeenStep) -> None:
        with self._writing(seen.step):
            if self._writer is None or not self._writable:
                return
            lines = seen.lines(self._writer.attempt)
            trigger = self._settings.trigger
            seen.triggered = trigger is not None and any(fired(trigger, line) for line in lines)
            if lines and not self._writer.append_scalars(lines):
                self._end_full(seen.step)

    def _write_maps(self, seen: SeenStep) -> None:
        try:
            with self._writing(seen.step):
                self._write_due_maps(seen)
        finally:
            # What it held in memory is counted no more from here on.
            if seen.maps is not None:
                seen.maps.let_go()

    def _write_due_maps(self, seen: SeenStep) -> None:
        if seen.maps is None or self._writer is None or not self._writable:
            return
        if not (seen.maps_due or seen.triggered):
            return
        if seen.maps.dropped:
            self.tally.count_dropped(seen.step)
            return
        record = seen.maps.record(_values(seen.numbers), _values(seen.gamma_gradients))
        if record is None:
            return
        self.tally.warn_of_padding(record)
        if self._writer.write_step(record):
            self.tally.recorded_steps += 1
        else:
            self._end_full(seen.step)

    def _write_end(self) -> None:
        if self._writer is None or not self._writable:
            return
        try:
            self._writer.close(**self.tally.counts())
        except OutputError as error:
            self._failure = error
            _log.error("igaviz: the run file can't say that recording ended: %s", error)

    def _end_full(self, step: int) -> None:
        """End the recording in good order: the writer has no more room."""
        with self._lock:
            self._ended = True
        self._writable = False
        if self._writer is not None:
            reason = self._writer.full
            _log.warning("igaviz: recording ends at step %d: %s", step, reason)
            self._writer.note(off={"step": step, "reason": reason}, **self.tally.counts())

    def _fail(self, error: Exception, step: int | None) -> None:
        """End the recording because of `error`: the log and the run file say why. Any thread."""
        _log.error("igaviz: recording failed and is off from here on", exc_info=error)
        self._failure = error
        reason = named(error)
        stack = "".join(traceback.format_exception(error))
        off = {"step": step, "reason": reason, "traceback": stack}
        self._background.submit(partial(self._write_failure, off))

    def _write_failure(self, off: Mapping[str, Any]) -> None:
        self._writable = False
        if self._writer is None:
            return
        try:
            self._writer.note(off=off, **self.tally.counts())
        except OutputError as second:
            _log.error("igaviz: the run file can't say so: %s", second)


def _values(copies: Mapping[Any, HostCopy | float]) -> dict[Any, float]:
    return {
        name: float(copy.array()) if isinstance(copy, HostCopy) else copy
        for name, copy in copies.items()
    }


def _as_recording_error(error: Exception) -> RecordingError:
    if isinstance(error, RecordingError):
        return error
    wrapped = RecordingError(f"recording failed: {named(error)}")
    wrapped.__cause__ = error
    return wrapped
