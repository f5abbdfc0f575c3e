"""One thread that writes while training goes on, behind a queue that is bounded in bytes."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

_log = logging.getLogger(__name__)

PATIENCE = 3.0
"""Seconds of waiting for jobs until it is said, and `PATIENCE_THEN` from then on."""

PATIENCE_THEN = 30.0

Job = Callable[[], None]


class Background:
    """Does jobs one after the other in a daemon thread, which starts with the first.

    What the jobs hold in memory is counted: `hold` before it is made, and with `submit` the count
    passes to the job, whose end gives it back.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._changed = threading.Condition()
        self._jobs: deque[tuple[Job, int]] = deque()
        self._held = 0
        self._unfinished = 0
        self._thread: threading.Thread | None = None
        self._stopping = False

    def hold(self, n_bytes: int, *, wait: bool) -> bool:
        """Whether `n_bytes` more may be held.

        With `wait` this waits for jobs to end, as long as any is left that may help.
        """
        with self._changed:
            while self._held + n_bytes > self._limit:
                if not (wait and self._unfinished):
                    return False
                self._changed.wait()
            self._held += n_bytes
            return True

    def release(self, n_bytes: int) -> None:
        """Give back what `hold` counted and no job was submitted for."""
        with self._changed:
            self._held -= n_bytes
            self._changed.notify_all()

    def submit(self, job: Job, n_bytes: int = 0) -> None:
        """Do `job` after all that were submitted before it, then release `n_bytes`."""
        with self._changed:
            self._jobs.append((job, n_bytes))
            self._unfinished += 1
            self._changed.notify_all()
            if self._thread is not None or self._started():
                return
        # No thread is to be had: the interpreter is about to end, or the system refuses one.
        self._run()

    def flush(self) -> None:
        """Wait until all jobs that were submitted are done; a long wait is no silent one."""
        if threading.current_thread() is self._thread:
            return
        patience = PATIENCE
        while not self._done_within(patience):
            _log.warning(
                "igaviz: waiting until what was recorded is written: %.1f MB left",
                self._held / 1e6,
            )
            patience = PATIENCE_THEN

    def _done_within(self, seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._unfinished == 0, timeout=seconds)

    def stop(self) -> None:
        """Do what was submitted, then end the thread; a later `submit` starts another."""
        self.flush()
        with self._changed:
            thread, self._thread = self._thread, None
            self._stopping = True
            self._changed.notify_all()
        if thread is not None:
            thread.join()

    def _started(self) -> bool:
        """Whether a thread could be started. Called with the lock."""
        thread = threading.Thread(target=self._run, name="igaviz", daemon=True)
        self._stopping = False
        try:
            thread.start()
        except RuntimeError:
            self._stopping = True
            return False
        self._thread = thread
        return True

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._stopping)
                if not self._jobs:
                    return
                job, n_bytes = self._jobs.popleft()
            try:
                job()
            except Exception:
                # Jobs guard themselves; this thread must outlive a bug in one.
                _log.exception("igaviz: a job of the recorder failed")
            finally:
                del job
                with self._changed:
                    self._held -= n_bytes
                    self._unfinished -= 1
                    self._changed.notify_all()
