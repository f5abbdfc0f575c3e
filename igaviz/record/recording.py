"""One recording of one process: it ends at the first failure, and never takes training along."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from igaviz.dump.write import StepRecord
from igaviz.errors import OutputError, RecordingError
from igaviz.record.provenance import rank_and_world_size
from igaviz.record.settings import Settings
from igaviz.record.writer import Writer

_log = logging.getLogger(__name__)


class Recording:
    """What stands between a recorder and its files: `guard` around all that can fail."""

    def __init__(self, folder: Path, settings: Settings, described: Mapping[str, Any]) -> None:
        self._folder = folder
        self._settings = settings
        self._described = described
        self._writer: Writer | None = None
        self._started = False
        self._ended = False
        self._process = os.getpid()
        self._steps = 0
        self._skipped_items = 0
        self._empty_steps = 0

    @property
    def live(self) -> bool:
        """Whether this process records: a chosen rank, before any failure, not a forked child."""
        return self._writer is not None and not self._ended and os.getpid() == self._process

    @property
    def attempt(self) -> int:
        """The number of this start of a recorder in its folder."""
        return 0 if self._writer is None else self._writer.attempt

    @contextmanager
    def guard(self, step: int | None = None, *, quiet: bool = False) -> Iterator[None]:
        """Ends the recording at an exception inside; raises it only where it is strict.

        `quiet` raises in no case: for work done while training's own exception is on its way.
        """
        try:
            yield
        except Exception as error:
            if self._ended:
                return
            self._fail(error, step)
            if self._settings.strict and not quiet:
                if isinstance(error, RecordingError):
                    raise
                raise RecordingError(f"recording failed: {error}") from error

    def start(self) -> None:
        """Find this process's rank, and make the folder ready where it writes; once."""
        if self._started:
            return
        self._started = True
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

    def write(
        self, record: StepRecord | None, lines: Sequence[Mapping[str, Any]], step: int
    ) -> None:
        """Publish a step's record and append its scalars, or end where `max_bytes` is used up."""
        if self._writer is None:
            return
        if record is not None:
            if not self._writer.write_step(record):
                self._end(f"max_bytes={self._settings.max_bytes} is used up", step)
                return
            self._steps += 1
        if lines and not self._writer.append_scalars(lines):
            self._end(f"max_bytes={self._settings.max_bytes} is used up", step)

    def count_skipped(self, positions: set[int], step: int) -> None:
        """Count items that were skipped, and say so the first time."""
        if positions and not self._skipped_items:
            _log.warning(
                "igaviz: step %d: items %s of the batch are skipped: no valid residue, or more "
                "than max_residues=%s",
                step,
                sorted(positions),
                self._settings.max_residues,
            )
        self._skipped_items += len(positions)

    def count_empty(self, step: int) -> None:
        """Count a due step in which nothing was tapped, and say so the first time."""
        if not self._empty_steps:
            _log.warning(
                "igaviz: step %d was due but nothing was tapped: is tap(...) called within "
                "recorder.step, outside of compiled code?",
                step,
            )
        self._empty_steps += 1

    def close(self) -> None:
        """End the recording and say so in the run file."""
        if self.live and self._writer is not None:
            with self.guard():
                self._writer.close(
                    recorded_steps=self._steps,
                    skipped_items=self._skipped_items,
                    empty_steps=self._empty_steps,
                )
        self._ended = True

    def _end(self, reason: str, step: int) -> None:
        """End the recording in good order."""
        _log.warning("igaviz: recording ends at step %d: %s", step, reason)
        if self._writer is not None:
            self._writer.note(off={"step": step, "reason": reason})
        self._ended = True

    def _fail(self, error: Exception, step: int | None) -> None:
        """End the recording because of `error`: the log and the run file say why."""
        self._ended = True
        _log.error("igaviz: recording failed and is off from here on", exc_info=error)
        if self._writer is None:
            return
        reason = f"{type(error).__name__}: {error}"
        stack = "".join(traceback.format_exception(error))
        try:
            self._writer.note(off={"step": step, "reason": reason, "traceback": stack})
        except OutputError as second:
            _log.error("igaviz: the run file can't say so: %s", second)
