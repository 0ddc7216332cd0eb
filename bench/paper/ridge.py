"""Ridge regression without intercept on rows S of G, for a grid of α, and its risk on all rows.

All is done in the eigenbasis of G_S G_Sᵀ, so that one factorisation serves every α and both
solvers. LSQR does not notice the change of basis, nor does its stopping rule.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import diags_array
from scipy.sparse.linalg import lsqr

ALPHAS = np.logspace(-5, 5, 21)
TOL = 1e-3  # of LSQR: what scikit-learn's Ridge(solver="lsqr") had before version 1.2


class Ridge:
    """Fits on rows S of a problem with Gram matrix K = G Gᵀ (N, N) and labels y (N,)."""

    def __init__(self, K: np.ndarray, y: np.ndarray, S: np.ndarray) -> None:
        eigenvalues, self.basis = np.linalg.eigh(K[np.ix_(S, S)])
        self.singular = np.sqrt(np.maximum(eigenvalues, 0))  # of G_S, ascending
        self.target = self.basis.T @ y[S]
        self.K, self.y, self.S = K, y, S

    def exact(self) -> np.ndarray:
        """(len(ALPHAS), n) coefficients c of θ_S = G_Sᵀ c."""
        return (self.target / (self.singular**2 + ALPHAS[:, None])) @ self.basis.T

    def stopped(self) -> np.ndarray:
        """The same from LSQR that stops at TOL: large singular directions are fitted, others not
        yet."""
        kept = self.singular > 1e-12 * self.singular[-1]
        A, b = diags_array(self.singular[kept]), self.target[kept]
        found = [lsqr(A, b, damp=np.sqrt(a), atol=TOL, btol=TOL)[0] for a in ALPHAS]
        return (np.array(found) / self.singular[kept]) @ self.basis[:, kept].T

    def risks(self, c: np.ndarray, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Mean squares of G θ_S - y over `rows`, one for each row of c."""
        return np.square(c @ self.K[self.S][:, rows] - self.y[rows]).mean(1)


def least(fit: Ridge) -> float:
    """The least risk over the grid."""
    return float(fit.risks(fit.exact()).min())


def cross_validated(fit: Ridge) -> float:
    """The risk of stopped LSQR, its α by two-fold cross-validation on S; the order of S makes the
    folds: first and second half."""
    halves = np.array_split(fit.S, 2)
    errors = np.zeros(len(ALPHAS))
    for fitted, held in (halves, halves[::-1]):
        half = Ridge(fit.K, fit.y, fitted)
        errors += half.risks(half.stopped(), held)
    return float(fit.risks(fit.stopped())[errors.argmin()])
