"""The spectrum of the second moment of the rows of Z (SkMM, arXiv 2407.06120, section 2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._support import arrays, checks
from .._support.rows_here import RowsHere
from .._support.types import DenseMatrix, Floats
from .inverses import rounding_of_entries, rounding_of_moments
from .row_matrix import RowMatrix, row_matrix

ROWS_AT_ONCE = 8192  # that are held in memory


@dataclass(frozen=True)
class Moments:
    """The spectrum of the second moment Σ̃ = ZᵀZ/N = VΛVᵀ, which is not centred.

    Attributes
    ----------
    eigenvalues : (m,) array
        λ_1 >= ... >= λ_m >= 0.
    eigenvectors : (m, m) array
        The columns of V. The first entry of a column above .618 of its largest is positive.
    rank : int
        The number of eigenvalues above rounding.
    intrinsic_dim : int
        r̄ = min{t : Σ_{j>t} λ_j <= tr(Σ̃)/N}.
    n_samples : int
        N.

    Examples
    --------
    >>> import numpy as np
    >>> import skmm_fast as skmm
    >>> skmm.moments(np.eye(4)).eigenvalues
    array([0.25, 0.25, 0.25, 0.25])
    """

    eigenvalues: Floats
    eigenvectors: Floats
    rank: int
    intrinsic_dim: int
    n_samples: int


def moments(Z: DenseMatrix, *, n_threads: int | None = None) -> Moments:
    """Eigenvalues, eigenvectors, rank and intrinsic dimension of Σ̃ = ZᵀZ/N.

    Parameters
    ----------
    Z : (N, m) array or tensor
        float32 or float64; sums are float64. A tensor on a CUDA device stays there.
    n_threads : int, optional
        Threads of the core.

    Returns
    -------
    Moments
        An eigenvalue counts towards the rank above λ_1 (16 m ε_64 + (m ε_Z)²): below, it is
        rounding of Σ̃ or of Z.

    Raises
    ------
    TypeError, ValueError
        Z of a wrong type or shape, NaN or Inf in it, Z = 0, and rows whose root mean square norm is
        not within 1e-75 to 1e75.

    Notes
    -----
    SkMM, arXiv 2407.06120, section 2.

    Examples
    --------
    >>> import numpy as np
    >>> import skmm_fast as skmm
    >>> Z = np.diag([3.0, 2.0, 0.0])
    >>> skmm.moments(Z).rank
    2
    """
    rows = row_matrix("Z", Z)
    return spectrum(rows, second_moment(rows, "Z", checks.threads(n_threads)))


def second_moment(Z: RowMatrix, name: str, n_threads: int) -> Floats:
    """(m, m) Σ̃. Raises as `moments`; errors call the rows by this name."""
    n = len(Z)
    sigma = Z.second_moment(None, n_threads)
    total = float(np.trace(sigma)) / n
    if not np.isfinite(total):
        require_finite(Z, name)
    if total == 0.0 and not any(Z.array(rows).any() for rows in arrays.row_blocks(Z)):
        raise ValueError(f"{name}: expected a nonzero entry, got zeros only")
    if not 1e-150 < total < 1e150:  # so that fourth powers of entries are float64 numbers
        raise ValueError(f"{name}: expected rows of norm 1e-75 to 1e75, got {np.sqrt(total):.3g}")
    mean: Floats = sigma / n
    return mean


def spectrum(Z: RowMatrix, sigma: Floats) -> Moments:
    """The spectrum of Σ̃, the second moment of Z."""
    n, m = Z.shape
    found = np.concatenate([x.ravel() for x in np.linalg.eigh(sigma)])
    found = RowsHere(n, Z.ranks).agreed(found)
    eigenvalues, eigenvectors = np.maximum(found[:m][::-1], 0.0), found[m:].reshape(m, m)
    rounding = rounding_of_moments(m, row_error=float(np.sqrt(m) * np.finfo(Z.dtype).eps))
    of_entries = rounding_of_entries(np.diag(sigma), n, Z.entry_error)
    least = rounding * eigenvalues[0] + of_entries
    tail = np.append(eigenvalues[::-1].cumsum()[::-1], 0.0)  # tail[t] = Σ_{j>=t} λ_j, t from 0
    return Moments(
        eigenvalues=eigenvalues,
        eigenvectors=_signed(np.ascontiguousarray(eigenvectors[:, ::-1])),
        rank=int((eigenvalues > least).sum()),
        intrinsic_dim=int((tail <= tail[0] / n).argmax()),
        n_samples=n,
    )


def _signed(V: Floats) -> Floats:
    """Eigenvectors with a sign of their own, since that which LAPACK returns differs between its
    versions: the first entry above .618 of the largest size is positive."""
    size = np.abs(V)
    first = (size > 0.618 * size.max(axis=0)).argmax(axis=0)
    signed: Floats = V * np.sign(V[first, np.arange(V.shape[1])])
    return signed


def require_finite(Z: RowMatrix, name: str) -> None:
    """Raises ValueError, calling Z by this name, if an entry is not finite; of several ranks, on
    those that have such an entry."""
    if Z.ranks is None:
        parts = [arrays.finite_rows(Z.array(rows)) for rows in arrays.row_blocks(Z)]
        arrays.raise_not_finite(name, np.concatenate(parts))
        return
    here = RowsHere(len(Z), Z.ranks)
    finite = np.ones(here.count, np.bool_)
    for first in range(0, here.count, ROWS_AT_ONCE):
        rows = np.arange(first, min(first + ROWS_AT_ONCE, here.count))
        finite[rows] = arrays.finite_rows(Z.own(rows))
    found = here.summed(np.array([float((~finite).sum())]))[0]
    arrays.raise_not_finite(f"{name}[{here.first}:{here.last}]", finite)
    if found:
        raise ValueError(
            f"{name}: expected finite values, got NaN or Inf in {found:.0f} of {here.n_rows} rows, "
            "on other ranks"
        )
