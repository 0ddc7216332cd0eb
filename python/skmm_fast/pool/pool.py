"""The pool to choose from: the rows of Z, the spectrum of their second moment, and their whitening
(SkMM, arXiv 2407.06120, sections 2 and 3.1)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from .._support.types import Floats, Indices
from .row_matrix import RowMatrix, row_matrix
from .spectrum import Moments, rounding_of_moments, second_moment, spectrum

# Below this share of λ_1 an eigenvalue has lost digits that W needs: Σ̃ is known to 1e-16 λ_1.
WELL_CONDITIONED = 1e-8


@dataclass(frozen=True)
class Whitened:
    """W = A B = Z D, (N, rank), where DᵀΣD = I for a second moment Σ. For Σ̃ itself WᵀW/N = I.

    On the numerical range of Z, n tr((W_SᵀW_S)⁻¹) = tr(Σ Σ̃_S⁻¹) for n rows S. W is not stored.
    """

    A: RowMatrix  # (N, p)
    B: Floats  # (p, rank)
    D: Floats  # (m, rank)
    error: float = 0.0  # the relative error of A
    unit: float = 1.0  # the harmonic mean of the eigenvalues of WᵀW/N

    def weighted(self, M: Floats) -> Whitened:
        """The rows whitened by a second moment Σ instead of Σ̃, which this W is whitened by. In the
        coordinates of W it is M = DᵀΣD, (rank, rank)."""
        to = np.linalg.inv(np.linalg.cholesky(M)).T
        unit = len(M) / float(np.trace(M))
        return Whitened(self.A, self.B @ to, self.D @ to, self.error, unit)

    def rows(self, S: Indices) -> Floats:
        """W_S in float64."""
        return self.A.array(S).astype(np.float64) @ self.B


@dataclass(frozen=True)
class Pool:
    """A checked Z and what the methods need of it, made once per call of the library."""

    Z: RowMatrix
    second_moment: Floats  # (m, m) Σ̃
    n_threads: int
    whitening: Whitened | None = None  # W, where it is that of another second moment than Σ̃

    @classmethod
    def of(cls, Z: Any, *, name: str = "Z", n_threads: int = 1) -> Pool:
        """The pool of the rows of Z. Raises as `moments`; errors call Z by this name."""
        return cls.of_rows(row_matrix(name, Z), name, n_threads)

    @classmethod
    def of_rows(cls, rows: RowMatrix, name: str, n_threads: int) -> Pool:
        """The pool of rows whose type and shape are checked."""
        return cls(rows, second_moment(rows, name, n_threads), n_threads)

    @cached_property
    def moments(self) -> Moments:
        """The spectrum of Σ̃."""
        return spectrum(self.Z, self.second_moment)

    @cached_property
    def W(self) -> Whitened:
        """The whitened rows. For Σ̃ they are Z itself with B = V Λ^(-1/2), unless the least
        eigenvalues have too few digits for that. Then W is stored. It is made in two steps: Z B is
        only nearly white, and its own second moment corrects it.
        """
        if self.whitening is not None:
            return self.whitening
        mom, k = self.moments, self.moments.rank
        B = mom.eigenvectors[:, :k] / np.sqrt(mom.eigenvalues[:k])
        if mom.eigenvalues[k - 1] > WELL_CONDITIONED * mom.eigenvalues[0]:
            return Whitened(self.Z, B, B)
        L = np.linalg.cholesky(self.Z.gram(B) / len(self.Z))
        D = np.linalg.solve(L, B.T).T
        A = self.Z.times(D, None, 1)
        return Whitened(A, np.eye(k), D, float(np.finfo(A.dtype).eps))

    def weighted(self, M: Floats) -> Pool:
        """This pool with rows whitened by another second moment, as `Whitened.weighted` does."""
        return replace(self, whitening=self.W.weighted(M))

    @cached_property
    def squared_norms(self) -> Floats:
        """(N,) ‖z_i‖²."""
        return self.Z.square_dots(np.ones(self.Z.shape[1]), self.n_threads)

    def trace_and_largest(self, S: Indices, ridge: float = 0.0) -> tuple[float, float]:
        """The trace and the largest eigenvalue of n (W_SᵀW_S + ridge I)⁻¹, which for ridge = 0 are
        those of Σ Σ̃_S⁻¹, where W is whitened by Σ: Σ̃ but in pools made by `weighted`. Both are
        infinite where the matrix is singular to float64 rounding."""
        k = self.moments.rank
        M = self.W.A.gram(self.W.B, S)
        eigenvalues = (np.linalg.eigvalsh(M) + ridge) / len(S)
        if eigenvalues[0] <= rounding_of_moments(k) * eigenvalues[-1]:
            return np.inf, np.inf
        return float((1 / eigenvalues).sum()), float(1 / eigenvalues[0])
