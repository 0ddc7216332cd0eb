"""The convex relaxation of V-optimal selection: a certified bound, and inclusion probabilities.

minimise f(s) = tr((Wᵀ diag(s) W)⁻¹) over 0 <= s <= 1/n, Σ s = 1 (and its counts in each group).
Every n rows are such an s, with f = tr(Σ̃ Σ̃_S⁻¹) (SkMM, arXiv 2407.06120, equation 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .. import _core
from .._support import checks
from .._support.checks import Floats, Indices
from ..pool.pool import Pool, Whitened, rounding_of_moments
from .constraints import Quotas, quotas

TOL = 5e-3
MAX_ROUNDS = 30  # of all rows
MAX_STEPS = 100  # of a round, among the rows that matter
USUAL = 4, 8  # of each
CANDIDATES = 4, 1000  # rows of a group that join a round: so many times its count, and some more


@dataclass(frozen=True)
class Relaxation:
    s: Floats  # (N,)
    value: float  # f(s)
    lower_bound: float  # f is nowhere less, nor is tr(Σ̃ Σ̃_S⁻¹) of any rows S that are allowed
    n_rounds: int  # evaluations over all rows


def candidates(n_rows: int, n: int) -> int:
    """About how many rows a round runs on."""
    return min(n_rows, 2 * (CANDIDATES[0] * n + CANDIDATES[1]))


def lower_bound(pool: Pool, n: int, n_threads: int | None = None) -> float:
    """A number that no n distinct rows undercut in tr(Σ̃ Σ̃_S⁻¹)."""
    return relax(pool, quotas(len(pool.Z), n), n_threads=n_threads).lower_bound


def relax(
    pool: Pool, allowed: Quotas, tol: float = TOL, n_threads: int | None = None
) -> Relaxation:
    """The solution, remembered by the pool where all rows are allowed."""
    key = ("relaxation", allowed.n, tol)
    if allowed.constrained:
        return _solve(pool, allowed, tol, checks.threads(n_threads))
    if key not in pool.memo:
        pool.memo[key] = _solve(pool, allowed, tol, checks.threads(n_threads))
    solved: Relaxation = pool.memo[key]
    return solved


def _solve(pool: Pool, allowed: Quotas, tol: float, threads: int) -> Relaxation:
    """s with f(s) - min f <= tol f(s), or what MAX_ROUNDS reach.

    The bound: f is convex and f(a s) = f(s) / a, so f(s') >= f(s)² / ⟨-∇f(s), s'⟩ for all s', where
    ∇f(s)_i = -‖Cw_i‖², C = (Wᵀ diag(s) W)⁻¹. A round evaluates it for all rows; then projected
    gradient with Barzilai-Borwein steps (SPG: Birgin, Martínez and Raydan, 2000) runs on the rows
    where s > 0 and those of largest ‖Cw_i‖². The first s is uniform.
    """
    W, n = pool.W, allowed.n
    order, groups = allowed.free()
    edges = np.cumsum([0, *(size for size, _ in groups)])
    fixed = W.rows(allowed.include)
    M_fixed = fixed.T @ fixed / n
    s = np.concatenate([np.full(size, count / n / max(size, 1)) for size, count in groups])
    whole = np.zeros(len(pool.Z))

    def put(s: Floats) -> Floats:
        whole[allowed.include] = 1 / n
        whole[order] = s
        return whole

    M = W.B.T @ W.A.second_moment(put(s), threads) @ W.B
    C, best = _inverse(M), 0.0
    if C is None:  # the rows allowed do not span Z
        return Relaxation(whole, np.inf, np.inf, 0)
    n_rounds = 0
    while n_rounds < MAX_ROUNDS:
        n_rounds += 1
        f, q_all = float(np.trace(C)), W.A.row_norms(W.B @ C, threads)
        q = q_all[order]
        most = float(q_all[allowed.include].sum()) / n + _support(
            q, groups, edges, n, min(1e-4, tol / 10) * f, threads
        )
        best = max(best, f * f / most)
        if f - best <= tol * f or all(count in (0, size) for size, count in groups):
            break
        active = _active(s, q, groups, edges)
        gap = max(tol / 4, (f - best) / f / 10)
        while True:
            W_active = Whitened(W.A.take(order[active]), W.B)
            ends = np.searchsorted(active, edges)
            parts = [
                (slice(a, b), count)
                for (a, b), (_, count) in zip(pairwise(ends), groups, strict=True)
            ]
            s_active, C_next = _descend(W_active, s[active], M_fixed, n, parts, gap, threads)
            if C_next is not None or len(active) == len(s):
                break
            active = np.arange(len(s))  # the candidates do not span Z
        if C_next is None or (n_rounds > 1 and np.trace(C_next) > f * (1 - 1e-12)):
            break
        s[:] = 0.0
        s[active] = s_active
        C = C_next
    return Relaxation(put(s).copy(), float(np.trace(C)), best * (1 - _rounding(W, C)), n_rounds)


def _rounding(W: Whitened, C: Floats) -> float:
    """Relative error of f and its gradient: of the products, by the condition of C, and of W."""
    eigenvalues = np.linalg.eigvalsh(C)
    condition = float(eigenvalues[-1] / eigenvalues[0])
    return 1e-9 + 16 * (len(C) * float(np.finfo(np.float64).eps) * condition + W.error)


def _support(
    q: Floats, groups: list[tuple[int, int]], edges: Indices, n: int, slack: float, threads: int
) -> float:
    """max ⟨q, s⟩ over the feasible s, exceeded by slack at most."""
    return sum(
        _core.support(q[a:b], 1 / n, count, slack / len(groups), threads)
        for (a, b), (_, count) in zip(pairwise(edges), groups, strict=True)
        if count > 0
    )


def _active(s: Floats, q: Floats, groups: list[tuple[int, int]], edges: Indices) -> Indices:
    """Rows of largest q; and those of positive s, or as many evenly spaced where s is uniform."""
    chosen = []
    for (a, b), (size, count) in zip(pairwise(edges), groups, strict=True):
        if count == 0:
            continue
        wanted = CANDIDATES[0] * count + CANDIDATES[1]
        if 2 * wanted >= size:
            chosen.append(np.arange(a, b))
            continue
        top = np.argpartition(q[a:b], size - wanted)[size - wanted :]
        support = np.flatnonzero(s[a:b])
        if len(support) == size:
            support = np.arange(0, size, size // wanted)
        chosen.append(a + np.union1d(top, support))
    return np.concatenate(chosen)


def _inverse(M: Floats) -> Floats | None:
    """M⁻¹, or None where M is singular to rounding. Whether a Cholesky factorisation of a
    singular matrix raises is luck, so the condition number decides."""
    try:
        L = np.linalg.inv(np.linalg.cholesky(M))
    except np.linalg.LinAlgError:
        return None
    C = L.T @ L
    regular = np.linalg.norm(M) * np.linalg.norm(C) * rounding_of_moments(len(M)) < 1
    return C if regular else None  # NaN is not regular


def _descend(
    W: Whitened,
    s: Floats,
    M_fixed: Floats,
    n: int,
    groups: list[tuple[slice, int]],
    gap: float,
    threads: int,
) -> tuple[Floats, Floats | None]:
    """s with f within gap f(s) of its minimum over these rows, and C there (None: singular)."""

    def evaluate(s: Floats) -> tuple[float, Floats, Floats | None]:
        C = _inverse(M_fixed + W.B.T @ W.A.second_moment(s, threads) @ W.B)
        if C is None:
            return np.inf, s, None  # the line search turns back from here
        return float(np.trace(C)), -W.A.row_norms(W.B @ C, threads), C

    def project(s: Floats) -> Floats:
        s = s.copy()
        for part, count in groups:
            if count:
                s[part] = _core.project_capped_simplex(
                    np.ascontiguousarray(s[part]), 1 / n, count / n, threads
                )
        return s

    s = project(s)
    f, g, C = evaluate(s)
    if C is None:
        return s, None
    step, recent = 1 / (len(s) * np.abs(g).max()), [f]
    for _ in range(MAX_STEPS):
        least = sum(
            -_core.support(-g[part], 1 / n, count, 1e-2 * gap * f / len(groups), threads)
            for part, count in groups
            if count
        )
        if float(g @ s) - least <= gap * f:
            break
        d = project(s - step * g) - s
        slope, t = float(g @ d), 1.0
        while True:  # non-monotone Armijo rule
            f_next, g_next, C_next = evaluate(s + t * d)
            if f_next <= max(recent[-10:]) + 1e-4 * t * slope or t < 1e-10:
                break
            t /= 2
        if C_next is None:
            break
        change = t * d
        curvature = float(change @ (g_next - g))
        step = float(change @ change) / curvature if curvature > 0 else 2 * step
        s, f, g, C = s + change, f_next, g_next, C_next
        recent.append(f)
    return s, C
