"""A prediction of the time and memory that a selection takes on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from . import _core
from ._diagnose import BOUND, DRAWS
from ._support import checks
from .methods import relaxation
from .methods.cost import Speed, Work
from .methods.registry import REGISTRY, MethodName

START = 0.015  # seconds that every call takes


@dataclass(frozen=True)
class Plan:
    """What a call of `select` is expected to take beside the sketch, within a factor of two.

    Attributes
    ----------
    seconds : float
        Wall-clock time.
    peak_bytes : int
        Memory beside Z and what the process held before.
    scratch_bytes : int
        Disk space in `scratch_dir`.
    route : str
        The route of V-optimal selection, "greedy" or "relaxation"; empty for other methods.

    Examples
    --------
    >>> import skmm_fast as skmm
    >>> skmm.plan(n_samples=10_000, sketch_dim=64, n=100, method="uniform").scratch_bytes
    0
    """

    seconds: float
    peak_bytes: int
    scratch_bytes: int
    route: str

    def __str__(self) -> str:
        scratch = f", {self.scratch_bytes / 1e9:.2g} GB of disk" if self.scratch_bytes else ""
        return f"about {self.seconds:.2g} s, {self.peak_bytes / 1e9:.2g} GB of memory{scratch}"


def plan(
    n_samples: int,
    sketch_dim: int,
    n: int | float,
    *,
    method: MethodName = "auto",
    dtype: npt.DTypeLike = np.float32,
    scratch: bool = False,
    n_threads: int | None = None,
) -> Plan:
    """Expected seconds and memory of `select`, for a Z of shape (n_samples, sketch_dim).

    The machine is timed for a tenth of a second, once per sketch_dim. How many passes a pool needs
    is not known before: counts are those usual.

    Parameters
    ----------
    n_samples : int
        The number of rows N.
    sketch_dim : int
        The width m of Z.
    n : int or float
        Rows to choose: a count, or a share of n_samples.
    method : str, default "auto"
        A name of `METHODS`, with its default options; not "contextual-diversity" and "rds", whose
        cost depends on the number of classes and of rows of the target.
    dtype : dtype, default float32
        That of Z, float32 or float64.
    scratch : bool, default False
        Whether copies of Z go to a file (`scratch_dir` is given, or Z is a memory map).
    n_threads : int, optional
        Threads of the core.

    Returns
    -------
    Plan

    Raises
    ------
    TypeError, ValueError
        An argument of a wrong type or value. The message names it, what was expected and what came.

    Examples
    --------
    >>> import skmm_fast as skmm
    >>> expected = skmm.plan(n_samples=10_000, sketch_dim=64, n=100, method="v-optimal")
    >>> expected.route
    'greedy'
    >>> expected.seconds < 60
    True
    """
    N = checks.integer("n_samples", n_samples, 1)
    m = checks.integer("sketch_dim", sketch_dim, 1)
    n = checks.count(n, N)
    known = tuple(name for name, entry in REGISTRY.items() if entry.cost is not None)
    method_cost = REGISTRY[checks.choice("method", method, known)].cost
    assert method_cost is not None
    item = checks.float_type("dtype", dtype).itemsize
    speed = measure(m, item, checks.threads(n_threads))

    # What every selection takes: the spectrum, lists of rows, and the diagnosis with its draws, of
    # which each has a second moment and an inverse.
    cost = method_cost(Work(N, m, n, item, scratch), speed)
    active, moment = relaxation.candidates(N, n), m * m
    seconds = START + (N * moment + 30 * m**3) / speed.flops + 30 * N * speed.row
    seconds += (DRAWS + 1) * ((4 * n + 50 * m) * moment / speed.flops + N * speed.row / 8)
    if not cost.bound and relaxation.products(N, m, n) <= BOUND:
        seconds += relaxation.seconds(N, m, n, speed)
    memory = 8 * 8 * N + 2 * active * m * item + 16 * moment * 32 + 2e7
    return Plan(
        seconds=seconds + cost.seconds,
        peak_bytes=int(memory + cost.peak_bytes),
        scratch_bytes=cost.scratch_bytes,
        route=cost.route,
    )


@cache
def measure(m: int, item: int, threads: int) -> Speed:
    """The speed of this machine on rows of m entries."""
    rows = max(2**25 // (m * item), 256)
    Z = np.ones((rows, m), np.float32 if item == 4 else np.float64)
    some = Z[: max(2**21 // m, 128)]
    s = np.full(rows, 1 / rows)
    right = np.ones((m, min(m, 256)))
    v = np.linspace(0, 1, 200_000)
    products = _fastest(lambda: _core.row_norms(some, right, None, threads))
    one_pass = _fastest(lambda: _core.column_squares(Z, s, threads))
    return Speed(
        flops=2.0 * len(some) * right.size / products,
        bytes=Z.nbytes / one_pass,
        row=8 * _fastest(lambda: np.argpartition(v, 1000)) / len(v),
    )


def _fastest(call: Callable[[], object], times: int = 4) -> float:
    def seconds() -> float:
        began = time.perf_counter()
        call()
        return time.perf_counter() - began

    return min(seconds() for _ in range(times))
