"""Rows whose weighted sum is near the mean gradient (GRAD-MATCH: Killamsetty et al. 2021, arXiv
2103.00123)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .._support import checks
from .._support.progress import bar
from .._support.types import Floats, Indices
from ..pool.inverses import rounding_of_moments
from . import sequential
from .cost import Cost, Speed, Work
from .groups import Picks, largest_scores
from .problem import Chosen, Problem
from .targets import mean_gradient

MOST_STEPS = 100  # of Newton's method, of which one or two are usual
PRECISION = 1e-12  # relative, of the residual


def grad_match(problem: Problem, ridge: float = 0.5) -> Chosen:
    """Orthogonal matching pursuit of the mean gradient b of the target, of whose tasks each counts
    the same; without a target, of X (Killamsetty et al. 2021).

    Each pick is the row of largest ⟨z_i, b - Σ_S w z⟩, where the weights w >= 0 of the rows picked
    minimise ‖b - Σ_S w z‖² + ridge x ‖w‖², x the mean squared norm of the rows of X: so the ridge,
    0.5 as in the paper, does not depend on the unit of gradients. Where no product is positive the
    weights are those of least error, and the rows still wanted, whose weights are 0, are those of
    largest product; ties are drawn. The weights given back have mean 1.
    """
    ridge = checks.real("ridge", ridge, above=0.0)
    pool, constraints, n = problem.pool, problem.constraints, problem.n
    goal = mean_gradient(problem.targets or (pool,))
    picks = Picks(constraints)
    # A ridge below the rounding of Σ z zᵀ over all rows would not keep the fit's systems regular.
    least = rounding_of_moments(len(goal)) * len(pool.Z)
    fit = _Fit(goal, max(ridge, least) * float(pool.squared_norms.mean()), n)
    fit.add(pool.Z.array(constraints.include))
    products = pool.Z.dots(fit.u, problem.n_threads)
    with bar("choose rows", n, problem.progress) as tick:
        while picks.open.any():
            best = int(np.where(picks.open, products, -np.inf).argmax())
            if products[best] <= 0:
                break
            picks.take(best)
            fit.add(pool.Z.array(np.array([best])))
            products = pool.Z.dots(fit.u, problem.n_threads)
            if tick is not None:
                tick(len(picks.rows))
    rest = replace(problem, constraints=replace(constraints, include=picks.chosen()))
    rows = largest_scores(rest, products)
    facts = {"residual": fit.residual, "n_weighted": int(np.count_nonzero(fit.weights))}
    return Chosen(rows, facts, weights=_of_mean_one(rows, picks.rows, fit.weights))


def cost(work: Work, speed: Speed) -> Cost:
    """A pass over Z and two linear systems for each row chosen."""
    systems = work.n * 2 * 2 * work.dim**3 / 3 / speed.flops
    return Cost(seconds=sequential.cost(work, speed).seconds + systems)


class _Fit:
    """The weights w >= 0 that minimise ‖b - Σ w_i z_i‖² + ρ ‖w‖² over rows z_1, z_2, ...

    With u = (b - Σ w_i z_i) / ρ they are w_i = max(⟨z_i, u⟩, 0), and u minimises the convex
    function ρ/2 ‖u‖² + 1/2 Σ max(⟨z_i, u⟩, 0)² - ⟨b, u⟩ of m numbers, which is quadratic where the
    set of positive ⟨z_i, u⟩ is the same. Newton's method with step halving finds that set. So a fit
    takes O(m³) operations, however many rows there are.
    """

    def __init__(self, goal: Floats, rho: float, most: int) -> None:
        self._goal, self._rho = goal, rho
        self._rows = np.empty((most, len(goal)))
        self._count = 0
        self._positive = np.zeros(most, np.bool_)
        self._hessian = rho * np.eye(len(goal))
        self.u: Floats = goal / rho

    def add(self, rows: Floats) -> None:
        """Fit these rows too."""
        last = self._count + len(rows)
        self._rows[self._count : last] = rows
        self._count = last
        for _ in range(MOST_STEPS):
            self._set_positive()
            step = np.linalg.solve(self._hessian, self._goal) - self.u
            if np.linalg.norm(step) <= PRECISION * np.linalg.norm(self.u):
                break
            here, length = self._value(self.u), 1.0
            while self._value(self.u + length * step) > here and length > PRECISION:
                length /= 2
            self.u = self.u + length * step

    @property
    def weights(self) -> Floats:
        """Of the rows, in the order in which they came."""
        return np.maximum(self._rows[: self._count] @ self.u, 0)

    @property
    def residual(self) -> float:
        """‖b - Σ w_i z_i‖ / ‖b‖; 1 where b = 0."""
        length = float(np.linalg.norm(self._goal))
        return self._rho * float(np.linalg.norm(self.u)) / length if length > 0 else 1.0

    def _value(self, u: Floats) -> float:
        products = np.maximum(self._rows[: self._count] @ u, 0)
        return float((self._rho * u @ u + products @ products) / 2 - self._goal @ u)

    def _set_positive(self) -> None:
        """The rows of positive ⟨z_i, u⟩, and the Hessian at u."""
        positive = self._rows[: self._count] @ self.u > 0
        changed = np.flatnonzero(positive != self._positive[: self._count])
        signs = np.where(positive[changed], 1.0, -1.0)[:, None]
        self._hessian += self._rows[changed].T @ (signs * self._rows[changed])
        self._positive[changed] = positive[changed]


def _of_mean_one(rows: Indices, fitted: list[int], weights: Floats) -> Floats:
    """The weights of `rows`, ascending, scaled to mean 1; those of rows not fitted are 0. Where all
    are 0 they become 1."""
    found = np.zeros(len(rows))
    found[np.searchsorted(rows, fitted)] = weights
    return found / found.mean() if found.any() else np.ones(len(rows))
