"""What a process is set to that does igaviz's work and nothing else: a command, its workers."""

import atexit
import gc

BLAS_THREADS = {
    name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
}
"""The environment that has numpy, when it is imported, start one thread.

Its matrices are too small to be worth more: these turn idly between the products, which keeps all
cores of a machine busy and saves nothing, and would add up in another order.
"""


def leave_quickly() -> None:
    """Have Python look for no more cycles at its exit: all memory goes back to the system anyway.

    Looking through all that was imported takes a fifth of the time of a short command.
    """
    atexit.register(gc.freeze)
