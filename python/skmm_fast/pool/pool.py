"""The pool to choose from: the rows of Z, the spectrum of their second moment, and their whitening
(SkMM, arXiv 2407.06120, sections 2 and 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .._support.types import Floats, Indices
from .row_matrix import RowMatrix, row_matrix
from .spectrum import Moments, rounding_of_moments, spectrum

# Below this share of λ_1 an eigenvalue has lost digits that W needs: Σ̃ is known to 1e-16 λ_1.
WELL_CONDITIONED = 1e-8


@dataclass(frozen=True)
class Whitened:
    """W = A B = Z Σ̃^(-1/2) on the numerical rank: (N, rank), WᵀW/N = I. W is not stored."""

    A: RowMatrix  # (N, p)
    B: Floats  # (p, rank)
    error: float = 0.0  # the relative error of A

    def rows(self, S: Indices) -> Floats:
        """W_S in float64."""
        return self.A.array(S).astype(np.float64) @ self.B


@dataclass(frozen=True)
class Pool:
    """A checked Z and what the methods need of it, made once per call of the library."""

    Z: RowMatrix
    moments: Moments
    n_threads: int

    @classmethod
    def of(cls, Z: Any, *, name: str = "Z", n_threads: int = 1) -> Pool:
        """The pool of the rows of Z. Raises as `moments`; errors call Z by this name."""
        rows = row_matrix(name, Z)
        return cls(rows, spectrum(rows, name, n_threads), n_threads)

    @cached_property
    def W(self) -> Whitened:
        """The whitened rows: Z itself with B = V Λ^(-1/2), unless the least eigenvalues have too
        few digits for that. Then W is stored. It is made in two steps: Z B is only nearly white,
        and its own second moment corrects it.
        """
        mom, k = self.moments, self.moments.rank
        B = mom.eigenvectors[:, :k] / np.sqrt(mom.eigenvalues[:k])
        if mom.eigenvalues[k - 1] > WELL_CONDITIONED * mom.eigenvalues[0]:
            return Whitened(self.Z, B)
        L = np.linalg.cholesky(self.Z.gram(B) / len(self.Z))
        A = self.Z.times(np.linalg.solve(L, B.T).T, None, 1)
        return Whitened(A, np.eye(k), float(np.finfo(A.dtype).eps))

    @cached_property
    def squared_norms(self) -> Floats:
        """(N,) ‖z_i‖²."""
        return self.Z.square_dots(np.ones(self.Z.shape[1]), self.n_threads)

    def trace_and_largest(self, S: Indices, ridge: float = 0.0) -> tuple[float, float]:
        """The trace and the largest eigenvalue of n (W_SᵀW_S + ridge I)⁻¹, which for ridge = 0 are
        those of Σ̃ Σ̃_S⁻¹. Both are infinite where the matrix is singular to float64 rounding."""
        k = self.moments.rank
        M = self.W.A.gram(self.W.B, S)
        eigenvalues = (np.linalg.eigvalsh(M) + ridge) / len(S)
        if eigenvalues[0] <= rounding_of_moments(k) * eigenvalues[-1]:
            return np.inf, np.inf
        return float((1 / eigenvalues).sum()), float(1 / eigenvalues[0])
