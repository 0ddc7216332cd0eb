"""What selection is compared with: every other method of `select`.

Each is a function of a `Request` and of options of its own. Rows are exactly n, within the
constraints; ties of scores are drawn, others go to the lowest row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from .. import _core
from .._support import checks
from .._support.checks import Array, Floats, Indices
from .._support.progress import bar
from ..pool.pool import Pool
from ..pool.row_matrix import HostRows, Rows
from . import model_scores
from .problem import Method, Request
from .sampling import group_seed

Found = tuple[Indices, dict[str, Any]]

SUBSETS = 1 << 16  # of random draws: numbers from here on; the diagnosis has those below


def uniform(request: Request) -> Found:
    """Uniform draws without replacement in each group."""
    return _each_group(request, lambda rows, count, g: _drawn(rows, count, request.seed, g))


def class_balanced(request: Request) -> Found:
    """Uniform draws of equally many rows of each class; small classes give all they have."""
    if request.y is None:
        raise ValueError("y: expected labels with method 'class-balanced', got None")
    if request.per_class is not None:
        raise ValueError("per_class: expected None with method 'class-balanced', which sets it")
    return uniform(replace(request, per_class="balanced"))


def t_leverage(request: Request, rank: int | None = None) -> Found:
    """Draws with probability proportional (up to 1) to the truncated leverage scores
    Σ_{j <= rank} ⟨z_i, v_j⟩² / (N λ_j) (Drineas, Mahoney and Muthukrishnan 2008; SkMM, arXiv
    2407.06120, section 5). rank: 1 to that of Z, which is the default."""
    if rank is not None:
        checks.integer("rank", rank, 1)
    mom = request.pool.moments
    k = mom.rank if rank is None else checks.integer("rank", rank, 1, mom.rank)
    return _by_leverage(request, mom.eigenvectors[:, :k], request.N * mom.eigenvalues[:k])


def r_leverage(request: Request, ridge: float | None = None) -> Found:
    """Likewise, by the ridge leverage scores z_iᵀ(ZᵀZ + ridge I)⁻¹z_i (Alaoui and Mahoney 2015).

    ridge > 0, in units of eigenvalues of ZᵀZ. Default: the mean over half of the rank(Z)
    directions of what the others hold (Cohen, Musco and Musco 2017).
    """
    if ridge is not None:
        ridge = checks.real("ridge", ridge, above=0.0)
    mom = request.pool.moments
    if ridge is None:
        k = (mom.rank + 1) // 2
        ridge = request.N * float(mom.eigenvalues[k : mom.rank].sum()) / k
    kept = mom.eigenvectors[:, : mom.rank]
    return _by_leverage(request, kept, request.N * mom.eigenvalues[: mom.rank] + ridge)


def herding(request: Request) -> Found:
    """Each row brings the mean of those chosen nearest to the mean of all: it minimises
    ‖(t+1)μ - Σ_S z - z_i‖ (Welling 2009; Rebuffi et al. 2017, algorithm 4)."""
    pool = request.pool
    mean, norms = pool.Z.mean(), pool.squared_norms(request.threads)
    return _picks(request, _core.pursue, pool.Z, mean, mean, None, norms)


def glister(request: Request, validation: Any = None, eta: float | None = None) -> Found:
    """Each row has the largest ⟨z_i, v⟩, v the mean gradient of the validation samples, which
    every pick moves: v -= (eta/n) Σ_V z (Killamsetty et al. 2021, algorithm 1, by a quadratic
    model of the validation loss in the sketch).

    validation: (N_V, r), rows with the columns of X; default: X itself. Σ_V, the second moment of
    their gradients, stands for the Hessian. eta: default 1/λ_1(Σ_V).
    """
    if eta is not None:
        eta = checks.real("eta", eta, above=0.0)
    if validation is None:
        pool = request.pool
    else:
        pool = Pool.of(request.sketched("validation", validation), "validation", request.threads)
    mom, m = pool.moments, pool.Z.shape[1]
    step = 1 / mom.eigenvalues[0] if eta is None else eta
    response = (mom.eigenvectors * (step / request.n * mom.eigenvalues)) @ mom.eigenvectors.T
    no_penalty = np.zeros(request.N)
    return _picks(
        request, _core.pursue, request.pool.Z, pool.Z.mean(), np.zeros(m),
        (response + response.T) / 2, no_penalty,
    )  # fmt: skip


def k_center(request: Request) -> Found:
    """Each row is farthest from its nearest one chosen; the first is random (Gonzalez 1985; Sener
    and Savarese 2018)."""
    pool = request.pool
    norms = pool.squared_norms(request.threads)
    return _picks(request, _core.cover, pool.Z, 0, norms, request.seed)


def contextual_diversity(request: Request, probs: Any = None, logits: Any = None) -> Found:
    """k-center, by the symmetric Kullback-Leibler divergence Σ_c (p_c - q_c)(log p_c - log q_c) of
    predicted probabilities (Agarwal et al. 2020)."""
    blocks = model_scores.predicted(request.N, "contextual-diversity", probs, logits, np.float64)
    C = np.shape(logits if probs is None else probs)[1]
    both, own = np.empty((request.N, 2 * C)), np.empty(request.N)
    for rows, p in blocks:
        both[rows, :C], both[rows, C:] = p, model_scores.log(p)
        own[rows] = 2 * (both[rows, :C] * both[rows, C:]).sum(axis=1)
    return _picks(request, _core.cover, HostRows(both), C, own, request.seed)


def adaptive(request: Request) -> Found:
    """Random pivoting: each row is drawn with probability proportional to the squared norm of its
    residual beside the span of those chosen; begun anew where residuals are rounding (Deshpande
    and Vempala 2006; Chen, Epperly, Tropp and Webber 2022)."""
    pool = request.pool
    norms = pool.squared_norms(request.threads)
    return _picks(request, _core.pivot, pool.Z, norms, request.seed)


def grand(request: Request) -> Found:
    """The largest gradients ‖z_i‖ (Paul, Ganguli and Dziugaite 2021, arXiv 2107.07075), at the
    weights at hand, in the sketch."""
    return _largest(request, request.pool.squared_norms(request.threads))


def _of_outputs(method: str, score: Callable[[Array], Array]) -> Method:
    def run(request: Request, probs: Any = None, logits: Any = None) -> Found:
        blocks = model_scores.predicted(request.N, method, probs, logits)
        return _largest(request, np.concatenate([score(p) for _, p in blocks]))

    run.__doc__ = score.__doc__
    return run


def el2n(request: Request, probs: Any = None, logits: Any = None) -> Found:
    """The largest errors ‖p - e_y‖₂; labels y count the columns (`model_scores.el2n`)."""
    blocks = model_scores.predicted(request.N, "el2n", probs, logits)
    if request.y is None:
        raise ValueError("y: expected labels with method 'el2n', got None")
    y, C = checks.vector("y", request.y), np.shape(logits if probs is None else probs)[1]
    if y.dtype.kind not in "iu" or y.min() < 0 or y.max() >= C:
        raise ValueError(
            f"y: expected integers in [0, {C - 1}] with method 'el2n', got {y.dtype} from "
            f"{y.min()!r} to {y.max()!r}"
        )
    return _largest(request, np.concatenate([model_scores.el2n(p, y[rows]) for rows, p in blocks]))


def deepfool(request: Request, logits: Any = None, head: Any = None) -> Found:
    """The smallest changes of features that change the class (`model_scores.deepfool`). logits
    (N, C), head (C, d): the weights of the last layer."""
    for name, value in (("logits", logits), ("head", head)):
        if value is None:
            raise ValueError(f"{name}: expected an array with method 'deepfool', got None")
    f = model_scores.outputs("logits", logits, request.N)
    W = model_scores.host_matrix("head", head)
    if len(W) != f.shape[1]:
        raise ValueError(f"head: expected {f.shape[1]} rows, one per logit, got shape {W.shape}")
    checks.raise_not_finite("head", checks.finite_rows(W))
    return _largest(request, model_scores.deepfool(f, W))


def forgetting(request: Request, record: Any = None) -> Found:
    """The samples most often forgotten (`model_scores.forgetting`). record (T, N) bool, T > 1, as
    `ForgettingRecord` makes it."""
    if record is None:
        raise ValueError("record: expected (T, N) bool with method 'forgetting', got None")
    array = model_scores.correctness(record)
    if array.dtype != np.bool_ or array.ndim != 2 or array.shape[1] != request.N or len(array) < 2:
        raise ValueError(
            f"record: expected bool of shape (T, {request.N}), T > 1, got {array.dtype} of shape "
            f"{array.shape}"
        )
    return _largest(request, model_scores.forgetting(array))


OF_ROWS: dict[str, Method] = {
    "uniform": uniform,
    "herding": herding,
    "k-center": k_center,
    "adaptive": adaptive,
    "t-leverage": t_leverage,
    "r-leverage": r_leverage,
    "grand": grand,
    "glister": glister,
}
OF_MORE: dict[str, Method] = {  # labels, outputs of a model, a record of its training
    "class-balanced": class_balanced,
    "entropy": _of_outputs("entropy", model_scores.entropy),
    "margin": _of_outputs("margin", model_scores.margin),
    "least-confidence": _of_outputs("least-confidence", model_scores.least_confidence),
    "el2n": el2n,
    "contextual-diversity": contextual_diversity,
    "deepfool": deepfool,
    "forgetting": forgetting,
}
ONE_BY_ONE = ("herding", "k-center", "adaptive", "glister")  # a pass over Z for each pick


def _picks(request: Request, pick: Callable[..., Indices], rows: Rows, *arguments: Any) -> Found:
    """One row after another, by the core."""
    allowed = request.allowed
    with bar("choose rows", request.n, request.progress) as tick:
        chosen = pick(
            rows.core, request.n, *arguments, allowed.group, allowed.counts,
            allowed.include.tolist(), request.threads, tick,
        )  # fmt: skip
    return np.sort(chosen), {}


def _each_group(request: Request, choose: Callable[[Indices, int, int], Indices]) -> Found:
    """Those of include, and `count` of the rows of each group g by choose(rows, count, g)."""
    order, groups = request.allowed.free()
    chosen, first = [request.allowed.include], 0
    for g, (size, count) in enumerate(groups):
        if count:
            chosen.append(choose(order[first : first + size], count, g))
        first += size
    return np.sort(np.concatenate(chosen)), {}


def _drawn(rows: Indices, count: int, seed: int, g: int) -> Indices:
    return rows[_core.draw_subset(len(rows), count, seed, SUBSETS + g)]


def _largest(request: Request, score: Array) -> Found:
    def choose(rows: Indices, count: int, g: int) -> Indices:
        x = score[rows]
        least = np.partition(x, len(x) - count)[len(x) - count]
        above, ties = rows[x > least], rows[x == least]
        return np.append(above, _drawn(ties, count - len(above), request.seed, g))

    return _each_group(request, choose)


def _by_leverage(request: Request, directions: Floats, weights: Floats) -> Found:
    """Drawn by Σ_j ⟨z_i, d_j⟩² / w_j, along a random order."""
    score = request.pool.Z.row_norms(directions / np.sqrt(weights), request.threads)

    def choose(rows: Indices, count: int, g: int) -> Indices:
        order = _core.random_order(len(rows), request.seed, SUBSETS + g)
        pi = inclusion(score[rows], count)
        return rows[_core.draw_pivotal(pi, count, group_seed(request.seed, g), order)]

    return _each_group(request, choose)


def inclusion(score: Floats, n: int) -> Floats:
    """(N,) probabilities min(1, c score_i) that sum to n; rows of score 0 share what the others
    cannot take."""
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
