"""One BLAS thread for a process: igaviz multiplies matrices too small to be worth more."""

BLAS_THREADS = {
    name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
}
"""The environment that has numpy, when it is imported, start one.

More turn idly between the products, which keeps all cores of a machine busy and saves nothing, and
would add up in another order.
"""
