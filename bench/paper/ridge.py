"""Ridge regression without intercept on rows S, and its risk on all rows, for a grid of α.

All is done in the eigenbasis of G_S G_Sᵀ, so that one factorisation serves all α.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import diags_array
from scipy.sparse.linalg import lsqr

ALPHAS = np.logspace(-5, 5, 21)
TOL = 1e-3  # where the authors' solver stops


class Ridge:
    """Fits on rows S of a problem with Gram matrix K = G Gᵀ (N, N) and labels y (N,)."""

    def __init__(self, K: np.ndarray, y: np.ndarray, S: np.ndarray) -> None:
        eigenvalues, self.basis = np.linalg.eigh(K[np.ix_(S, S)])
        self.singular = np.sqrt(np.maximum(eigenvalues, 0))  # of G_S, in its left singular basis
        self.target = self.basis.T @ y[S]
        self.K, self.y, self.S = K, y, S

    def exact(self) -> np.ndarray:
        """(len(ALPHAS), n) dual coefficients c: θ_S = G_Sᵀ c."""
        return (self.target / (self.singular**2 + ALPHAS[:, None])) @ self.basis.T

    def stopped(self) -> np.ndarray:
        """The same by LSQR, stopped at TOL: no sooner than the directions of large singular values
        are fitted, and before those of the noise are."""
        kept = self.singular > 1e-12 * self.singular[-1]
        A = diags_array(self.singular[kept])
        b = self.target[kept]
        found = [lsqr(A, b, damp=np.sqrt(a), atol=TOL, btol=TOL)[0] for a in ALPHAS]
        return (np.array(found) / self.singular[kept]) @ self.basis[:, kept].T

    def risks(self, c: np.ndarray, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Mean squares of G θ_S - y over `rows`, for each row of c."""
        return np.square(c @ self.K[self.S][:, rows] - self.y[rows]).mean(1)


def best(K: np.ndarray, y: np.ndarray, S: np.ndarray) -> float:
    """Least risk of exact ridge over the grid."""
    fit = Ridge(K, y, S)
    return float(fit.risks(fit.exact()).min())


def cross_validated(K: np.ndarray, y: np.ndarray, S: np.ndarray) -> float:
    """Risk of stopped LSQR with α by two-fold cross-validation on S, whose order makes the folds:
    first and second half."""
    halves = np.array_split(S, 2)
    errors = np.zeros(len(ALPHAS))
    for fitted, held in (halves, halves[::-1]):
        half = Ridge(K, y, fitted)
        errors += half.risks(half.stopped(), held)
    whole = Ridge(K, y, S)
    return float(whole.risks(whole.stopped())[errors.argmin()])
