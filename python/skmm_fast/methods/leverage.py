"""Draws by leverage scores: how far the rows reach along each direction of the pool."""

from __future__ import annotations

import numpy as np

from .. import _core
from .._support import checks
from .._support.types import Floats, Indices
from ..pool.inverses import EPS
from .groups import SUBSETS, each_group, group_seed
from .problem import Chosen, Problem


def t_leverage(problem: Problem, rank: int | None = None) -> Chosen:
    """Draw with probability proportional (up to 1) to the truncated leverage scores
    Σ_{j <= rank} ⟨z_i, v_j⟩² / (N λ_j) (Drineas, Mahoney and Muthukrishnan 2008; SkMM, arXiv
    2407.06120, section 5). rank lies between 1 and the rank of Z, which is the default."""
    if rank is not None:
        checks.integer("rank", rank, 1)
    mom = problem.pool.moments
    k = mom.rank if rank is None else checks.integer("rank", rank, 1, mom.rank)
    return _by_leverage(problem, mom.eigenvectors[:, :k], problem.n_rows * mom.eigenvalues[:k])


def r_leverage(problem: Problem, ridge: float | None = None) -> Chosen:
    """Draw with probability proportional (up to 1) to the ridge leverage scores
    z_iᵀ(ZᵀZ + ridge I)⁻¹z_i (Alaoui and Mahoney 2015).

    ridge > 0 is in units of eigenvalues of ZᵀZ. By default it is the sum of the smaller half of
    these eigenvalues, divided by the number of the others (Cohen, Musco and Musco 2017).
    """
    if ridge is not None:
        ridge = checks.real("ridge", ridge, above=0.0)
    mom = problem.pool.moments
    if ridge is None:
        k = (mom.rank + 1) // 2
        ridge = problem.n_rows * float(mom.eigenvalues[k : mom.rank].sum()) / k
    kept = mom.eigenvectors[:, : mom.rank]
    return _by_leverage(problem, kept, problem.n_rows * mom.eigenvalues[: mom.rank] + ridge)


def inclusion(score: Floats, n: int) -> Floats:
    """(N,) inclusion probabilities min(1, c score_i) that sum to n. Where fewer than n scores are
    positive, the rows of score 0 share the rest."""
    positive = int(np.count_nonzero(score > 0))
    if positive <= n:
        rest = (n - positive) / (len(score) - positive) if positive < len(score) else 1.0
        return np.where(score > 0, 1.0, rest)
    score = score / score.max()
    pi: Floats = score * (n / score.sum())
    while (over := pi > 1).any():
        pi[over] = 1.0
        below = pi < 1
        pi[below] *= (n - np.count_nonzero(~below)) / pi[below].sum()
    return pi


def _by_leverage(problem: Problem, directions: Floats, weights: Floats) -> Chosen:
    """Draw by the scores Σ_j ⟨z_i, d_j⟩² / w_j, along a random order; d_j are the columns of
    `directions`. A score that may be all rounding is 0: which rows have one must not be luck, where
    rows of score 0 share what others leave."""
    pool, D = problem.pool, directions / np.sqrt(weights)
    score = pool.Z.row_norms(D, problem.n_threads)
    rounding = np.square(4 * EPS * len(D) * np.linalg.norm(D, 2)) * pool.squared_norms
    score = np.where(score > rounding, score, 0.0)

    def choose(rows: Indices, count: int, g: int) -> Indices:
        order = _core.random_order(len(rows), problem.seed, SUBSETS + g)
        pi = inclusion(score[rows], count)
        return rows[_core.draw_pivotal(pi, count, group_seed(problem.seed, g), order)]

    return Chosen(each_group(problem.constraints, choose))
