"""Stage 2, V-optimal selection: rows that make tr(Σ̃ Σ̃_S⁻¹) small, the variance part of the risk
(SkMM, arXiv 2407.06120, equation 3; sequential selection as in the authors' SkMMv2)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _core
from .._support import checks
from .._support.checks import Indices
from .._support.progress import bar
from ..pool.pool import Pool
from .constraints import Quotas, labels, quotas
from .relaxation import TOL, USUAL, Relaxation, candidates, relax
from .walk import draw_along

SAMPLERS = ("greedy", "linear", "exp")
ROUTES = ("auto", "greedy", "relaxation")

# The start M = ridge I, in units of one average row seen along each direction of W. A start of one
# row gave better selections than random pivoting at every shape tried, and keeps float64 exact.
RIDGE = 1.0


@dataclass(frozen=True)
class VOptimal:
    """A V-optimal selection."""

    indices: Indices  # (n,), ascending
    objective: float  # n tr((W_SᵀW_S + ridge I)⁻¹); tr(Σ̃ Σ̃_S⁻¹) where ridge = 0
    ridge: float  # > 0 where W_S does not have full rank
    lower_bound: float  # no n rows that the constraints allow have tr(Σ̃ Σ̃_S⁻¹) below this
    route: str  # how the rows were found before refinement: "greedy" or "relaxation"
    n_swaps: int  # exchanges made by refine


def v_optimal(
    Z: Any,
    n: int | float,
    sampler: str = "greedy",
    block: int = 1,
    refine: bool = True,
    seed: int = 0,
    *,
    temperature: float = 0.1,
    tol: float = TOL,
    route: str = "auto",
    y: Any = None,
    per_class: str | Mapping[Any, int] | None = None,
    include: Any = None,
    exclude: Any = None,
    bound: bool = True,
    n_threads: int | None = None,
    progress: bool = False,
) -> VOptimal:
    """Choose n rows of Z that make tr(Σ̃ Σ̃_S⁻¹) = n tr((W_SᵀW_S)⁻¹) small, W = Z Σ̃^(-1/2).

    Two routes. "greedy": rows are added one (or up to `block`) at a time by the gain
    ‖Cw‖²/(1 + wᵀCw), C = (W_SᵀW_S + I)⁻¹, one pass over Z per block. "relaxation": the convex
    relaxation is solved, in time that does not depend on n, and n rows are drawn from it, along
    classes and the first principal direction. Where n < rank(Z) no n rows span Z: then the same
    rule minimises n tr((W_SᵀW_S + I)⁻¹), and a warning says so.

    Parameters
    ----------
    Z : (N, m) float32 or float64, NumPy or a torch tensor, on the CPU or a CUDA device
    n : an int in [1, N] or a share of N
    sampler : "greedy" takes the largest gain; "linear" draws with probability proportional to the
        gain; "exp" to exp(gain / (temperature · largest gain))
    block : rows added per pass at most (if Z is on a device, 256 at least by the greedy sampler);
        in a greedy block each row is scored after the ones before it, and the block ends where a
        row outside may be better
    refine : exchange rows until no swap helps or the objective is within `tol` of the lower bound
        (where one is computed): the best row comes in, the least useful goes out
    seed : of the random samplers, and of the draw
    tol : relative gap at which the relaxation ends
    route : "auto" takes the one of fewer operations; the relaxation only for n > 2 rank(Z), without
        `refine` n > 10 rank(Z): fewer rows drawn lose much
    y, per_class : (N,) labels and how many rows of each: "proportional" (to the classes' sizes),
        "balanced", or a mapping of classes to their counts (0 where absent)
    include, exclude : rows that must and must not be chosen; with per_class, inside its counts
    bound : compute the lower bound where the route does not give it
    n_threads : of the core; the selection does not depend on it
    progress : show a bar (needs tqdm)

    Raises
    ------
    TypeError, ValueError : naming the argument, what was expected and what came.
    """
    threads = checks.threads(n_threads)
    pool = Pool.of(Z, n_threads=threads)
    n_rows, rank = len(pool.Z), pool.moments.rank
    n = checks.count(n, n_rows)
    check_options(sampler, block, refine, temperature, tol, route)
    block, temperature, tol = min(int(block), n), float(temperature), float(tol)
    seed = checks.seed(seed)
    allowed = quotas(n_rows, n, y, per_class, include, exclude)
    classes = None if y is None else labels(y, n_rows)[1]
    if n < rank:
        warnings.warn(
            f"n = {n} < rank(Z) = {rank}: no n rows span Z, so tr(Σ̃ Σ̃_S⁻¹) is infinite; "
            "the rows chosen minimise it with a ridge. A sketch_dim of at most n/2 avoids this",
            stacklevel=2,
        )
    if route == "auto":
        route = best_route(n_rows, pool.Z.shape[1], rank, n, block, sampler, refine)
    relaxed: Relaxation | None = None
    if bound or route == "relaxation":
        with bar("relaxation", 1, progress, "solved"):
            relaxed = relax(pool, allowed, tol, threads)
    start = np.empty(0, np.int64)
    if route == "relaxation" and relaxed is not None and np.isfinite(relaxed.value):
        drawn = draw_along(pool, relaxed.s, allowed, seed, classes, threads)
        start = np.setdiff1d(drawn, allowed.include, assume_unique=True)
    enough = (1 + tol) * relaxed.lower_bound if relaxed is not None else 0.0
    rows, n_swaps = choose(
        pool, allowed, start, sampler, block, temperature, refine, enough, seed, threads, progress
    )
    objective, ridge = pool.trace_and_largest(rows)[0], 0.0
    if not np.isfinite(objective):
        objective, ridge = pool.trace_and_largest(rows, RIDGE)[0], RIDGE
    return VOptimal(
        indices=rows,
        objective=objective,
        ridge=ridge,
        lower_bound=relaxed.lower_bound if relaxed is not None else -np.inf,
        route=route,
        n_swaps=n_swaps,
    )


def check_options(
    sampler: str, block: int, refine: bool, temperature: float, tol: float, route: str
) -> None:
    """Raises TypeError or ValueError as `v_optimal` says."""
    checks.choice("sampler", sampler, SAMPLERS)
    checks.integer("block", block, 1)
    checks.boolean("refine", refine)
    checks.real("temperature", temperature, above=0.0)
    checks.real("tol", tol, above=0.0)
    checks.choice("route", route, ROUTES)


def best_route(
    n_rows: int, m: int, rank: int, n: int, block: int, sampler: str, refine: bool
) -> str:
    """The route of fewer operations: a choice that no clock enters, so that it is the same
    everywhere."""
    if sampler != "greedy" or n <= (2 if refine else 10) * rank:
        return "greedy"
    return min(ROUTES[1:], key=lambda route: operations(route, n_rows, m, n, block))


def operations(route: str, n_rows: int, m: int, n: int, block: int = 1) -> float:
    """About how many multiplications and additions a route takes. In products of matrices they run
    four times as fast as elsewhere, and are counted as a quarter."""
    if route == "relaxation":
        rounds, steps = USUAL
        return rounds * (2 * n_rows + steps * 3 * candidates(n_rows, n)) * m * m / 4
    return n / block * n_rows * m * min(4 * block, m)


def polish(
    pool: Pool,
    rows: Indices,
    allowed: Quotas,
    seed: int,
    n_threads: int | None,
    progress: bool,
) -> tuple[Indices, int]:
    """Exchanges from these n rows on, and their number."""
    threads = checks.threads(n_threads)
    enough = (1 + TOL) * relax(pool, allowed, TOL, threads).lower_bound
    start = np.setdiff1d(rows, allowed.include, assume_unique=True)
    return choose(pool, allowed, start, "greedy", 1, 1.0, True, enough, seed, threads, progress)


def choose(
    pool: Pool,
    allowed: Quotas,
    start: Indices,
    sampler: str,
    block: int,
    temperature: float,
    refine: bool,
    enough: float,
    seed: int,
    threads: int,
    progress: bool,
) -> tuple[Indices, int]:
    """n rows, ascending, and the number of exchanges: `start` and those of include, rows added to
    them, and exchanges until tr(Σ̃ Σ̃_S⁻¹) <= enough."""
    W = pool.W
    if sampler == "greedy":
        block = max(block, W.A.least_block)
    with bar("choose rows", allowed.n, progress) as tick:
        rows, n_swaps = _core.v_optimal(
            W.A.core, W.B, allowed.n, block, getattr(_core.Sampler, sampler), temperature, RIDGE,
            refine, enough / allowed.n, seed, allowed.group, allowed.counts,
            allowed.include.tolist(), start.tolist(), threads, tick,
        )  # fmt: skip
    return np.sort(rows), n_swaps
