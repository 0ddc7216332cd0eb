"""V-optimal selection: rows that make tr(Σ̃ Σ̃_S⁻¹) small, the variance part of the risk
(SkMM, arXiv 2407.06120, equation 3; sequential selection as in the authors' SkMMv2)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from .. import _core
from .._support import checks
from .._support.progress import bar, bar_then_count
from .._support.types import DenseMatrix, Indices, PerClass, VectorLike
from ..pool.inverses import rounding_of_moments
from ..pool.pool import Pool
from .cost import Cost, Speed, Work
from .problem import Chosen, Problem
from .relaxation import TOL, Relaxation, candidates, relax
from .relaxation import seconds as seconds_of_relaxation
from .sampling import draw_along
from .spanning import none_spans_by_counts

Sampler = Literal["greedy", "linear", "exp"]
Route = Literal["auto", "greedy", "relaxation"]
Effort = Literal["fast", "full"]

# Exchanges end when a round of them reduces the objective by no more than this share.
PAYS: dict[str, float] = {"fast": 3e-4, "full": 0.0}

# Greedy additions start from the information matrix W_SᵀW_S + RIDGE I of no rows. The unit of RIDGE
# is one average row of W along each direction (W.unit, which is 1 but for targets). This start gave
# better selections than random pivoting at every shape tried, and keeps the digits of float64.
RIDGE = 1.0
FEW = 1e9  # operations of greedy additions that are always worth it: about a tenth of a second
SWAPS, MOST_SWAPS = 0.5, 2.0  # exchanges that refinement usually makes per row, and at most per m


@dataclass(frozen=True)
class VOptimal:
    """A V-optimal selection and its certificate.

    Attributes
    ----------
    indices : (n,) array of int64
        The rows chosen, ascending.
    objective : float
        n tr((W_SᵀW_S + ridge I)⁻¹), which is tr(Σ̃ Σ̃_S⁻¹) where ridge = 0.
    ridge : float
        Above 0 where W_S does not have full rank.
    lower_bound : float
        No n rows that the constraints allow have tr(Σ̃ Σ̃_S⁻¹) below it. -inf where `bound` was
        False and the route did not give it.
    route : str
        How the rows were found before refinement: "greedy" or "relaxation".
    n_swaps : int
        The number of exchanges that refinement made.

    Examples
    --------
    >>> import numpy as np
    >>> import skmm_fast as skmm
    >>> found = skmm.v_optimal(np.tile(np.eye(3), (20, 1)), 6)
    >>> round(found.objective, 6), found.route
    (3.0, 'greedy')
    """

    indices: Indices
    objective: float
    ridge: float
    lower_bound: float
    route: str
    n_swaps: int


@dataclass(frozen=True)
class VOptimalOptions:
    """Options of V-optimal selection, as `v_optimal` describes them; checked when they are made."""

    sampler: Sampler = "greedy"
    block: int = 1
    refine: bool = True
    effort: Effort = "fast"
    temperature: float = 0.1
    tol: float = TOL
    route: Route = "auto"

    def __post_init__(self) -> None:
        checks.choice("sampler", self.sampler, get_args(Sampler))
        checks.integer("block", self.block, 1)
        checks.boolean("refine", self.refine)
        checks.choice("effort", self.effort, get_args(Effort))
        checks.real("temperature", self.temperature, above=0.0)
        checks.real("tol", self.tol, above=0.0)
        checks.choice("route", self.route, get_args(Route))


def v_optimal(
    Z: DenseMatrix,
    n: int | float,
    *,
    sampler: Sampler = VOptimalOptions.sampler,
    block: int = VOptimalOptions.block,
    refine: bool = VOptimalOptions.refine,
    effort: Effort = VOptimalOptions.effort,
    temperature: float = VOptimalOptions.temperature,
    tol: float = VOptimalOptions.tol,
    route: Route = VOptimalOptions.route,
    bound: bool = True,
    y: VectorLike | None = None,
    per_class: PerClass | None = None,
    include: VectorLike | None = None,
    exclude: VectorLike | None = None,
    seed: int = 0,
    n_threads: int | None = None,
    progress: bool = False,
) -> VOptimal:
    """Choose n rows of Z that make tr(Σ̃ Σ̃_S⁻¹) = n tr((W_SᵀW_S)⁻¹) small, W = Z Σ̃^(-1/2).

    There are two routes. "greedy" adds rows one (or up to `block`) at a time by the gain ‖Cw‖²/(1 +
    wᵀCw), C = (W_SᵀW_S + I)⁻¹, with one pass over Z per block. "relaxation" solves the convex
    relaxation, in time that grows little with n, and draws n rows from it along the classes and the
    first principal direction. Where n < rank(Z) no n rows span Z: then the same rule minimises n
    tr((W_SᵀW_S + I)⁻¹), and a warning says so.

    Parameters
    ----------
    Z : (N, m) array or tensor
        float32 or float64; a tensor on a CUDA device stays there.
    n : int or float
        A count in [1, N], or a share of N in (0, 1).
    sampler : {"greedy", "linear", "exp"}
        "greedy" takes the largest gain. "linear" draws with probability proportional to the gain,
        "exp" to exp(gain / (temperature · largest gain)).
    block : int, default 1
        Rows added per pass at most (at least 256 where Z is on a device and the sampler is greedy).
        In a greedy block each row is scored after the ones before it, and the block ends where a
        row outside may be better.
    refine : bool, default True
        Exchange rows: the best row comes in, the least useful goes out. Exchanges end at the latest
        where the objective is within `tol` of the lower bound, if one is computed.
    effort : {"fast", "full"}
        When exchanges end. "fast": when a round of them reduces the objective by no more than
        0.03%. "full": when no swap with the best candidates helps, which took up to twice as long
        and gave up to 0.5% on data tried.
    temperature : float, default 0.1
        That of the "exp" sampler.
    tol : float, default 0.005
        The relative gap at which the relaxation ends; exchanges end within it of the bound.
    route : {"auto", "greedy", "relaxation"}
        "auto" takes the route of fewer operations, and with `bound`, which needs the relaxation,
        its route where greedy additions take more than 10⁹. It takes the relaxation only for
        n > 2 rank(Z), or n > 10 rank(Z) without `refine`, since few rows drawn lose much.
    bound : bool, default True
        Compute the lower bound where the route does not give it.
    y : (N,) labels, optional
        Classes along which draws are spread, and which `per_class` counts.
    per_class : {"proportional", "balanced"} or mapping, optional
        How many rows of each class: in proportion to the classes' sizes, equally many, or a mapping
        of classes to counts (0 where a class is absent).
    include, exclude : row numbers, optional
        Rows that must and must not be chosen; with `per_class`, inside its counts.
    seed : int, default 0
        The seed of the random samplers, and of the draw.
    n_threads : int, optional
        Threads of the core. The selection does not depend on it.
    progress : bool, default False
        Show bars (needs tqdm).

    Returns
    -------
    VOptimal

    Raises
    ------
    TypeError, ValueError
        An argument of a wrong type, shape or value, NaN or Inf in Z, constraints that no n rows
        meet. The message names the argument, what was expected and what came.

    Notes
    -----
    SkMM, arXiv 2407.06120, equation 3; the greedy samplers are those of the authors' SkMMv2.

    Examples
    --------
    >>> import numpy as np
    >>> import skmm_fast as skmm
    >>> Z = np.random.default_rng(0).standard_normal((500, 8))
    >>> found = skmm.v_optimal(Z, 40)
    >>> len(found.indices), found.lower_bound <= found.objective <= 1.05 * found.lower_bound
    (40, True)
    """
    problem = Problem.of_matrix(
        Z, n, y=y, per_class=per_class, include=include, exclude=exclude, seed=seed,
        n_threads=n_threads, progress=progress,
    )  # fmt: skip
    options = VOptimalOptions(sampler, block, refine, effort, temperature, tol, route)
    return solve(problem, options, checks.boolean("bound", bound))[0]


def run(problem: Problem, **options: Any) -> Chosen:
    """V-optimal selection as a method of `select`. Its options are VOptimalOptions."""
    found, relaxed = solve(problem, VOptimalOptions(**options))
    facts = {
        "route": found.route,
        "n_swaps": found.n_swaps,
        "ridge": found.ridge,
        "lower_bound": found.lower_bound,
    }
    return Chosen(found.indices, facts, relaxed)


def solve(
    problem: Problem, o: VOptimalOptions, bound: bool = True
) -> tuple[VOptimal, Relaxation | None]:
    """The selection, and the relaxation where the route or `bound` asked for it. In a pool that is
    whitened by another second moment Σ than Σ̃ both are about tr(Σ Σ̃_S⁻¹)."""
    pool, constraints, n = problem.pool, problem.constraints, problem.n
    if constraints.ranks is not None and o.sampler != "greedy":
        raise ValueError(
            f"sampler: expected 'greedy' where rows are on several ranks, got {o.sampler!r}"
        )
    n_rows, rank, block = len(pool.Z), pool.moments.rank, min(int(o.block), n)
    if n < rank:
        warnings.warn(
            f"n = {n} < rank(Z) = {rank}: no n rows span Z, so tr(Σ̃ Σ̃_S⁻¹) is infinite; "
            "the rows chosen minimise it with a ridge. A sketch_dim of at most n/2 avoids this",
            stacklevel=3,
        )
    route: str = o.route
    if route == "auto":
        route = best_route(n_rows, pool.Z.shape[1], rank, n, block, o.sampler, o.refine, bound)
    relaxed: Relaxation | None = None
    if bound or route == "relaxation":
        with bar("relaxation", None, problem.progress, "steps") as tick:
            relaxed = relax(pool, constraints, o.tol, tick)
    start = np.empty(0, np.int64)
    if relaxed is not None and not np.isfinite(relaxed.value):
        route = "greedy"  # the rows that are allowed do not span Z
    if route == "relaxation" and relaxed is not None:
        drawn = draw_along(problem, relaxed.s)
        start = np.setdiff1d(drawn, constraints.include, assume_unique=True)
    enough = (1 + o.tol) * relaxed.lower_bound if relaxed is not None else 0.0
    rows, n_swaps = _choose(
        problem, start, o.sampler, block, float(o.temperature), o.refine, PAYS[o.effort], enough
    )
    objective, ridge = pool.trace_and_largest(rows)[0], 0.0
    least = relaxed.lower_bound if relaxed is not None else -np.inf
    if not np.isfinite(objective):
        ridge = _ridge(pool)
        objective = pool.trace_and_largest(rows, ridge)[0]
        plain = pool.W.plain or pool.W
        if -np.inf < least < np.inf and none_spans_by_counts(plain, constraints, problem.seed):
            least = np.inf
    return VOptimal(rows, objective, ridge, least, route, n_swaps), relaxed


def polish(problem: Problem, rows: Indices) -> tuple[Indices, int, Relaxation]:
    """Exchanges from these n rows on, their number, and the relaxation that says when to stop."""
    with bar("relaxation", None, problem.progress, "steps") as tick:
        relaxed = relax(problem.pool, problem.constraints, TOL, tick)
    start = np.setdiff1d(rows, problem.constraints.include, assume_unique=True)
    enough = (1 + TOL) * relaxed.lower_bound
    return *_choose(problem, start, "greedy", 1, 1.0, True, PAYS["fast"], enough), relaxed


def _choose(
    problem: Problem,
    start: Indices,
    sampler: str,
    block: int,
    temperature: float,
    refine: bool,
    pays: float,
    enough: float,
) -> tuple[Indices, int]:
    """n rows, ascending, and the number of exchanges: `start` and those of include, rows added to
    them, and exchanges until tr(Σ̃ Σ̃_S⁻¹) <= enough."""
    W = problem.pool.W
    if sampler == "greedy":
        block = max(block, W.A.least_block)
    with bar_then_count("choose rows", problem.n, "exchanges", problem.progress) as tick:
        design = _core.v_optimal(
            W.A.core, W.B, problem.constraints.core, block, getattr(_core.Sampler, sampler),
            temperature, _ridge(problem.pool), refine, pays, enough / problem.n, problem.seed,
            start.tolist(), problem.n_threads, tick, problem.constraints.here.strips,
        )  # fmt: skip
        if tick is not None and refine:
            tick(problem.n + 1 + design.swaps)
    return np.sort(design.rows), design.swaps


def _ridge(pool: Pool) -> float:
    """RIDGE in its unit, or what keeps W_SᵀW_S + ridge I regular for any rows S."""
    W = pool.W
    return RIDGE * max(W.unit, 4 * len(pool.Z) * W.largest * rounding_of_moments(W.rank))


def best_route(
    n_rows: int, m: int, rank: int, n: int, block: int, sampler: str, refine: bool, bound: bool
) -> str:
    """The route of fewer operations: a choice that no clock enters, so that it is the same
    everywhere. With the bound, the relaxation is solved anyway and its route costs nothing more;
    greedy additions are then taken only up to FEW operations."""
    if sampler != "greedy" or n <= (2 if refine else 10) * rank:
        return "greedy"
    most = operations("relaxation", n_rows, m, n)
    if bound:
        most = min(most, FEW)
    return "greedy" if operations("greedy", n_rows, m, n, block) <= most else "relaxation"


def operations(route: str, n_rows: int, m: int, n: int, block: int = 1) -> float:
    """About how many multiplications and additions a route takes. In products of matrices they run
    four times as fast as elsewhere, and are counted as a quarter."""
    if route == "relaxation":
        rounds, steps = 4, 8  # more than usual: greedy additions are the better start where cheap
        return rounds * (2 * n_rows + steps * 3 * candidates(n_rows, n)) * m * m / 4
    return n / block * n_rows * m * min(4 * block, m)


def cost(work: Work, speed: Speed) -> Cost:
    """The relaxation, greedy additions, and exchanges, with the default options."""
    N, m, n = work.n_rows, work.dim, work.n
    route = best_route(N, m, m, n, 1, "greedy", True, True)
    seconds = seconds_of_relaxation(N, m, n, speed)
    if route == "greedy":
        seconds += n * max(work.copy / speed.bytes, 4 * N * m / (speed.flops / 4))
    if n < 20 * m:  # else a draw is as good as the bound asks
        rounds, swaps = 3, min(SWAPS * n, MOST_SWAPS * m)
        listed = n + max(2048, n // 2)
        sweeps = rounds * n * 256 * 4 * m
        seconds += (rounds * 4 * N * m * m + sweeps) / speed.flops + rounds * N * speed.row
        seconds += swaps * (2 * listed * 4 * m + 20 * m * m) / (speed.flops / 12)
    return Cost(seconds=seconds, route=route, bound=True)
