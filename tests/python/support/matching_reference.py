"""Naive definitions of mean matching, in float64."""

from itertools import combinations, product

import numpy as np


def mean_features(Z, ridge=1.0):
    """(N, m) b_i = L⁻¹(z_i - z̄) with L Lᵀ = Σ_c + ridge λ̄ I; zeros where all rows are equal."""
    centred = Z.astype(float) - Z.astype(float).mean(axis=0)
    covariance = centred.T @ centred / len(Z)
    level = np.trace(covariance) / Z.shape[1]
    if level == 0:
        return np.zeros(Z.shape)
    L = np.linalg.cholesky(covariance + ridge * level * np.eye(Z.shape[1]))
    return np.linalg.solve(L, centred.T).T


def mean_error(B, rows, weights=None):
    """Φ = n ‖n⁻¹ Σ ω_i b_i‖² for weights that are scaled to mean 1."""
    omega = np.ones(len(rows)) if weights is None else np.asarray(weights) / np.mean(weights)
    return len(rows) * np.sum((omega @ B[rows] / len(rows)) ** 2)


def sweep_once(B, rows, cell, weights):
    """One sweep of exchanges: cell after cell, and in a cell in the order of `rows`, each row gives
    its place to the row of its cell that makes ‖Σ ω b‖ least, if that is less than it is."""
    rows = np.array(rows)
    for t in np.argsort(cell[rows], kind="stable"):
        rest = weights @ B[rows] - weights[t] * B[rows[t]]
        size = np.sum((rest + weights[t] * B) ** 2, axis=1)
        free = (cell == cell[rows[t]]) & ~np.isin(np.arange(len(B)), np.delete(rows, t))
        best = min(np.flatnonzero(free), key=lambda i: (size[i], i))
        if size[best] < size[rows[t]]:
            rows[t] = best
    return rows


def best_in_cells(B, start, cell, weights):
    """The least Φ of all rows that have the cells of `start`, row by row."""
    places = [np.flatnonzero(cell == cell[i]) for i in start]
    distinct = (rows for rows in product(*places) if len(set(rows)) == len(rows))
    return min(mean_error(B, list(rows), weights) for rows in distinct)


def all_subsets(N, n):
    """All sets of n rows, as lists."""
    return [list(rows) for rows in combinations(range(N), n)]
