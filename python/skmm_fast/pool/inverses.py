"""Inverses of second moments, and where there is none: here alone the package decides what is
singular.

Whether a Cholesky factorisation of a singular matrix fails is luck: it hangs on the last bits of
the matrix, which differ from one BLAS to another. So the size of the inverse decides, beside a
bound of what rounding may have made of the matrix.
"""

from __future__ import annotations

import numpy as np

from .._support.types import Floats

EPS = float(np.finfo(np.float64).eps)


def rounding_of_moments(k: int, row_error: float = 0.0) -> float:
    """A bound on the error of a (k, k) second moment Σ w wᵀ, relative to its largest eigenvalue λ.
    An eigenvalue below it may as well be zero.

    The moment was summed in float64, where ‖ΔM‖₂ <= 16 ε Σ ‖w‖² <= 16 k ε λ; 16 leaves room for
    sums of many rows. Where each row w is known to row_error ‖w‖ only, rows that do not span seem
    to have an eigenvalue of up to row_error² Σ ‖w‖² <= k row_error² λ.
    """
    return k * (16 * EPS + row_error**2)


def rounding_of_entries(moments: Floats, n: int, entry_error: float) -> float:
    """A bound on the largest eigenvalue that the rounding of entries adds to a second moment of n
    rows, whose diagonal is `moments`, where each entry has this relative error.

    Errors of entries are as if independent, with variances of at most σ² = entry_error² max_j M_jj,
    so the largest eigenvalue of their second moment is about σ² (1 + √(k/n))² (Bai and Yin 1993).
    The variance of a rounding is a sixth of this bound, which leaves room for the limit.
    """
    spread = (1 + np.sqrt(len(moments) / n)) ** 2
    return entry_error**2 * float(moments.max()) * float(spread)


def inverse_root(M: Floats, error: float) -> tuple[Floats, bool]:
    """R (k, k) with R Rᵀ = M⁻¹, and whether M is regular: whether its eigenvalues exceed `error`.

    M is symmetric, finite, and known to ‖ΔM‖₂ <= error, which is at least 16 ε tr(M)/k. R is
    always finite: where M is not regular, eigenvalues below `error` are raised to it.

    The Cholesky factor L, where it comes out, is that of a matrix nearer to M than `error` (Higham
    2002, theorem 10.3). So where an eigenvalue of M is below `error`, one of L Lᵀ is below
    2 error, and ‖L⁻¹‖² above 1/(2 error). A smaller ‖L⁻¹‖² proves that M is regular. Else the
    eigenvalues of M decide.
    """
    try:
        R = np.linalg.inv(np.linalg.cholesky(M)).T
    except np.linalg.LinAlgError:
        pass
    else:
        if 2 * error * float(np.vdot(R, R)) < 1:
            return R, True
    eigenvalues, V = np.linalg.eigh(M)
    raised = np.maximum(eigenvalues, error)
    return (V / np.sqrt(raised)) @ V.T, bool(eigenvalues[0] > error)
