"""Stage 2, moment matching: a relaxed selection whose second moment dominates that of all rows
(SkMM, arXiv 2407.06120, equation 5 and section 3.3)."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from .. import _core
from .._support import checks
from .._support.checks import Floats, inclusion_probabilities
from .._support.progress import bar
from ..pool.pool import Pool
from ..sketch.memmap import is_mapped
from .constraints import Quotas, quotas

WEIGHTINGS = ("paper", "relative")


@dataclass(frozen=True)
class MomentMatch:
    """A relaxed selection and the proof of how good it is."""

    s: Floats  # (N,), 0 <= s_i <= 1/n, Σ s_i = 1
    gamma: Floats  # (rank,), γ_j = max(1/c_S, Σ_i s_i a_ij / λ_j)
    objective: float  # φ(s)
    start_objective: float  # φ(s_0)
    gap: float  # φ(s) - min φ lies in [0, gap]
    n_iter: int
    n_passes: int  # over ZV
    converged: bool  # gap <= tol φ(s_0), or φ(s) is zero to rounding
    history: dict[str, Floats]  # "objective", "gap", "seconds" of each iteration


def match_moments(
    Z: Any,
    n: int | float,
    c_s: float = 0.999,
    weighting: str = "paper",
    init: Any = "random",
    tol: float = 1e-6,
    max_iter: int = 1000,
    seed: int = 0,
    n_threads: int | None = None,
    *,
    y: Any = None,
    per_class: str | Mapping[Any, int] | None = None,
    include: Any = None,
    exclude: Any = None,
    callback: Callable[[int, float, float], bool | None] | None = None,
    scratch_dir: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> MomentMatch:
    """Minimise φ(s) = Σ_j w_j [λ_j/c_S - Σ_i s_i a_ij]₊² over 0 <= s_i <= 1/n, Σ s_i = 1.

    a_ij = (Zv_j)_i² in the eigenbasis V of Σ̃, over its numerical rank. This is the relaxation of
    Σ̃ ⪯ c_S Σ̃_S to its diagonal (equation 5) with γ eliminated, a convex problem. Solved by the
    proximal point method from s_0, each point by Newton's method on the dual, two passes over ZV an
    iteration, until the duality gap is at most tol φ(s_0).

    Parameters
    ----------
    Z : (N, m) float32 or float64, NumPy or a torch tensor, on the CPU or a CUDA device, where it
        and ZV stay
    n : rows to be drawn from s; an int in [1, N] or a share of N
    c_s : >= n/N (any where n = N). For c_s >= 1 uniform s is optimal: it is returned at once, with
        a warning.
    weighting : "paper" (w_j = 1) or "relative" (w_j = 1/λ_j², scale-free)
    init : s_0: "random" (1/n on n random rows), "uniform", or a feasible (N,) float array
    tol, max_iter : when to stop
    seed : of the random start
    n_threads : of the core; the bits of the result do not depend on it
    y, per_class : (N,) labels and how many rows of each will be drawn: "proportional" (to the
        classes' sizes), "balanced", or a mapping of classes to their counts (0 where absent)
    include, exclude : rows with s_i = 1/n and s_i = 0; with per_class, inside its counts
    callback : called after each iteration with its number, φ and the gap; False stops
    scratch_dir : a folder for ZV, as large as Z; None is memory, or, where Z is a memory map, the
        system's folder for temporary files
    progress : show a bar (needs tqdm)

    Raises
    ------
    TypeError, ValueError : naming the argument, what was expected and what came.
    OSError : where scratch_dir cannot hold ZV.
    """
    threads = checks.threads(n_threads)
    pool = Pool.of(Z, n_threads=threads)
    mom, n_rows = pool.moments, len(pool.Z)
    n = checks.count(n, n_rows)
    check_options(n, n_rows, c_s, weighting, tol, max_iter)
    c_s, tol = float(c_s), float(tol)
    allowed = quotas(n_rows, n, y, per_class, include, exclude)
    s = _start(init, allowed, n_rows, checks.seed(seed))
    if c_s >= 1 and not allowed.constrained:
        warnings.warn(
            f"c_s = {c_s} >= 1: uniform s is optimal, so a draw from it is a uniform draw",
            stacklevel=2,
        )
        s = np.full(n_rows, 1 / n_rows)

    unit = float(2.0 ** -np.round(np.log2(mom.eigenvalues[0]) / 2))  # Y has eigenvalues about 1
    V = mom.eigenvectors[:, : mom.rank] * unit
    if scratch_dir is None and is_mapped(pool.Z.core):
        scratch_dir = tempfile.gettempdir()
    free, groups = allowed.free()
    some = free if allowed.constrained else None
    Y = pool.Z.times(V, some, threads, scratch_dir)
    fixed = pool.Z.times(V, allowed.include, threads).column_squares(None, threads)
    total = Y.column_squares(None, threads) + fixed
    if allowed.constrained:
        never = pool.Z.times(V, checks.others(n_rows, free, allowed.include), threads)
        total += never.column_squares(None, threads)
    eigenvalues = total / n_rows  # of the Y stored: uniform s matches them exactly
    weight = np.ones_like(eigenvalues) if weighting == "paper" else eigenvalues**-2
    target = eigenvalues / c_s - fixed / n
    to_z = unit**-4 if weighting == "paper" else 1.0

    def watch(iteration: int, objective: float, gap: float) -> bool | None:
        return None if callback is None else callback(iteration, objective * to_z, gap * to_z)

    with bar("match moments", 2 * max_iter, progress, "passes") as tick:
        s[free], objective, start, gap, converged, n_passes, reached, objectives, gaps, seconds = (
            _core.match_moments(
                Y.core,
                target,
                weight,
                1 / n,
                groups,
                s[free],
                tol,
                max_iter,
                threads,
                tick,
                callback and watch,
            )
        )
    return MomentMatch(
        s=s,
        gamma=np.maximum(1 / c_s, (reached + fixed / n) / eigenvalues),
        objective=objective * to_z,
        start_objective=start * to_z,
        gap=gap * to_z,
        n_iter=len(objectives),
        n_passes=n_passes,
        converged=converged,
        history={"objective": objectives * to_z, "gap": gaps * to_z, "seconds": seconds},
    )


def check_options(
    n: int, n_rows: int, c_s: float, weighting: str, tol: float, max_iter: int
) -> None:
    """Raises TypeError or ValueError as `match_moments` says."""
    checks.real("c_s", c_s, above=0.0)
    if c_s < n / n_rows and n < n_rows:
        raise ValueError(f"c_s: expected at least n/N = {n / n_rows:.6g}, got {c_s}")
    checks.choice("weighting", weighting, WEIGHTINGS)
    checks.real("tol", tol, above=0.0)
    checks.integer("max_iter", max_iter, 0, 2**31 - 1)


def _start(init: Any, allowed: Quotas, n_rows: int, seed: int) -> Floats:
    """A feasible s: 1/n on include, 0 where nothing may be chosen, its count in each group."""
    n, (free, groups) = allowed.n, allowed.free()
    edges = np.cumsum([0, *(size for size, _ in groups)])
    s = np.zeros(n_rows)
    s[allowed.include] = 1 / n
    if not isinstance(init, str):
        given = inclusion_probabilities("init", init, n, n_rows) / n
        fixed = checks.others(n_rows, free)
        if not np.allclose(given[fixed], s[fixed], rtol=0, atol=1e-6 / n):
            raise ValueError("init: expected 1/n on the rows of include and 0 on those of exclude")
        for (a, b), (_, count) in zip(pairwise(edges), groups, strict=True):
            mass = n * given[free[a:b]].sum()
            if abs(mass - count) > 1e-6 * n:
                raise ValueError(
                    f"init: expected entries of a class that sum to its count / n, got {mass:.9g} "
                    f"instead of {count} times 1/n"
                )
        s[free] = given[free]
        return s
    checks.choice("init", init, ("random", "uniform"))
    for g, ((a, b), (size, count)) in enumerate(zip(pairwise(edges), groups, strict=True)):
        if init == "uniform":
            s[free[a:b]] = min(count / n / max(size, 1), 1 / n)
        else:
            s[free[a + _core.draw_subset(size, count, seed, g)]] = 1 / n
    return s
