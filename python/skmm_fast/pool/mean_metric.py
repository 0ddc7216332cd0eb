"""The metric in which mean gradients are compared: whitened, with a ridge.

With z̄ and Σ_c the mean and the centred second moment of the rows, λ̄ = tr(Σ_c)/m and
b_i = Rᵀ(z_i - z̄), R Rᵀ = (Σ_c + λ̄ I)⁻¹, the mean error of rows S of weights ω (mean 1) is
Φ(S) = n ‖n⁻¹ Σ_S ω_i b_i‖². It measures the part of the error of a Newton step on S that comes from
its mean; how well S covers the rows is another matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._support.rows_here import RowsHere
from .._support.types import Floats, Indices
from .inverses import inverse_root, rounding_of_moments
from .row_matrix import RowMatrix

LEAST_RIDGE = 0.01  # from which on products with R in float32 have digits enough
FAR = 1e4  # times their variance, the ‖z̄‖² up to which they have


@dataclass(frozen=True)
class MeanMetric:
    """The metric of N rows."""

    mean: Floats  # (m,) z̄
    R: Floats  # (m, m); zeros where all rows are equal
    square: float  # the mean of ‖b_i‖² over the rows
    n_rows: int  # N
    goal: Floats  # (m,) what a mean should be: z̄, or the mean of a target
    ill_conditioned: bool = False  # whether products with R need the digits of a double

    def rows(self, Z: RowMatrix, S: Indices) -> Floats:
        """(n, m) b_i of these rows."""
        return (Z.array(S).astype(np.float64) - self.mean) @ self.R

    def error(self, Z: RowMatrix, S: Indices, weights: Floats) -> float:
        """Φ(S) for weights of mean 1, with the goal in the place of z̄."""
        total = np.zeros(len(self.mean))
        for i in range(0, len(S), 8192):
            total += weights[i : i + 8192] @ (Z.array(S[i : i + 8192]) - self.goal)
        return float(np.square(total @ self.R).sum()) / len(S)

    def error_of_draws(self, n: int) -> float:
        """The expectation of Φ over uniform draws of n of the N rows, of weights 1. It is exact:
        the covariance of a mean of draws without replacement is Σ_c/n (N - n)/(N - 1)."""
        off = (self.mean - self.goal) @ self.R
        spread = self.square * (self.n_rows - n) / max(self.n_rows - 1, 1)
        return spread + n * float(off @ off)


def mean_metric(
    Z: RowMatrix, second_moment: Floats, rows: Indices | None, ridge: float = 1.0
) -> MeanMetric:
    """The metric of these of the rows here (None: all), and of those of other ranks, of which
    (m, m) Σ z zᵀ/N is given, with ridge λ̄ or, where that is less, the rounding of the moment."""
    m, mean = Z.shape[1], Z.mean(rows)
    centred = second_moment - np.outer(mean, mean)
    level, count = float(np.trace(centred)) / m, len(Z)
    if rows is not None:
        count = int(RowsHere(len(Z), Z.ranks).summed(np.array([float(len(rows))]))[0])
    rounding = rounding_of_moments(m) * float(np.trace(second_moment))
    if level <= rounding:
        return MeanMetric(mean, np.zeros((m, m)), 0.0, count, mean)
    R, _ = inverse_root(centred + max(ridge * level, rounding) * np.eye(m), rounding)
    # Otherwise the condition of R is at most √(m/LEAST_RIDGE), and rows are mostly spread.
    ill_conditioned = ridge < LEAST_RIDGE or float(mean @ mean) > FAR * m * level
    return MeanMetric(mean, R, float(np.vdot(R, centred @ R)), count, mean, ill_conditioned)
