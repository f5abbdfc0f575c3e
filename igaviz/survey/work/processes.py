"""Processes on this machine, a pipe to each: who dies is known, and what it was at."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from igaviz.errors import UsageError
from igaviz.survey.work.calls import run_call
from igaviz.survey.work.starting import FEWER, begin_work, starting

_AHEAD = 4
_SMALL = 4096
"""Bytes of a call that any system's pipe takes in while nobody reads it."""

_READY = _LEAVE = b""


class DeadWorkerError(Exception):
    """The worker that was at a task is gone."""


class Outcome:
    """What will come of a call."""

    def __init__(self, crew: Processes, call: bytes) -> None:
        self.call = call
        self.known = False
        self._crew = crew
        self._answer: bytes | None = None

    def result(self) -> bytes:
        """What came of it, waited for; raises `DeadWorkerError` where the worker did."""
        self._crew.work_until(self)
        if self._answer is None:
            raise DeadWorkerError
        return self._answer

    def exception(self) -> DeadWorkerError | None:
        """Waits as `result` does, and returns what that would raise."""
        self._crew.work_until(self)
        return DeadWorkerError() if self._answer is None else None

    def come(self, answer: bytes | None) -> None:
        """Have it known; None where the worker died."""
        self.known, self._answer = True, answer


@dataclass(eq=False)
class _Worker:
    """A process, the pipe to it, and the calls that it has, in the order that it answers them."""

    process: BaseProcess
    pipe: Connection
    calls: deque[Outcome] = field(default_factory=deque)
    ready: bool = False

    def give(self, outcome: Outcome) -> None:
        """Send it a call."""
        self.calls.append(outcome)
        with suppress(OSError):  # it is dead: the pipe's end is heard next
            self.pipe.send_bytes(outcome.call)

    def dismiss(self) -> None:
        """Have it end when it has answered its calls."""
        with suppress(OSError):  # it is dead
            self.pipe.send_bytes(_LEAVE)

    def end(self) -> None:
        """End it now, whatever it is at: be it stopped, or without its end of the pipe."""
        self.process.kill()
        self.pipe.close()


class Processes:
    """`jobs` worker processes; in place of one that dies another starts.

    Nothing happens between calls: whoever waits for an outcome hands out calls and takes in what
    comes back. So there is no thread here that workers would be copied with, or that could be cut
    off while it holds a lock.
    """

    death: type[Exception] = DeadWorkerError

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self.ahead = jobs * _AHEAD
        self._workers: list[_Worker] = []
        self._waiting: deque[Outcome] = deque()
        self._stillborn = 0  # so many in a row
        self._owner = os.getpid()

    @classmethod
    @contextmanager
    def hired(cls, jobs: int) -> Iterator[Processes]:
        """Workers that are gone when the context is left, however it is left.

        Raises `UsageError` where they can't be had.
        """
        crew = cls(jobs)
        try:
            crew._start()
            yield crew
            crew._dismiss()
        finally:
            crew._end()

    def submit(self, call: bytes) -> Outcome:
        """What will come of a packed call."""
        outcome = Outcome(self, call)
        self._take_in(0)  # who died with nothing to do is to get no call
        self._waiting.append(outcome)
        self._hand_out()
        return outcome

    def work_until(self, outcome: Outcome) -> None:
        """Hand out calls and take in what comes of them, until `outcome` is known."""
        self._take_in(0)
        self._hand_out()
        while not outcome.known:
            self._take_in(None)
            self._hand_out()

    def _take_in(self, seconds: float | None) -> None:
        """Hear what has come, or comes within so many seconds; None: what comes next."""
        heard = wait([worker.pipe for worker in self._workers], seconds)
        for worker in [worker for worker in self._workers if worker.pipe in heard]:
            self._hear(worker)

    def _hand_out(self) -> None:
        """Give each idle worker a call, and each busy one its next while there are enough.

        The last calls go to whoever is idle first.
        """
        for worker in self._workers:
            if self._waiting and not worker.calls:
                worker.give(self._waiting.popleft())
        for worker in self._workers:
            if len(self._waiting) <= self.jobs or len(self._waiting[0].call) > _SMALL:
                break  # nobody may be reading a pipe that is full
            if len(worker.calls) == 1:
                worker.give(self._waiting.popleft())

    def _hear(self, worker: _Worker) -> None:
        """Take in one word of a worker: that it is ready, what came of a call, or its end."""
        try:
            word = worker.pipe.recv_bytes()
        except (EOFError, OSError):
            self._replace(worker)
            return
        if worker.ready:
            worker.calls.popleft().come(word)
            return
        worker.ready = True
        self._stillborn = 0

    def _replace(self, dead: _Worker) -> None:
        """Start another worker; the call that the dead one was at died with it, others wait on."""
        self._workers.remove(dead)
        dead.end()
        dead.process.join()
        if dead.ready and dead.calls:
            dead.calls.popleft().come(None)
        self._waiting.extendleft(reversed(dead.calls))
        if not dead.ready:
            self._stillborn += 1
            self._give_up_starting(killed=(dead.process.exitcode or 0) < 0)
        self._start()

    def _give_up_starting(self, *, killed: bool) -> None:
        """Raise where the next worker would end as this one did, before it was ready."""
        if not killed:
            raise UsageError(
                "worker processes end as soon as they start",
                hint=f"{FEWER}; a program of yours must do its work below "
                'if __name__ == "__main__":, or each worker does it too',
            )
        if self._stillborn > self.jobs:
            raise UsageError(
                "worker processes are killed as soon as they start",
                hint=f"is there too little memory? {FEWER}",
            )

    def _dismiss(self) -> None:
        """Have workers leave that have nothing to do, and wait until they have."""
        for worker in self._workers:
            worker.dismiss()
        for worker in self._workers:
            worker.process.join()

    def _end(self) -> None:
        """End the workers at once; but not in a copy of this process, whose they aren't."""
        if os.getpid() != self._owner:
            return
        for worker in self._workers:
            worker.end()
        for worker in self._workers:
            worker.process.join()

    def _start(self) -> None:
        """Start workers until there are all."""
        while len(self._workers) < self.jobs:
            with starting() as context:
                here, there = context.Pipe()
                others = [worker.pipe for worker in self._workers]
                # a copy has all that is open here, and other workers' pipes would never end
                copied = [*others, here] if context.get_start_method() == "fork" else []
                process = context.Process(target=_work, args=(there, copied), daemon=True)
                try:
                    process.start()
                except BaseException:
                    here.close()
                    raise
                finally:
                    there.close()
                self._workers.append(_Worker(process, here))


def _work(pipe: Connection, copied: Sequence[Connection]) -> None:
    """The life of a worker: answers calls through `pipe` until it is told to leave."""
    for other in copied:
        other.close()
    begin_work()
    with suppress(EOFError, ConnectionError):  # the parent is gone
        pipe.send_bytes(_READY)
        while (call := pipe.recv_bytes()) != _LEAVE:
            pipe.send_bytes(run_call(call))
