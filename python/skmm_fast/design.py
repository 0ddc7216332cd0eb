"""Stage 2, V-optimal selection: rows that make tr(Σ̃ Σ̃_S⁻¹) small, the variance part of the risk
(SkMM, arXiv 2407.06120, equation 3; sequential selection as in the authors' SkMMv2)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _core, _validate
from ._progress import bar
from ._quotas import groups
from ._validate import Array, Floats, Indices
from .pool import Pool

SAMPLERS = ("greedy", "linear", "exp")

# The start M = ridge I, in units of one average row seen along each direction of W. A start of one
# row gave better selections than random pivoting at every shape tried, and keeps float64 exact.
RIDGE = 1.0


@dataclass(frozen=True)
class VOptimal:
    """A V-optimal selection."""

    indices: Indices  # (n,), ascending
    objective: float  # n tr((W_SᵀW_S + ridge I)⁻¹); tr(Σ̃ Σ̃_S⁻¹) where ridge = 0
    ridge: float  # > 0 where W_S does not have full rank
    lower_bound: float  # no n rows have tr(Σ̃ Σ̃_S⁻¹) below this
    route: str  # how the rows were found: "greedy"
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
    y: Any = None,
    per_class: str | Mapping[Any, int] | None = None,
    include: Any = None,
    exclude: Any = None,
    bound: bool = True,
    n_threads: int | None = None,
    progress: bool = False,
) -> VOptimal:
    """Choose n rows of Z that make tr(Σ̃ Σ̃_S⁻¹) = n tr((W_SᵀW_S)⁻¹) small, W = Z Σ̃^(-1/2).

    Rows are added one (or `block`) at a time by the gain ‖Cw‖²/(1 + wᵀCw), C = (W_SᵀW_S + I)⁻¹;
    one pass over W per block. Where n < rank(Z) no n rows span Z: then the same rule minimises
    n tr((W_SᵀW_S + I)⁻¹), and a warning says so.

    Parameters
    ----------
    Z : (N, m) float32 or float64
    n : an int in [1, N] or a share of N
    sampler : "greedy" takes the largest gain; "linear" draws with probability proportional to the
        gain; "exp" to exp(gain / (temperature · largest gain))
    block : rows added per pass; in a greedy block each row is scored after the ones before it
    refine : exchange rows until no swap helps: the best row comes in, the least useful goes out
    seed : of the random samplers
    y, per_class : (N,) labels and how many rows of each: "proportional" (to the classes' sizes),
        "balanced", or a mapping of classes to their counts (0 where absent)
    include, exclude : rows that must and must not be chosen; with per_class, inside its counts
    bound : compute the lower bound (some dozens of passes over W)
    n_threads : of the core; the selection does not depend on it
    progress : show a bar (needs tqdm)

    Raises
    ------
    TypeError, ValueError : naming the argument, what was expected and what came.
    """
    pool = Pool.of(Z)
    n_rows, rank, W = len(pool.Z), pool.moments.rank, pool.W
    n = _validate.count(n, n_rows)
    _validate.choice("sampler", sampler, SAMPLERS)
    block = min(_validate.integer("block", block, 1), n)
    refine = _validate.boolean("refine", refine)
    _validate.real("temperature", temperature, above=0.0)
    include, exclude = _validate.constraints(n_rows, n, include, exclude)
    group, quota = groups(n_rows, n, y, per_class, include, exclude)
    if n < rank:
        warnings.warn(
            f"n = {n} < rank(Z) = {rank}: no n rows span Z, so tr(Σ̃ Σ̃_S⁻¹) is infinite; "
            "the rows chosen minimise it with a ridge. A sketch_dim of at most n/2 avoids this",
            stacklevel=2,
        )
    threads = _validate.threads(n_threads)
    with bar("choose rows", n, progress) as tick:
        rows, n_swaps = _core.v_optimal(
            W, n, block, getattr(_core.Sampler, sampler), temperature, RIDGE, refine,
            _validate.seed(seed), group, quota, include.tolist(), threads, tick,
        )  # fmt: skip
    rows = np.sort(rows)
    objective, ridge = trace_and_largest(W, rows)[0], 0.0
    if not np.isfinite(objective):
        objective, ridge = trace_and_largest(W, rows, RIDGE)[0], RIDGE
    return VOptimal(
        indices=rows,
        objective=objective,
        ridge=ridge,
        lower_bound=lower_bound(W, n, n_threads=n_threads) if bound else -np.inf,
        route="greedy",
        n_swaps=n_swaps,
    )


def trace_and_largest(W: Array, S: Indices, ridge: float = 0.0) -> tuple[float, float]:
    """Trace and largest eigenvalue of n (W_SᵀW_S + ridge I)⁻¹, which for ridge = 0 are those of
    Σ̃ Σ̃_S⁻¹; infinite where that does not exist to float64 rounding."""
    W_S = W[S].astype(np.float64)
    eigenvalues = (np.linalg.eigvalsh(W_S.T @ W_S) + ridge) / len(S)
    k = len(eigenvalues)
    if eigenvalues[0] <= k * np.finfo(np.float64).eps * eigenvalues[-1]:
        return np.inf, np.inf
    return float((1 / eigenvalues).sum()), float(1 / eigenvalues[0])


def lower_bound(
    W: Array,
    n: int,
    tol: float = 5e-3,
    max_steps: int = 200,
    n_threads: int | None = None,
) -> float:
    """A number that no n distinct rows of W undercut in n tr((W_SᵀW_S)⁻¹).

    From the convex relaxation f(s) = tr((Wᵀdiag(s)W)⁻¹) over 0 <= s <= 1/n, Σ s = 1: by convexity
    f >= f(s) + min ⟨∇f(s), s' - s⟩ at every s, here 2 f(s) - (mean of the n largest ‖Cw‖²),
    C = (Wᵀdiag(s)W)⁻¹. Projected gradient with Barzilai-Borwein steps (SPG: Birgin, Martínez and
    Raydan, 2000) from uniform s brings the bound within `tol` of min f, or stops at max_steps.
    """
    threads = _validate.threads(n_threads)
    N, k = W.shape

    def evaluate(s: Floats) -> tuple[float, Floats]:
        M = np.zeros((k, k))
        for rows in _validate.row_blocks(W):
            block = W[rows].astype(np.float64)
            M += (block * s[rows, None]).T @ block
        try:
            L = np.linalg.inv(np.linalg.cholesky(M))
        except np.linalg.LinAlgError:
            return np.inf, s  # the line search turns back from here
        C = L.T @ L
        g = np.empty(N)
        for rows in _validate.row_blocks(W):
            g[rows] = -np.square(W[rows].astype(np.float64) @ C).sum(axis=1)
        return float(np.trace(C)), g

    def project(s: Floats) -> Floats:
        return _core.project_capped_simplex(s, 1 / n, 1.0, threads)

    s = np.full(N, 1 / N)
    f, g = evaluate(s)
    step, recent, best = 1 / (N * np.abs(g).max()), [f], 0.0
    for _ in range(max_steps):
        best = max(best, 2 * f + float(np.partition(g, n - 1)[:n].mean()))
        if f - best <= tol * f:
            break
        d = project(s - step * g) - s
        slope, t = float(g @ d), 1.0
        while True:  # non-monotone Armijo rule
            f_next, g_next = evaluate(s + t * d)
            if f_next <= max(recent[-10:]) + 1e-4 * t * slope or t < 1e-10:
                break
            t /= 2
        if not np.isfinite(f_next):
            break
        change = t * d
        curvature = float(change @ (g_next - g))
        step = float(change @ change) / curvature if curvature > 0 else 2 * step
        s, f, g = s + change, f_next, g_next
        recent.append(f)
    return best * (1 - 16 * float(np.finfo(W.dtype).eps))  # W is known to its own rounding
