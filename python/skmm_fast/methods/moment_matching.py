"""Moment matching: a relaxed selection whose second moment dominates that of all rows
(SkMM, arXiv 2407.06120, equation 5 and section 3.3)."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from .. import _core
from .._support import checks
from .._support.progress import bar
from .._support.types import DenseMatrix, Floats, PerClass, VectorLike
from ..pool.host_rows import HostRowMatrix
from ..sketch.memmap import is_mapped
from .constraints import Constraints
from .cost import Cost, Speed, Work
from .problem import Chosen, Problem
from .sampling import DrawMethod, draw_along, inclusion_probabilities
from .v_optimality import polish

Weighting = Literal["paper", "relative"]
Init = Literal["random", "uniform"]
Callback = Callable[[int, float, float], bool | None]

PASSES = 24  # over ZV that moment matching usually takes; 9 to 85 have been seen
DISK = 2e9  # bytes per second into the page cache


@dataclass(frozen=True)
class MomentMatch:
    """A relaxed selection and the proof of how good it is.

    Attributes
    ----------
    s : (N,) array
        0 <= s_i <= 1/n, Σ s_i = 1.
    gamma : (rank,) array
        γ_j = max(1/c_S, Σ_i s_i a_ij / λ_j).
    objective : float
        φ(s).
    start_objective : float
        φ(s_0), where the solver began.
    gap : float
        φ(s) - min φ lies in [0, gap].
    n_iter : int
        Newton steps on the dual.
    n_passes : int
        Passes over the rotated rows ZV.
    converged : bool
        gap <= tol φ(s_0), or φ(s) is zero to rounding.
    history : dict of arrays
        "objective", "gap" and "seconds" after each iteration.

    Examples
    --------
    >>> import numpy as np
    >>> import skmm_fast as skmm
    >>> fit = skmm.match_moments(np.random.default_rng(0).standard_normal((500, 8)), 40, c_s=0.9)
    >>> fit.converged, 0 <= fit.gap
    (True, True)
    """

    s: Floats
    gamma: Floats
    objective: float
    start_objective: float
    gap: float
    n_iter: int
    n_passes: int
    converged: bool
    history: dict[str, Floats]


@dataclass(frozen=True)
class MatchOptions:
    """Options of `match_moments`, which describes them."""

    c_s: float = 0.999
    weighting: Weighting = "paper"
    init: Init | Floats = "random"
    tol: float = 1e-6
    max_iter: int = 1000
    callback: Callback | None = None

    def check(self, n: int, n_rows: int) -> None:
        """Raises TypeError or ValueError where they do not fit n of n_rows rows."""
        checks.real("c_s", self.c_s, above=0.0)
        if self.c_s < n / n_rows and n < n_rows:
            raise ValueError(f"c_s: expected at least n/N = {n / n_rows:.6g}, got {self.c_s}")
        checks.choice("weighting", self.weighting, get_args(Weighting))
        checks.real("tol", self.tol, above=0.0)
        checks.integer("max_iter", self.max_iter, 0, 2**31 - 1)


@dataclass(frozen=True)
class SelectOptions(MatchOptions):
    """Options of moment matching as a method of `select`: also how rows are drawn from s, and
    whether exchanges as those of `v_optimal` follow."""

    draw: DrawMethod = "systematic"
    refine: bool = False

    def __post_init__(self) -> None:
        checks.choice("draw", self.draw, get_args(DrawMethod))
        checks.boolean("refine", self.refine)


def match_moments(
    Z: DenseMatrix,
    n: int | float,
    *,
    c_s: float = MatchOptions.c_s,
    weighting: Weighting = MatchOptions.weighting,
    init: Init | Floats = MatchOptions.init,
    tol: float = MatchOptions.tol,
    max_iter: int = MatchOptions.max_iter,
    callback: Callback | None = None,
    y: VectorLike | None = None,
    per_class: PerClass | None = None,
    include: VectorLike | None = None,
    exclude: VectorLike | None = None,
    scratch_dir: str | os.PathLike[str] | None = None,
    seed: int = 0,
    n_threads: int | None = None,
    progress: bool = False,
) -> MomentMatch:
    """Minimise φ(s) = Σ_j w_j [λ_j/c_S - Σ_i s_i a_ij]₊² over 0 <= s_i <= 1/n, Σ s_i = 1.

    Here a_ij = (Zv_j)_i² in the eigenbasis V of Σ̃, over its numerical rank. This is the relaxation
    of Σ̃ ⪯ c_S Σ̃_S to its diagonal (equation 5) with γ eliminated, a convex problem. It is solved
    by the proximal point method from s_0, each point by Newton's method on the dual, with two
    passes over ZV an iteration, until the duality gap is at most tol φ(s_0).

    Parameters
    ----------
    Z : (N, m) array or tensor
        float32 or float64; a tensor on a CUDA device stays there, and ZV with it.
    n : int or float
        Rows to be drawn from s: a count in [1, N], or a share of N in (0, 1).
    c_s : float, default 0.999
        At least n/N (any number where n = N). What is asked of each eigenvector alone: between
        them Σ̃_S may be weaker (`diagnose(...).c_s` says how much). For c_s >= 1 without
        constraints uniform s is optimal, and is returned with a warning.
    weighting : {"paper", "relative"}
        w_j = 1, or the scale-free w_j = 1/λ_j².
    init : {"random", "uniform"} or (N,) array
        s_0: 1/n on n random rows, uniform, or a feasible point.
    tol, max_iter : float, int
        When to stop.
    callback : callable, optional
        Called after each iteration with its number, φ and the gap; False stops.
    y : (N,) labels, optional
        Classes that `per_class` counts.
    per_class : {"proportional", "balanced"} or mapping, optional
        How many rows of each class will be drawn: in proportion to the classes' sizes, equally
        many, or a mapping of classes to counts (0 where a class is absent).
    include, exclude : row numbers, optional
        Rows with s_i = 1/n and with s_i = 0; with `per_class`, inside its counts.
    scratch_dir : path, optional
        A folder for ZV, which is as large as Z. Default: memory, or, where Z is a memory map, the
        system's folder for temporary files.
    seed : int, default 0
        The seed of the random start.
    n_threads : int, optional
        Threads of the core. The bits of the result do not depend on it.
    progress : bool, default False
        Show a bar (needs tqdm).

    Returns
    -------
    MomentMatch

    Raises
    ------
    TypeError, ValueError
        An argument of a wrong type, shape or value, NaN or Inf in Z, constraints that no n rows
        meet. The message names the argument, what was expected and what came.
    OSError
        `scratch_dir` cannot hold ZV.

    Notes
    -----
    SkMM, arXiv 2407.06120, equation 5 and section 3.3.

    Examples
    --------
    >>> import numpy as np
    >>> import skmm_fast as skmm
    >>> Z = np.random.default_rng(0).standard_normal((500, 8))
    >>> fit = skmm.match_moments(Z, 40, c_s=0.9)
    >>> rows = skmm.draw(fit.s, 40, method="systematic")
    >>> len(rows)
    40
    """
    problem = Problem.of_matrix(
        Z, n, y=y, per_class=per_class, include=include, exclude=exclude, seed=seed,
        n_threads=n_threads, progress=progress, scratch_dir=scratch_dir,
    )  # fmt: skip
    return solve(problem, MatchOptions(c_s, weighting, init, tol, max_iter, callback))


def run(problem: Problem, **options: Any) -> Chosen:
    """Moment matching as a method of `select`. Its options are SelectOptions."""
    o = SelectOptions(**options)
    if problem.constraints.ranks is not None and o.draw == "pivotal":
        raise ValueError(
            "draw: expected 'systematic' or 'top' where rows are on several ranks, got 'pivotal', "
            "whose contests follow each other from row to row"
        )
    fit = solve(problem, o)
    facts: dict[str, Any] = {
        "converged": fit.converged,
        "objective": fit.objective,
        "gap": fit.gap,
        "n_iter": fit.n_iter,
        "n_passes": fit.n_passes,
    }
    rows, relaxed = draw_along(problem, fit.s, o.draw), None
    if o.refine:
        rows, facts["n_swaps"], relaxed = polish(problem, rows)
    return Chosen(rows, facts, relaxed)


def solve(problem: Problem, o: MatchOptions) -> MomentMatch:
    """The relaxed selection. All options are checked before the pool is made."""
    constraints, n_rows, n = problem.constraints, problem.n_rows, problem.n
    o.check(n, n_rows)
    if constraints.ranks is not None and not isinstance(o.init, str):
        raise ValueError(
            f"init: expected one of {get_args(Init)} where rows are on several ranks, got "
            f"{type(o.init).__name__}"
        )
    c_s = float(o.c_s)
    s = _start(o.init, constraints, problem.seed)
    pool, threads = problem.pool, problem.n_threads
    if c_s >= 1 and not constraints.constrained:
        warnings.warn(
            f"c_s = {c_s} >= 1: uniform s is optimal, so a draw from it is a uniform draw",
            stacklevel=3,
        )
        s = np.full(constraints.here.count, 1 / n_rows)

    mom = pool.moments
    unit = float(2.0 ** -np.round(np.log2(mom.eigenvalues[0]) / 2))  # Y has eigenvalues about 1
    V = mom.eigenvectors[:, : mom.rank] * unit
    scratch_dir = problem.scratch_dir
    if scratch_dir is None and is_mapped(pool.Z.x):
        scratch_dir = tempfile.gettempdir()
    free, strips = constraints.free, constraints.free_rows.strips
    Y = pool.Z.times(V, free if constraints.constrained else None, threads, scratch_dir)
    included = HostRowMatrix(pool.Z.array(constraints.include)).times(V, None, threads)
    fixed = included.column_squares(None, threads)
    total = Y.column_squares(None, threads, strips) + fixed
    if constraints.constrained:
        never = constraints.never()
        of_never = constraints.here.strips.of_some(never)
        total += pool.Z.times(V, never, threads).column_squares(None, threads, of_never)
    eigenvalues = total / n_rows  # of the Y stored: uniform s matches them exactly
    weight = np.ones_like(eigenvalues) if o.weighting == "paper" else eigenvalues**-2
    target = eigenvalues / c_s - fixed / n
    to_z = unit**-4 if o.weighting == "paper" else 1.0
    callback = o.callback

    def watch(iteration: int, objective: float, gap: float) -> bool | None:
        if callback is None:
            return None
        go_on = callback(iteration, objective * to_z, gap * to_z)
        stops = go_on is not None and not go_on
        return constraints.here.largest(float(stops)) == 0.0  # on any rank

    with bar("match moments", None, problem.progress, "passes") as tick:
        fit = _core.match_moments(
            Y.core, target, weight, constraints.core, s[free], float(o.tol), o.max_iter, threads,
            tick, callback and watch, constraints.here.strips,
        )  # fmt: skip
        if tick is not None:
            tick(fit.passes)
    s[free] = fit.s
    return MomentMatch(
        s=s,
        gamma=np.maximum(1 / c_s, (fit.moments + fixed / n) / eigenvalues),
        objective=fit.objective * to_z,
        start_objective=fit.start * to_z,
        gap=fit.gap * to_z,
        n_iter=len(fit.objectives),
        n_passes=fit.passes,
        converged=fit.converged,
        history={
            "objective": fit.objectives * to_z,
            "gap": fit.gaps * to_z,
            "seconds": fit.seconds.copy(),
        },
    )


def _start(init: Any, constraints: Constraints, seed: int) -> Floats:
    """A feasible s of the rows here: 1/n on include, 0 where nothing may be chosen, its count in
    each group."""
    n_rows, n, free, here = constraints.n_rows, constraints.n, constraints.free, constraints.here
    s = np.zeros(here.count)
    s[here.of(constraints.include)] = 1 / n
    if not isinstance(init, str):
        given = inclusion_probabilities("init", init, n, n_rows) / n
        fixed = np.ones(n_rows, np.bool_)
        fixed[free] = False
        if not np.allclose(given[fixed], s[fixed], rtol=0, atol=1e-6 / n):
            raise ValueError("init: expected 1/n on the rows of include and 0 on those of exclude")
        for g in constraints.groups:
            mass = n * given[free[g.part]].sum()
            if abs(mass - g.count) > 1e-6 * n:
                raise ValueError(
                    f"init: expected entries of a class that sum to its count / n, got {mass:.9g} "
                    f"instead of {g.count} times 1/n"
                )
        s[free] = given[free]
        return s
    checks.choice("init", init, get_args(Init))
    sizes = np.array([len(free[g.part]) for g in constraints.groups], np.float64)
    before = here.before(sizes).astype(np.int64)
    for number, g in enumerate(constraints.groups):
        if init == "uniform":
            s[free[g.part]] = min(g.count / n / max(g.size, 1), 1 / n)
        else:
            of_group = free[g.part]
            drawn = _core.draw_subset(g.size, g.count, seed, number) - before[number]
            s[of_group[drawn[(drawn >= 0) & (drawn < len(of_group))]]] = 1 / n
    return s


def cost(work: Work, speed: Speed) -> Cost:
    """A rotated copy of Z, and passes over it."""
    N, m = work.n_rows, work.dim
    seconds = 2 * N * m * m / speed.flops + PASSES * (work.copy / speed.bytes + N * speed.row / 4)
    return Cost(
        seconds=seconds + (work.copy / DISK if work.scratch else 0.0),
        peak_bytes=8 * N + (0 if work.scratch else work.copy),
        scratch_bytes=work.copy if work.scratch else 0,
    )
