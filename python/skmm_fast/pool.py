"""The pool to choose from: Z, the spectrum of its second moment, and its whitening
(SkMM, arXiv 2407.06120, sections 2 and 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from . import _validate
from ._validate import Array, Floats


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


def _spectrum(Z: Array, name: str = "Z") -> Moments:
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
        return cls(Z, _spectrum(Z, name))

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
