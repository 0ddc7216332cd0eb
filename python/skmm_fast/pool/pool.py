"""The pool to choose from: the rows of Z, the spectrum of their second moment, and their whitening
(SkMM, arXiv 2407.06120, sections 2 and 3.1)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._support.cached import cached_property
from .._support.rows_here import RowsHere
from .._support.types import Floats, Indices
from .inverses import EPS, inverse_root, rounding_of_moments
from .row_matrix import RowMatrix, row_matrix
from .spectrum import Moments, second_moment, spectrum

# Below this share of λ_1 an eigenvalue has lost digits that W needs: Σ̃ is known to 1e-16 λ_1.
WELL_CONDITIONED = 1e-8
WELL_SPREAD = 1e-4  # the like of W_SᵀW_S, from which on its eigenvalues have ten digits
ROWS_AT_ONCE = 8192  # rows of W that are held in float64


@dataclass(frozen=True)
class Whitened:
    """W = A B = Z D, (N, rank), where DᵀΣD = I for a second moment Σ. For Σ̃ itself WᵀW/N = I.

    On the numerical range of Z, n tr((W_SᵀW_S)⁻¹) = tr(Σ Σ̃_S⁻¹) for n rows S. W is not stored.
    """

    A: RowMatrix  # (N, p)
    B: Floats  # (p, rank)
    D: Floats  # (m, rank)
    error: float = 0.0  # the relative error of the rows of A
    error_of_moment: float = 0.0  # the bound of ‖DᵀΣD - I‖₂
    unit: float = 1.0  # the harmonic mean of the eigenvalues of WᵀW/N
    largest: float = 1.0  # the largest of them
    plain: Whitened | None = None  # the rows whitened by Σ̃, where these are by another Σ

    def weighted(self, M: Floats) -> Whitened:
        """The rows whitened by a second moment Σ of rows z of norm 1 instead of Σ̃, which this W is
        whitened by. In the coordinates of W it is M = DᵀΣD, (rank, rank). Its entry ij has an error
        in proportion to √(M_ii M_jj), and that of the products Dᵀz."""
        scale = np.exp2(np.round(np.log2(np.diag(M)) / 2))  # powers of 2 keep all bits
        scaled = M / np.outer(scale, scale)
        to, _ = inverse_root(scaled, rounding_of_moments(len(M)) * float(np.linalg.norm(scaled, 2)))
        to = RowsHere(len(self.A), self.A.ranks).agreed(to)
        error = rounding_of_moments(len(M)) * float(np.linalg.norm(to, 2)) ** 2
        to = to / scale[:, None]
        largest = float(np.linalg.norm(to, 2)) ** 2
        error += 2 * len(self.D) * EPS * float(np.linalg.norm(self.D, 2) * np.sqrt(largest))
        return replace(
            self,
            B=self.B @ to,
            D=self.D @ to,
            error_of_moment=self.error_of_moment + error,
            unit=len(M) / float(np.trace(M)),
            largest=largest,
            plain=self.plain or self,
        )

    def error_of_products(self, C: Floats) -> float:
        """The bound of ‖CBᵀδ‖ / ‖a‖, where δ is the error of a row a of A, plus that of rounding in
        the product CBᵀa."""
        rounding = len(self.B) * EPS * self.norm_of_B * float(np.linalg.norm(C))
        return rounding + self.error * float(np.linalg.norm(self.B @ C))

    @cached_property
    def norm_of_B(self) -> float:
        """‖B‖₂."""
        return float(np.linalg.norm(self.B, 2))

    @cached_property
    def error_of_rows(self) -> float:
        """`error_of_products` for w = Bᵀa itself."""
        return self.error_of_products(np.eye(self.rank))

    @property
    def rank(self) -> int:
        """k, the columns of W."""
        return int(self.B.shape[1])

    def eigenvalues(self, S: Indices) -> Floats:
        """(k,) Those of W_SᵀW_S, ascending. Those of the matrix itself have an error in proportion
        to the largest; where that is much, squared singular values of W_S take their place."""
        here = RowsHere(len(self.A), self.A.ranks)
        found: Floats = np.asarray(np.linalg.eigvalsh(self.A.gram(self.B, S)), np.float64)
        found = here.agreed(found)
        if found[0] > WELL_SPREAD * found[-1]:
            return found
        R: Floats = np.zeros((self.rank, self.rank))
        for first in range(0, len(S), ROWS_AT_ONCE):
            rows = np.concatenate([R, self.rows(S[first : first + ROWS_AT_ONCE])])
            factor: Any = np.linalg.qr(rows, mode="r")
            R = factor
        return here.agreed(np.square(np.linalg.svd(R, compute_uv=False)[::-1]))

    def singular(self, S: Indices) -> bool:
        """Whether W_SᵀW_S is singular to rounding, of moments or of the rows themselves. The rows
        whitened by Σ̃ say so, whatever these are whitened by."""
        if self.plain is not None:
            return self.plain.singular(S)
        eigenvalues = self.eigenvalues(S)
        here = RowsHere(len(self.A), self.A.ranks)
        own = np.square(self.A.own(here.of(S)), dtype=np.float64)
        of_rows = self.error_of_rows**2 * here.summed(np.array([own.sum()]))[0]
        of_moments = rounding_of_moments(self.rank, self.error) * eigenvalues[-1]
        singular = np.array(float(eigenvalues[0] <= max(of_moments, of_rows)))
        return bool(here.agreed(singular))

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
    def of(cls, Z: Any, *, name: str = "Z", n_threads: int = 1, entry_error: float = 0.0) -> Pool:
        """The pool of the rows of Z, whose entries have this error (`RowMatrix`). Raises as
        `moments`; errors call Z by this name."""
        return cls.of_rows(row_matrix(name, Z, entry_error), name, n_threads)

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
        condition, m = float(mom.eigenvalues[0] / mom.eigenvalues[k - 1]), len(B)
        if condition < 1 / WELL_CONDITIONED:
            return Whitened(self.Z, B, B, error_of_moment=rounding_of_moments(m) * condition)
        M = self.Z.gram(B) / len(self.Z)
        D = B @ inverse_root(M, rounding_of_moments(k) * float(np.linalg.norm(M, 2)))[0]
        D = RowsHere(len(self.Z), self.Z.ranks).agreed(D)
        A = self.Z.times(D, None, 1)
        error = float(np.finfo(A.dtype).eps)
        error_of_moment = k * error + rounding_of_moments(m) * float(np.sqrt(condition))
        return Whitened(A, np.eye(k), D, error, error_of_moment)

    def weighted(self, M: Floats) -> Pool:
        """This pool with rows whitened by another second moment, as `Whitened.weighted` does."""
        return replace(self, whitening=self.W.weighted(M))

    @cached_property
    def squared_norms(self) -> Floats:
        """(N,) ‖z_i‖² of the rows here."""
        return self.Z.square_dots(np.ones(self.Z.shape[1]), self.n_threads)

    def trace_and_largest(self, S: Indices, ridge: float = 0.0) -> tuple[float, float]:
        """The trace and the largest eigenvalue of n (W_SᵀW_S + ridge I)⁻¹, which for ridge = 0 are
        those of Σ Σ̃_S⁻¹, where W is whitened by Σ: Σ̃ but in pools made by `weighted`. Both are
        infinite where the matrix is singular to rounding."""
        if ridge == 0.0 and self.W.singular(S):
            return np.inf, np.inf
        eigenvalues = (self.W.eigenvalues(S) + ridge) / len(S)
        return float((1 / eigenvalues).sum()), float(1 / eigenvalues[0])

    def spectral(self, S: Indices) -> float:
        """‖Σ̃ Σ̃_S⁻¹‖₂ on the numerical range of Z, infinite where that of `trace_and_largest` is.

        With D⁺ D = I it is that of D⁺ᵀ (DᵀΣ̃_S D)⁻¹ Dᵀ, whose inverse is that of a matrix of order
        one, whatever the condition of Σ̃."""
        if self.W.singular(S):
            return np.inf
        M = self.W.A.gram(self.W.B, S) / len(S)
        R, _ = inverse_root(M, rounding_of_moments(len(M)) * float(np.linalg.norm(M, 2)))
        C = R @ R.T
        return float(np.linalg.norm(np.linalg.pinv(self.W.D).T @ C @ self.W.D.T, 2))
