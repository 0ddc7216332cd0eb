"""The pool to choose from: Z, the spectrum of its second moment, and its whitening
(SkMM, arXiv 2407.06120, sections 2 and 3.1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from .._support import checks
from .._support.checks import Floats, Indices
from .row_matrix import Rows, rows_of

# Below this share of λ_1 an eigenvalue has lost digits that W needs: Σ̃ is known to 1e-16 λ_1.
WELL_CONDITIONED = 1e-8


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

    Z: (N, m) float32 or float64, NumPy or a torch tensor, on the CPU or a CUDA device, where it
    stays. Sums are float64. An eigenvalue counts towards the rank above
    λ_1 max(10 m ε_64, (m ε_Z)²): below, it is rounding of Σ̃ or of Z.

    Raises TypeError or ValueError for wrong dtype or shape, NaN or Inf, Z = 0, and rows whose root
    mean square norm is not within 1e-75 to 1e75.
    """
    return Pool.of(Z).moments


def _spectrum(Z: Rows, name: str, n_threads: int) -> Moments:
    """`moments` of checked rows that the caller knows by this name."""
    n, m = Z.shape
    sigma = Z.second_moment(None, n_threads)
    total = float(np.trace(sigma)) / n
    if not np.isfinite(total):
        parts = [checks.finite_rows(Z.array(rows)) for rows in checks.row_blocks(Z)]
        checks.raise_not_finite(name, np.concatenate(parts))
    if total == 0.0 and not any(Z.array(rows).any() for rows in checks.row_blocks(Z)):
        raise ValueError(f"{name}: expected a nonzero entry, got zeros only")
    if not 1e-150 < total < 1e150:  # so that fourth powers of entries are float64 numbers
        raise ValueError(f"{name}: expected rows of norm 1e-75 to 1e75, got {np.sqrt(total):.3g}")
    eigenvalues, eigenvectors = np.linalg.eigh(sigma / n)
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


def rounding_of_moments(k: int) -> float:
    """A bound on the error of a (k, k) second moment that was summed in float64, relative to its
    largest eigenvalue: below it, an eigenvalue may as well be zero."""
    return 16 * k * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Whitened:
    """W = A B = Z Σ̃^(-1/2) on the numerical rank: (N, rank), WᵀW/N = I. W is not stored."""

    A: Rows  # (N, p)
    B: Floats  # (p, rank)
    error: float = 0.0  # relative, of A

    def rows(self, S: Indices) -> Floats:
        """W_S in float64."""
        return self.A.array(S).astype(np.float64) @ self.B


@dataclass(frozen=True)
class Pool:
    """A checked Z and what the methods need of it, made once per call of the library."""

    Z: Rows
    moments: Moments
    memo: dict[Any, Any] = field(default_factory=dict)  # of results that two of them need

    @classmethod
    def of(cls, Z: Any, name: str = "Z", n_threads: int | None = None) -> Pool:
        """Z itself where it is a Pool already."""
        if isinstance(Z, Pool):
            return Z
        rows = rows_of(name, Z)
        return cls(rows, _spectrum(rows, name, checks.threads(n_threads)))

    @cached_property
    def W(self) -> Whitened:
        """Z itself with B = V Λ^(-1/2), unless the least eigenvalues have too few digits for that.

        Then W is stored, made in two steps: the first is only nearly white; its own second moment
        finishes it.
        """
        mom, k = self.moments, self.moments.rank
        B = mom.eigenvectors[:, :k] / np.sqrt(mom.eigenvalues[:k])
        if mom.eigenvalues[k - 1] > WELL_CONDITIONED * mom.eigenvalues[0]:
            return Whitened(self.Z, B)
        L = np.linalg.cholesky(self.Z.gram(B) / len(self.Z))
        A = self.Z.times(np.linalg.solve(L, B.T).T, None, 1)
        return Whitened(A, np.eye(k), float(np.finfo(A.dtype).eps))

    def squared_norms(self, threads: int) -> Floats:
        """(N,) ‖z_i‖²."""
        if "norms" not in self.memo:
            self.memo["norms"] = self.Z.square_dots(np.ones(self.Z.shape[1]), threads)
        norms: Floats = self.memo["norms"]
        return norms

    def trace_and_largest(self, S: Indices, ridge: float = 0.0) -> tuple[float, float]:
        """Trace and largest eigenvalue of n (W_SᵀW_S + ridge I)⁻¹, which for ridge = 0 are those of
        Σ̃ Σ̃_S⁻¹; infinite where that does not exist to float64 rounding."""
        k = self.moments.rank
        M = self.W.A.gram(self.W.B, S)
        eigenvalues = (np.linalg.eigvalsh(M) + ridge) / len(S)
        if eigenvalues[0] <= rounding_of_moments(k) * eigenvalues[-1]:
            return np.inf, np.inf
        return float((1 / eigenvalues).sum()), float(1 / eigenvalues[0])
