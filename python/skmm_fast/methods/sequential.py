"""Rows chosen one after another, each after one pass over all rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _core
from .._support import checks
from .._support.progress import bar
from .._support.types import DenseMatrix, Indices, Matrix
from ..pool.host_rows import HostRowMatrix
from ..pool.row_matrix import RowMatrix
from .cost import Cost, Speed, Work
from .model_outputs import log, predicted
from .problem import Chosen, Problem
from .targets import mean_gradient, second_moment


def herding(problem: Problem) -> Chosen:
    """Each pick brings the mean of the chosen rows nearest to the mean μ of all: the (t+1)-th
    minimises ‖(t+1)μ - Σ_S z - z_i‖ (Welling 2009; Rebuffi et al. 2017, algorithm 4)."""
    pool = problem.pool
    mean, norms = pool.Z.mean(), pool.squared_norms
    return _picks(problem, _core.herding_pursuit, pool.Z, mean, mean, None, norms)


def glister(problem: Problem, validation: Matrix | None = None, eta: float | None = None) -> Chosen:
    """Each pick has the largest ⟨z_i, v⟩. v begins as the mean gradient of the validation samples,
    and every pick z moves it: v -= (eta/n) Σ_V z (Killamsetty et al. 2021, algorithm 1, with a
    quadratic model of the validation loss in the sketch).

    validation (N_V, r) has the columns of X; the default is the target, of whose tasks each counts
    the same, and without one X itself. Σ_V, the second moment of the validation gradients, stands
    for the Hessian of the loss. eta is 1/λ_1(Σ_V) by default.
    """
    if eta is not None:
        eta = checks.real("eta", eta, above=0.0)
    if validation is None:
        tasks = problem.targets or (problem.pool,)
    elif problem.make_targets:
        raise ValueError("validation: expected None with a target, which takes its place, got both")
    else:
        tasks = (problem.like_pool("validation", validation, None)(),)
    sigma = second_moment(tasks)
    step = 1 / np.linalg.norm(sigma, 2) if eta is None else eta
    response = step / problem.n * sigma
    no_penalty = np.zeros(problem.n_rows)
    return _picks(
        problem, _core.herding_pursuit, problem.pool.Z, mean_gradient(tasks), np.zeros(len(sigma)),
        (response + response.T) / 2, no_penalty,
    )  # fmt: skip


def k_center(problem: Problem) -> Chosen:
    """Each pick is the row farthest from its nearest chosen row; the first pick is random (Gonzalez
    1985; Sener and Savarese 2018)."""
    pool = problem.pool
    norms = pool.squared_norms
    return _picks(problem, _core.k_center, pool.Z, 0, norms, problem.seed)


def contextual_diversity(
    problem: Problem, probs: DenseMatrix | None = None, logits: DenseMatrix | None = None
) -> Chosen:
    """k-center, where the squared distance of two rows is the symmetric Kullback-Leibler divergence
    Σ_c (p_c - q_c)(log p_c - log q_c) of their predicted probabilities (Agarwal et al. 2020)."""
    C, blocks = predicted(problem.n_rows, "contextual-diversity", probs, logits)
    both, own = np.empty((problem.n_rows, 2 * C)), np.empty(problem.n_rows)
    for rows, p in blocks:
        both[rows, :C], both[rows, C:] = p, log(p)
        own[rows] = 2 * (both[rows, :C] * both[rows, C:]).sum(axis=1)
    return _picks(problem, _core.k_center, HostRowMatrix(both), C, own, problem.seed)


def adaptive(problem: Problem) -> Chosen:
    """Random pivoting: each pick is drawn with probability proportional to the squared norm of its
    residual beside the span of the rows chosen. Where all residuals are rounding, the span begins
    anew (Deshpande and Vempala 2006; Chen, Epperly, Tropp and Webber 2022)."""
    pool = problem.pool
    norms = pool.squared_norms
    return _picks(problem, _core.random_pivoting, pool.Z, norms, problem.seed)


def cost(work: Work, speed: Speed) -> Cost:
    """A pass over Z for each row chosen."""
    return Cost(seconds=work.n * (work.copy / speed.bytes + work.n_rows * speed.row / 8))


def _picks(
    problem: Problem, pick: Callable[..., Indices], rows: RowMatrix, *arguments: Any
) -> Chosen:
    """The rows that a sequential method of the core picks."""
    with bar("choose rows", problem.n, problem.progress) as tick:
        chosen = pick(rows.core, problem.constraints.core, *arguments, problem.n_threads, tick)
    return Chosen(np.sort(chosen))
