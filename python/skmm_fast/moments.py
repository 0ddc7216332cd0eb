"""Stage 2, moment matching: a relaxed selection whose second moment dominates that of all rows
(SkMM, arXiv 2407.06120, equation 5 and section 3.3)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from . import _core, _validate
from ._progress import bar
from ._validate import Array, Floats, Indices

WEIGHTINGS = ("paper", "relative")


@dataclass(frozen=True)
class Moments:
    """Spectrum of the second moment Σ̃ = ZᵀZ/N = VΛVᵀ (not centred)."""

    eigenvalues: Floats  # (m,), descending, >= 0
    eigenvectors: Floats  # (m, m), columns
    rank: int  # eigenvalues above rounding
    intrinsic_dim: int  # r̄ = min{t : Σ_{j>t} λ_j <= tr(Σ̃)/N}
    n_samples: int


def moments(Z: Any) -> Moments:
    """Eigenvalues, eigenvectors, rank and intrinsic dimension of Σ̃ = ZᵀZ/N.

    Z: (N, m) float32 or float64. Sums are float64. An eigenvalue counts towards the rank above
    λ_1 max(10 m ε_64, (m ε_Z)²): below, it is rounding of Σ̃ or of Z.

    Raises TypeError or ValueError for wrong dtype or shape, NaN or Inf, Z = 0, and rows whose root
    mean square norm is not within 1e-75 to 1e75.
    """
    return Pool.of(Z).moments


def spectrum(Z: Array, name: str = "Z") -> Moments:
    """`moments` of a checked array that the caller knows by this name."""
    n, m = Z.shape
    sigma = np.zeros((m, m))
    with np.errstate(over="ignore", invalid="ignore"):  # reported below
        for rows in _validate.row_blocks(Z):
            block = Z[rows].astype(np.float64)
            sigma += block.T @ block / n
        total = float(np.trace(sigma))
    if total == 0.0 and not any(Z[rows].any() for rows in _validate.row_blocks(Z)):
        raise ValueError(f"{name}: expected a nonzero entry, got zeros only")
    if not 1e-150 < total < 1e150:  # so that fourth powers of entries are float64 numbers
        raise ValueError(f"{name}: expected rows of norm 1e-75 to 1e75, got {np.sqrt(total):.3g}")
    eigenvalues, eigenvectors = np.linalg.eigh(sigma)
    eigenvalues = np.maximum(eigenvalues[::-1], 0.0)
    eps = m * max(10 * np.finfo(np.float64).eps, m * float(np.finfo(Z.dtype).eps) ** 2)
    tail = np.append(eigenvalues[::-1].cumsum()[::-1], 0.0)  # tail[t] = Σ_{j>=t} λ_j, t from 0
    return Moments(
        eigenvalues=eigenvalues,
        eigenvectors=np.ascontiguousarray(eigenvectors[:, ::-1]),
        rank=int((eigenvalues > eps * eigenvalues[0]).sum()),
        intrinsic_dim=int((tail <= tail[0] / n).argmax()),
        n_samples=n,
    )


def times(Z: Array, B: Floats) -> Array:
    """Z B in float64, stored in Z's dtype: (N, m) times (m, k)."""
    out = np.empty((len(Z), B.shape[1]), Z.dtype)
    for rows in _validate.row_blocks(Z):
        out[rows] = Z[rows].astype(np.float64) @ B
    return out


@dataclass(frozen=True)
class Pool:
    """A checked Z and what the methods need of it, made once per call of the library."""

    Z: Array
    moments: Moments

    @classmethod
    def of(cls, Z: Any, name: str = "Z") -> Pool:
        """Z itself where it is a Pool already."""
        if isinstance(Z, Pool):
            return Z
        Z = _validate.sketch_matrix(name, Z)
        return cls(Z, spectrum(Z, name))

    @cached_property
    def W(self) -> Array:
        """Z Σ̃^(-1/2) on the numerical rank: (N, rank), WᵀW/N = I.

        In two steps: eigenvalues near rounding have few correct digits, so that the first W is
        only nearly white; its own second moment finishes it.
        """
        k = self.moments.rank
        B = self.moments.eigenvectors[:, :k] / np.sqrt(self.moments.eigenvalues[:k])
        M = np.zeros((k, k))
        for rows in _validate.row_blocks(self.Z):
            block = self.Z[rows].astype(np.float64) @ B
            M += block.T @ block
        L = np.linalg.cholesky(M / len(self.Z))
        return times(self.Z, np.linalg.solve(L, B.T).T)


@dataclass(frozen=True)
class MomentMatch:
    """A relaxed selection and the proof of how good it is."""

    s: Floats  # (N,), 0 <= s_i <= 1/n, Σ s_i = 1
    gamma: Floats  # (rank,), γ_j = max(1/c_S, Σ_i s_i a_ij / λ_j)
    objective: float  # φ(s)
    gap: float  # φ(s) - min φ lies in [0, gap]
    n_iter: int
    converged: bool  # gap <= tol φ(s_0)
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
    pool = Pool.of(Z)
    mom, n_rows = pool.moments, len(pool.Z)
    n = _validate.count(n, n_rows)
    c_s = _validate.real("c_s", c_s, above=0.0)
    if c_s < n / n_rows and n < n_rows:
        raise ValueError(f"c_s: expected at least n/N = {n / n_rows:.6g}, got {c_s}")
    _validate.choice("weighting", weighting, WEIGHTINGS)
    tol = _validate.real("tol", tol, above=0.0)
    _validate.integer("max_iter", max_iter, 0, 2**31 - 1)
    include, exclude = _validate.constraints(n_rows, n, include, exclude)
    free = _validate.others(n_rows, include, exclude)
    s = _start(init, n, n_rows, free, include, _validate.seed(seed))
    if c_s >= 1 and len(free) == n_rows:
        warnings.warn(
            f"c_s = {c_s} >= 1: uniform s is optimal, so a draw from it is a uniform draw",
            stacklevel=2,
        )
        s = np.full(n_rows, 1 / n_rows)

    unit = float(2.0 ** -np.round(np.log2(mom.eigenvalues[0]) / 2))  # Y has eigenvalues about 1
    Y = times(pool.Z, mom.eigenvectors[:, : mom.rank] * unit)
    eigenvalues = _column_squares(Y) / n_rows  # of the Y stored: uniform s matches them exactly
    weight = np.ones_like(eigenvalues) if weighting == "paper" else eigenvalues**-2
    target = eigenvalues / c_s - _column_squares(Y[include]) / n
    with bar("match moments", max_iter, progress, "iterations") as tick:
        s[free], objective, gap, converged, objectives, gaps, seconds = _core.match_moments(
            Y if len(free) == n_rows else Y[free], target, weight, 1 / n, n - len(include), s[free],
            tol, max_iter, _validate.threads(n_threads), tick,
        )  # fmt: skip
    to_z = unit**-4 if weighting == "paper" else 1.0
    return MomentMatch(
        s=s,
        gamma=np.maximum(1 / c_s, _column_squares(Y, s) / eigenvalues),
        objective=objective * to_z,
        gap=gap * to_z,
        n_iter=len(objectives),
        converged=converged,
        history={"objective": objectives * to_z, "gap": gaps * to_z, "seconds": seconds},
    )


def _start(init: Any, n: int, n_rows: int, free: Indices, include: Indices, seed: int) -> Floats:
    """A feasible s: 1/n on include, the rest of the mass on the free rows."""
    if not isinstance(init, str):
        pi = inclusion_probabilities("init", init, n, n_rows)
        fixed = np.delete(np.arange(n_rows), free)
        if not np.allclose(pi[fixed], np.isin(fixed, include), rtol=0, atol=1e-6):
            raise ValueError("init: expected 1/n on the rows of include and 0 on those of exclude")
        return pi / n
    _validate.choice("init", init, ("random", "uniform"))
    s, left = np.zeros(n_rows), n - len(include)
    s[include] = 1 / n
    if init == "uniform":
        s[free] = left / n / len(free) if len(free) else 0.0
    else:
        s[free[_core.draw_subset(len(free), left, seed)]] = 1 / n
    return s


def _column_squares(Y: Array, s: Floats | None = None) -> Floats:
    """Σ_i s_i y_ij² in float64, s = 1 where None."""
    total = np.zeros(Y.shape[1])
    for rows in _validate.row_blocks(Y):
        squares = np.square(Y[rows], dtype=np.float64)
        total += squares.sum(axis=0) if s is None else s[rows] @ squares
    return total


def inclusion_probabilities(name: str, s: Any, n: int, n_rows: int | None = None) -> Floats:
    """π = n s as float64 in [0, 1] with sum n to rounding; s may be off by 1e-6 (a tenth of 1/n).

    Raises where s is not a float vector (of length n_rows), leaves [0, 1/n] or does not sum to 1.
    """
    s = _validate.dense(name, s, ndim=1)
    if n_rows is not None and len(s) != n_rows:
        raise ValueError(f"{name}: expected shape ({n_rows},), got {s.shape}")
    _validate.raise_not_finite(name, np.isfinite(s))
    total = float(s.sum(dtype=np.float64))
    if not abs(total - 1) <= min(1e-6, 0.1 / n):
        raise ValueError(f"{name}: expected entries that sum to 1, got sum {total:.9g}")
    outside = np.flatnonzero((s < 0) | (s * n > 1 + 1e-6))
    if len(outside):
        raise ValueError(
            f"{name}: expected entries in [0, 1/n = {1 / n:.6g}], got {s[outside[0]]:.6g} in row "
            f"{outside[0]} ({len(outside)} such rows)"
        )
    pi: Floats = np.minimum(s.astype(np.float64) * n, 1.0)
    for _ in range(2):  # to the last bits: the rows strictly inside carry the rest
        inside = (pi > 0) & (pi < 1)
        if inside.any():
            pi[inside] *= (n - (pi == 1).sum()) / pi[inside].sum()
            np.minimum(pi, 1.0, out=pi)
    if abs(pi.sum() - n) > 1e-6:
        raise ValueError(f"{name}: expected entries that sum to 1 with none above 1/n, n = {n}")
    return pi
