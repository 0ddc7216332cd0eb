"""How long a selection takes here, and how much memory, before it is begun."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from . import _core
from ._support import checks
from .methods.baselines import OF_MORE, OF_ROWS, ONE_BY_ONE
from .methods.relaxation import USUAL, candidates
from .methods.v_optimality import best_route

# Not contextual diversity, whose passes are over what it makes of N x C probabilities.
METHODS = ("v-optimal", "moment-matching", *OF_ROWS, *(OF_MORE.keys() - {"contextual-diversity"}))
PASSES = 24  # over ZV that moment matching takes; 10 to 60 have been seen
SWAPS = 0.5  # exchanges per row chosen that refinement makes, up to a thousand
DRAWS = 8  # uniform draws of the diagnosis
START = 0.1  # seconds
DISK = 2e9  # bytes per second into the page cache


@dataclass(frozen=True)
class Plan:
    """What a call of `select` is expected to take, the sketch apart. Within a factor of two."""

    seconds: float
    peak_bytes: int  # beside Z and what the process held before
    scratch_bytes: int  # in scratch_dir
    route: str  # of v-optimal selection: "greedy" or "relaxation"; else ""

    def __str__(self) -> str:
        scratch = f", {self.scratch_bytes / 1e9:.2g} GB of disk" if self.scratch_bytes else ""
        return f"about {self.seconds:.2g} s, {self.peak_bytes / 1e9:.2g} GB of memory{scratch}"


def plan(
    n_samples: int,
    sketch_dim: int,
    n: int | float,
    method: str = "v-optimal",
    *,
    dtype: Any = np.float32,
    scratch: bool = False,
    n_threads: int | None = None,
) -> Plan:
    """Expected seconds and memory of `select` for a Z of (n_samples, sketch_dim) in `dtype`.

    The machine is timed for a tenth of a second, once per sketch_dim. How many passes a pool needs
    is not known before: counts are those usual.

    Parameters
    ----------
    n : rows to choose, an int or a share of n_samples
    method : a name, with its default options
    scratch : whether ZV goes to a file (`scratch_dir`, or Z is a memory map)

    Raises
    ------
    TypeError, ValueError : naming the argument, what was expected and what came.
    """
    N = checks.integer("n_samples", n_samples, 1)
    m = checks.integer("sketch_dim", sketch_dim, 1)
    n = checks.count(n, N)
    checks.choice("method", method, METHODS)
    item = checks.float_type("dtype", dtype).itemsize
    speed = measure(m, item, checks.threads(n_threads))

    active, moment = candidates(N, n), m * m  # multiplications and additions for one row
    rounds, steps = USUAL
    solving = rounds * ((2 * N + steps * 3 * active) * moment / speed.flops + N * speed.row)
    swaps = min(SWAPS * n, 1000)
    route, copy, rows = "", N * m * item, 0.0
    seconds = START + N * moment / speed.flops + solving  # Σ̃; the bound, for the diagnosis
    seconds += 30 * N * speed.row  # the order of a draw, lists of rows
    seconds += (DRAWS + 1) * (2 * n * moment / speed.flops + N * speed.row / 8)
    memory = 8 * 8 * N + 2 * active * m * item
    if method == "v-optimal":
        route = best_route(N, m, m, n, 1, "greedy", True)
        if route == "greedy":
            seconds += n * max(copy / speed.bytes, 4 * N * m / (speed.flops / 4))
        if n < 20 * m:  # else a draw is as good as the bound asks
            seconds += 2 * 4 * N * moment / speed.flops + N * speed.row
        rows = swaps * 3 * 4 * m * (3 * n + 2048) / (speed.flops / 4)
    elif method == "moment-matching":
        seconds += 2 * N * moment / speed.flops + PASSES * (copy / speed.bytes + N * speed.row / 4)
        seconds += copy / DISK if scratch else 0.0
        memory = max(memory, 8 * 9 * N) + (0 if scratch else copy)
    elif method in ONE_BY_ONE:
        seconds += n * (copy / speed.bytes + N * speed.row / 8)
    return Plan(
        seconds=seconds + rows,
        peak_bytes=int(memory + 16 * moment * 32 + 2e7),
        scratch_bytes=copy if scratch and method == "moment-matching" else 0,
        route=route,
    )


@dataclass(frozen=True)
class Speed:
    flops: float  # per second, in products of matrices of this width
    bytes: float  # per second, in passes over rows of this width
    row: float  # seconds per row of what NumPy does with a vector of doubles in a round


@cache
def measure(m: int, item: int, threads: int) -> Speed:
    rows = max(2**25 // (m * item), 256)
    Z = np.ones((rows, m), np.float32 if item == 4 else np.float64)
    some = Z[: max(2**21 // m, 128)]
    s = np.full(rows, 1 / rows)
    right = np.ones((m, min(m, 256)))
    target, groups = np.zeros(m), [(rows, rows)]

    def products() -> None:
        _core.row_norms(some, right, None, threads)

    def by_moments() -> None:  # one pass
        _core.match_moments(Z, target, target + 1, 1 / rows, groups, s, 1.0, 0, threads)

    v = np.linspace(0, 1, 200_000)
    return Speed(
        flops=2.0 * len(some) * right.size / _fastest(products),
        bytes=Z.nbytes / _fastest(by_moments),
        row=8 * _fastest(lambda: np.argpartition(v, 1000)) / len(v),
    )


def _fastest(call: Callable[[], object], times: int = 4) -> float:
    def seconds() -> float:
        began = time.perf_counter()
        call()
        return time.perf_counter() - began

    return min(seconds() for _ in range(times))
