"""How good a selection is, compared with random draws and with a bound on what is possible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _core
from ._support import arrays, checks
from ._support.types import DenseMatrix, Floats, Indices, VectorLike
from .methods.relaxation import lower_bound
from .pool.pool import Pool
from .pool.spectrum import Moments

# Let x_i = ‖z_i‖², divided by its mean over all rows. S is warned of where the mean of
# x_i over S and the mean of x_i² over all rows both exceed this. On real tasks (bench/NOTES.md)
# such selections were worse than uniform draws, except in a regression with random targets. Where
# selections were better, both means stayed below 1.8.
LARGE_NORMS = 2.0
DRAWS = 8  # uniform draws that a selection is compared with


@dataclass(frozen=True)
class Diagnosis:
    """How good a selection S of n rows is; of all figures, lower is better.

    Attributes
    ----------
    v_optimality : float
        tr(Σ̃ Σ̃_S⁻¹), which is n/σ² times the variance part of the risk. Infinite where S does not
        span the numerical range of Z, as are `c_s`, `spectral` and entries of
        `random_v_optimality`.
    lower_bound : float
        A certified bound: no n rows have a lower V-optimality. -inf where it was not asked for.
    random_v_optimality : (n_random,) array
        The V-optimality of uniform draws of n rows.
    c_s : float
        The smallest c with Σ̃ ⪯ c Σ̃_S.
    spectral : float
        ‖Σ̃ Σ̃_S⁻¹‖₂.
    moment_error : float
        ‖Σ̃_S - Σ̃‖_F / ‖Σ̃‖_F.
    rank : int
        The numerical rank of Z.
    intrinsic_dim : int
        The intrinsic dimension r̄ of Z.
    n, n_samples : int
        The number of rows chosen, and of all rows.
    warnings : tuple of str
        What a user should know before a finetune.

    Examples
    --------
    >>> import numpy as np
    >>> import skmm_fast as skmm
    >>> Z = np.random.default_rng(0).standard_normal((500, 8))
    >>> d = skmm.diagnose(Z, skmm.v_optimal(Z, 40).indices)
    >>> bool(d.lower_bound <= d.v_optimality < d.random_v_optimality.mean())
    True
    """

    v_optimality: float
    lower_bound: float
    random_v_optimality: Floats
    c_s: float
    spectral: float
    moment_error: float
    rank: int
    intrinsic_dim: int
    n: int
    n_samples: int
    warnings: tuple[str, ...]

    @property
    def suggested_sketch_dim(self) -> int:
        """11 r̄: the m that the theorem asks for. r̄ is that of Z: where it is near m, the true one
        may be larger."""
        return 11 * self.intrinsic_dim

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> Diagnosis:
        """A diagnosis from the values that JSON gives back, where infinite figures are strings."""
        figures = ("v_optimality", "lower_bound", "c_s", "spectral", "moment_error")
        return cls(
            **{
                **values,
                **{name: float(values[name]) for name in figures},
                "random_v_optimality": np.array(values["random_v_optimality"], np.float64),
                "warnings": tuple(values["warnings"]),
            }
        )

    def __str__(self) -> str:
        random = self.random_v_optimality
        lines = [
            f"{self.n} of {self.n_samples} rows, rank {self.rank}, intrinsic dimension "
            f"{self.intrinsic_dim} (suggests m >= {self.suggested_sketch_dim})",
            f"V-optimality tr(Σ̃ Σ̃_S⁻¹)   {self.v_optimality:.4g}",
        ]
        if len(random):
            spans = np.isfinite(random)
            figures = (
                f"{random[spans].mean():.4g} ± {random[spans].std():.2g}" if spans.any() else ""
            )
            missed = "" if spans.all() else f" ({(~spans).sum()} of {len(random)} do not span Z)"
            lines.append(f"  uniform draws           {figures}{missed}")
        if np.isfinite(self.lower_bound):
            lines.append(f"  certified lower bound   {self.lower_bound:.4g}")
        lines += [
            f"attained c_S               {self.c_s:.4g}",
            f"spectral norm ‖Σ̃ Σ̃_S⁻¹‖    {self.spectral:.4g}",
            f"moment error               {self.moment_error:.4g}",
        ]
        return "\n".join(lines + [f"warning: {w}" for w in self.warnings])


def diagnose(
    Z: DenseMatrix,
    indices: VectorLike,
    *,
    n_random: int = DRAWS,
    bound: bool = True,
    seed: int = 0,
    n_threads: int | None = None,
) -> Diagnosis:
    """Compare a selection of rows of Z with uniform draws and with a certified bound.

    Parameters
    ----------
    Z : (N, m) array or tensor
        float32 or float64; a tensor on a CUDA device stays there.
    indices : row numbers
        The distinct rows that were chosen.
    n_random : int, default 8
        The number of uniform draws of as many rows.
    bound : bool, default True
        Whether to compute the lower bound, which takes a few products of N m² operations.
    seed : int, default 0
        The seed of the uniform draws.
    n_threads : int, optional
        Threads of the core.

    Returns
    -------
    Diagnosis

    Raises
    ------
    TypeError, ValueError
        Z of a wrong type or shape, NaN or Inf in it, indices that are no distinct rows. The message
        names the argument, what was expected and what came.

    Notes
    -----
    SkMM, arXiv 2407.06120, equations 3 to 5.

    Examples
    --------
    >>> import numpy as np
    >>> import skmm_fast as skmm
    >>> Z = np.random.default_rng(0).standard_normal((500, 8))
    >>> skmm.diagnose(Z, np.arange(40), bound=False).rank
    8
    """
    n_random, seed = checks.integer("n_random", n_random, 0), checks.seed(seed)
    pool = Pool.of(Z, n_threads=checks.threads(n_threads))
    S = arrays.rows("indices", indices, len(pool.Z))
    if len(S) == 0:
        raise ValueError("indices: expected at least one row, got none")
    return diagnose_rows(pool, S, n_random, seed, lower_bound(pool, len(S)) if bound else -np.inf)


def diagnose_rows(
    pool: Pool, S: Indices, n_random: int, seed: int, lower_bound: float
) -> Diagnosis:
    """`diagnose` for checked arguments, with a certified bound that the caller has."""
    mom, n_rows, n = pool.moments, len(pool.Z), len(S)
    draws = (_core.draw_subset(n_rows, n, seed, 1 + i) for i in range(n_random))
    random = np.array([pool.trace_and_largest(R)[0] for R in draws])
    v_optimality, c_s = pool.trace_and_largest(S)
    unit = np.sqrt(mom.eigenvalues[0])
    sigma_S = pool.Z.gram(mom.eigenvectors / unit, S) / n  # in the eigenbasis, in units of λ_1
    sigma = mom.eigenvalues / unit**2
    spans = np.isfinite(c_s)
    return Diagnosis(
        v_optimality=v_optimality,
        lower_bound=lower_bound,
        random_v_optimality=random,
        c_s=c_s,
        spectral=_spectral(sigma[: mom.rank], sigma_S[: mom.rank, : mom.rank]) if spans else np.inf,
        moment_error=float(np.linalg.norm(sigma_S - np.diag(sigma)) / np.linalg.norm(sigma)),
        rank=mom.rank,
        intrinsic_dim=mom.intrinsic_dim,
        n=n,
        n_samples=n_rows,
        warnings=tuple(_warnings(n, mom, v_optimality, random) + _of_norms(pool, S)),
    )


def _spectral(sigma: Floats, sigma_S: Floats) -> float:
    """‖Σ̃ Σ̃_S⁻¹‖₂, where Σ̃ is diagonal."""
    return float(np.linalg.norm(sigma[:, None] * np.linalg.inv(sigma_S), 2))


def _warnings(n: int, mom: Moments, v_optimality: float, random: Floats) -> list[str]:
    found = []
    m = len(mom.eigenvalues)
    if n < mom.rank:
        found.append(f"n = {n} < rank = {mom.rank}: directions of Z stay unseen; sketch to <= n/2")
    elif not np.isfinite(v_optimality):
        found.append(f"the rows chosen do not span Z (rank {mom.rank})")
    if m < 11 * mom.intrinsic_dim and mom.rank == m:
        found.append(
            f"m = {m} < 11 r̄ = {11 * mom.intrinsic_dim}: the theorem asks for a larger sketch"
        )
    if len(random) and n < mom.n_samples and not v_optimality < random.mean():
        found.append("no better than uniform draws in V-optimality")
    return found


def _of_norms(pool: Pool, S: Indices) -> list[str]:
    norms = pool.squared_norms / pool.squared_norms.mean()
    chosen, spread = norms[S].mean(), np.square(norms).mean()
    if chosen < LARGE_NORMS or spread < LARGE_NORMS:
        return []
    return [
        f"the rows chosen have {chosen:.3g} x the mean squared norm of all: where norms are those "
        "of errors (labels with a squared loss, a head that is fitted already, outliers), such "
        "rows mislead a finetune; select's unit_rows, a new head, or targets='random' with "
        "a squared loss avoid this"
    ]
