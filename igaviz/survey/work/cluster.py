"""The workers of a Dask cluster that runs already."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from igaviz.errors import UsageError
from igaviz.survey.kept.cache import code_digest, measuring_code
from igaviz.survey.work.calls import run_call

_LEAST_AHEAD = 64
_AHEAD = 4
_SECONDS = 30

_INSTALLED = "__import__('importlib.util').util.find_spec('igaviz') is not None"

_DRAWING = ("figures/*.py", "survey/drawing/pictures.py", "survey/differences.py")

_limited = False


class ClusterError(UsageError):
    """A Dask cluster that can't be reached, has no worker, or has another igaviz."""


class Cluster:
    """Tasks on the cluster; a worker that dies fails its own tasks once they killed several.

    The cluster itself takes in new workers, as it was set up to.
    """

    def __init__(self, client: Any, death: type[Exception]) -> None:  # noqa: ANN401 (no types)
        self.executor = client.get_executor(pure=False)
        self.death = death
        self.ahead = max(_LEAST_AHEAD, _AHEAD * sum(client.nthreads().values()))

    @classmethod
    @contextmanager
    def hired(cls, address: str) -> Iterator[Cluster]:
        """The workers of the scheduler at `address`; what is under way is called off at the end.

        Raises `ClusterError` where they can't be had.
        """
        try:
            from distributed import Client, KilledWorker
            from distributed.comm.addressing import parse_address, parse_host_port
            from distributed.comm.registry import get_backend
        except ModuleNotFoundError as error:
            raise ClusterError(
                "--scheduler needs the package distributed",
                hint="pip install '.[cluster]' in the clone of igaviz, here and where workers run",
            ) from error
        try:
            scheme, place = parse_address(address)
            get_backend(scheme)  # of an address that is none, the client would be left half made
            parse_host_port(place)
            client: Any = Client(address, timeout=_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ClusterError(
                f"no Dask scheduler answers at {address}", hint="write tcp://host:8786"
            ) from error
        with client:
            try:
                client.wait_for_workers(1, timeout=_SECONDS)
            except TimeoutError as error:
                raise ClusterError(
                    f"the scheduler at {address} has no worker", hint="start some: dask worker"
                ) from error
            _check_installed(client)
            try:
                yield cls(client, KilledWorker)
            except CancelledError as error:
                raise ClusterError(f"the scheduler at {address} went away") from error

    def submit(self, call: bytes) -> Future[bytes]:
        """What will come of a packed call."""
        found: Future[bytes] = self.executor.submit(_work, call, working_code())
        return found


def _check_installed(client: Any) -> None:  # noqa: ANN401
    """Raise where igaviz is missing: such a worker would never answer, and no error come back."""
    there = [*client.run(eval, _INSTALLED).values(), client.run_on_scheduler(eval, _INSTALLED)]
    if not all(there):
        raise ClusterError(
            "there is no igaviz where the workers or their scheduler run",
            hint="pip install '.[cluster]' in a clone of igaviz there, of the same version",
        )


@lru_cache(maxsize=1)
def working_code() -> str:
    """A digest of what results depend on: the code that measures and draws, and its libraries."""
    return code_digest(_DRAWING, measuring_code(), version("matplotlib"))


def _work(call: bytes, code: str) -> bytes:
    """What came of one call, in a worker, unpacked by the code that packed it or not at all."""
    if code != working_code():
        raise ClusterError(
            "a worker has another igaviz, numpy or matplotlib than the one that asks",
            hint="install the same where the workers run",
        )
    _use_one_thread()
    return run_call(call)


def _use_one_thread() -> None:
    """One BLAS thread, in this worker from now on: more would fight, and sum in another order."""
    global _limited
    if not _limited:
        from threadpoolctl import threadpool_limits

        threadpool_limits(limits=1)
        _limited = True
