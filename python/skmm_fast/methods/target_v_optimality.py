"""V-optimality as a method of `select`: of the pool, or of a target.

For a target the risk is that of the target's samples, and its variance part is tr(Σ Σ̃_S⁻¹) with
their second moment Σ in place of the pool's (SkMM, arXiv 2407.06120, equation 3).
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from .._support import checks
from .._support.rows_here import RowsHere
from .._support.types import Floats
from ..pool.pool import Pool
from ..pool.unit_rows import scaled_rows
from ..sketch.memmap import is_mapped
from . import v_optimality
from .problem import Chosen, Problem
from .v_optimality import VOptimal, VOptimalOptions

OverTargets = Literal["mean", "worst"]

# The share of the pool's second moment in Σ_t: the few rows of a task do not show all directions
# that matter to it, and W needs all of them.
POOL_SHARE = 0.1
# For the worst task: rounds, and the power of f_t by which weights grow. Where tasks share no
# direction a power of 2 would balance them in one round, where they share some it is too slow.
MOST_ROUNDS, POWER = 8, 3


@dataclass(frozen=True)
class SelectOptions(VOptimalOptions):
    """Options of V-optimality as a method of `select`: also what is made small of several tasks'
    V-optimalities, their mean or the largest."""

    over_targets: OverTargets = "mean"

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.choice("over_targets", self.over_targets, get_args(OverTargets))


def run(problem: Problem, **options: Any) -> Chosen:
    """V-optimal selection. Its options are SelectOptions.

    For a target, rows of pool and target are scaled to norm 1, and the selection makes
    f_t(S) = tr(Σ_t Σ̃_S⁻¹) small, on the numerical range of the pool's rows. Σ_t is 0.9 times the
    second moment of the rows of task t plus 0.1 times that of the pool. Of several tasks it is the
    mean of f_t that is made small, or the largest f_t.
    """
    o = SelectOptions(**options)
    if not problem.make_targets:
        if o.over_targets != "mean":
            raise ValueError(
                f"over_targets: expected 'mean' without a target, got {o.over_targets!r}"
            )
        options.pop("over_targets", None)
        return v_optimality.run(problem, **options)
    pool = _of_unit_rows(problem)
    moments = np.stack([_moment(pool, task) for task in problem.targets])
    solve = _least_mean if o.over_targets == "mean" else _least_worst
    found, value, bound = solve(problem, pool, moments, o)
    facts = {
        "route": found.route,
        "n_swaps": found.n_swaps,
        "ridge": found.ridge,
        "target_v_optimality": value,
        "target_lower_bound": bound,
        "v_optimality_of_tasks": _of_tasks(pool, moments, found),
    }
    return Chosen(found.indices, facts)


def _least_mean(
    problem: Problem, pool: Pool, moments: Floats, o: VOptimalOptions
) -> tuple[VOptimal, float, float]:
    """A selection that makes the mean of f_t small, this mean, and a lower bound of it. The mean is
    the f of the mean moment."""
    found = _solve(problem, pool, moments.mean(axis=0), o)
    return found, float(np.mean(_of_tasks(pool, moments, found))), found.lower_bound


def _least_worst(
    problem: Problem, pool: Pool, moments: Floats, o: VOptimalOptions
) -> tuple[VOptimal, float, float]:
    """A selection that makes the largest f_t small, this largest one, and a lower bound of it.

    A weighted mean of f_t is made small in rounds, between which tasks of large f_t gain weight. No
    weighted mean exceeds the largest f_t, so that the largest bound of a round is a bound of it.
    """
    weights = np.full(len(moments), 1 / len(moments))
    best, least, bound = None, np.inf, -np.inf
    for _ in range(MOST_ROUNDS):
        found = _solve(problem, pool, np.tensordot(weights, moments, 1), o)
        values = _of_tasks(pool, moments, found)
        bound = max(bound, found.lower_bound)
        if best is None or values.max() < least:
            best, least = found, float(values.max())
        if not np.isfinite(values).all() or least <= (1 + o.tol) * bound:
            break
        weights = weights * (values / values.max()) ** POWER
        weights /= weights.sum()
    assert best is not None
    return best, least, bound


def _solve(problem: Problem, pool: Pool, moment: Floats, o: VOptimalOptions) -> VOptimal:
    """The V-optimal selection for this second moment, in the coordinates of the whitened pool."""
    return v_optimality.solve(replace(problem, make_pool=lambda: pool.weighted(moment)), o)[0]


def _of_tasks(pool: Pool, moments: Floats, found: VOptimal) -> Floats:
    """f_t of the selection, for each task."""
    return np.array([pool.weighted(M).trace_and_largest(found.indices)[0] for M in moments])


def _of_unit_rows(problem: Problem) -> Pool:
    """The pool of the rows of X scaled to norm 1: a copy, as large as Z."""
    Z, scratch_dir = problem.pool.Z, problem.scratch_dir
    if scratch_dir is None and is_mapped(Z.x):
        scratch_dir = tempfile.gettempdir()
    rows = scaled_rows("X", Z, scratch_dir)
    return Pool.of_rows(rows, "X", problem.n_threads)


def _moment(pool: Pool, task: Pool) -> Floats:
    """Σ_t in the coordinates of the whitened pool, where Σ̃ is I."""
    rows = scaled_rows("target", task.Z)
    here = RowsHere(len(pool.Z), pool.Z.ranks)
    own = here.same("target", rows.gram(pool.W.D) / len(rows))
    return (1 - POOL_SHARE) * own + POOL_SHARE * np.eye(len(own))
