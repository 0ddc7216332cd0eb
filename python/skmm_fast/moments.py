"""Stage 2, moment matching: a relaxed selection whose second moment dominates that of all rows
(SkMM, arXiv 2407.06120, equation 5 and section 3.3)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _core, _validate
from ._progress import bar
from ._validate import Array, Floats, Indices, inclusion_probabilities
from .pool import Pool, times

WEIGHTINGS = ("paper", "relative")


@dataclass(frozen=True)
class MomentMatch:
    """A relaxed selection and the proof of how good it is."""

    s: Floats  # (N,), 0 <= s_i <= 1/n, Σ s_i = 1
    gamma: Floats  # (rank,), γ_j = max(1/c_S, Σ_i s_i a_ij / λ_j)
    objective: float  # φ(s)
    gap: float  # φ(s) - min φ lies in [0, gap]
    n_iter: int
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
    include: Any = None,
    exclude: Any = None,
    progress: bool = False,
) -> MomentMatch:
    """Minimise φ(s) = Σ_j w_j [λ_j/c_S - Σ_i s_i a_ij]₊² over 0 <= s_i <= 1/n, Σ s_i = 1.

    a_ij = (Zv_j)_i² in the eigenbasis V of Σ̃, over its numerical rank. This is the relaxation of
    Σ̃ ⪯ c_S Σ̃_S to its diagonal (equation 5) with γ eliminated, a convex problem. Solved by
    accelerated projected gradient with restart, two passes over ZV an iteration, until the duality
    gap is at most tol φ(s_0).

    Parameters
    ----------
    Z : (N, m) float32 or float64
    n : rows to be drawn from s; an int in [1, N] or a share of N
    c_s : >= n/N (any where n = N). For c_s >= 1 uniform s is optimal: it is returned at once, with
        a warning.
    weighting : "paper" (w_j = 1) or "relative" (w_j = 1/λ_j², scale-free)
    init : "random" (1/n on n random rows), "uniform", or a feasible (N,) float array
    tol, max_iter : when to stop
    seed : of the random start
    n_threads : of the core; the bits of the result do not depend on it
    include, exclude : rows with s_i = 1/n and s_i = 0
    progress : show a bar (needs tqdm)

    Raises
    ------
    TypeError, ValueError : naming the argument, what was expected and what came.
    """
    threads = _validate.threads(n_threads)
    pool = Pool.of(Z, n_threads=threads)
    mom, n_rows = pool.moments, len(pool.Z)
    n = _validate.count(n, n_rows)
    c_s = _validate.real("c_s", c_s, above=0.0)
    if c_s < n / n_rows and n < n_rows:
        raise ValueError(f"c_s: expected at least n/N = {n / n_rows:.6g}, got {c_s}")
    _validate.choice("weighting", weighting, WEIGHTINGS)
    tol = _validate.real("tol", tol, above=0.0)
    _validate.integer("max_iter", max_iter, 0, 2**31 - 1)
    allowed = quotas(n_rows, n, y, per_class, include, exclude)
    s = _start(init, allowed, _validate.seed(seed))
    if c_s >= 1 and not allowed.constrained:
        warnings.warn(
            f"c_s = {c_s} >= 1: uniform s is optimal, so a draw from it is a uniform draw",
            stacklevel=2,
        )
        s = np.full(n_rows, 1 / n_rows)

    free, groups = allowed.free()
    V = mom.eigenvectors[:, : mom.rank] * float(2.0 ** -np.round(np.log2(mom.eigenvalues[0]) / 2))
    if scratch_dir is None and is_mapped(pool.Z):
        scratch_dir = tempfile.gettempdir()
    Y = times(  # eigenvalues about 1; the free rows, group after group
        pool.Z, V, free if allowed.constrained else None,
        room((len(free), mom.rank), pool.Z.dtype, scratch_dir),
    )  # fmt: skip
    fixed = _column_squares(pool.Z, V, allowed.include)
    everywhere = _column_squares(Y)
    ...
