"""A pilot: a linear head on the features, finetuned on a first choice, and the gradients at it.

Gradients at a head that has seen a little of the data say more of what a finetune needs than those
at a new head. A head that was fitted to the whole pool must not be used: its gradients are noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from .._support.types import Array, Floats, Indices
from ..pool.row_matrix import RowMatrix
from ..sketch.base import Sketch
from .labels import Labels

SOFTNESS = 10.0  # C: the head minimises Σ_S ω loss + ‖W‖²/2C on features of mean squared norm 1
STEPS = 50  # of L-BFGS: a pilot need not converge
BLOCK = 1 << 14  # rows whose gradients are made at a time
RIDGES = np.logspace(-4, 4, 17)


@dataclass(frozen=True)
class Head:
    """Outputs x W + b."""

    W: Floats  # (d, C)
    b: Floats  # (C,)


@dataclass(frozen=True)
class LinearPilot:
    """Heads on N rows of features, for classes or for the numbers of a regression."""

    features: RowMatrix
    labels: Labels
    make_sketch: Callable[[int], Sketch | None]  # in_dim -> Γ; None: rows are narrow enough
    threads: int

    @property
    def outputs(self) -> int:
        """C: the number of classes; 1 for numbers."""
        return len(self.labels.values) if self.labels.are_classes else 1

    def constant(self) -> Head:
        """The best head that looks at no feature."""
        N, d = self.features.shape
        if not self.labels.are_classes:
            return Head(np.zeros((d, 1)), np.array([self.labels.values[self.labels.number].mean()]))
        shares = np.bincount(self.labels.number, minlength=self.outputs) / N
        return Head(np.zeros((d, self.outputs)), np.log(shares))

    def fitted(self, S: Indices, weights: Floats) -> Head:
        """The head finetuned on rows S with these weights of mean 1."""
        X = self.features.array(S).astype(np.float64)
        scale = np.sqrt(np.square(X).sum(axis=1).mean())
        X = X / (scale if scale > 0 else 1.0)
        of = self.labels.number[S]
        if self.labels.are_classes:
            head = _softmax_head(X, of, weights, self.outputs)
        else:
            head = _ridge_head(X, self.labels.values[of].astype(np.float64), weights)
        return Head(head.W / (scale if scale > 0 else 1.0), head.b)

    def gradients(self, head: Head) -> Array:
        """(N, m) The sketched gradients of the losses with respect to the head, with labels: rows
        (p - e_y) ⊗ [x, 1], or (x w + b - y) [x, 1]."""
        N, d = self.features.shape
        S = self.make_sketch(self.outputs * (d + 1))
        width = self.outputs * (d + 1) if S is None else S.out_dim
        dtype = self.features.dtype
        Z = np.empty((N, width), dtype)
        for first in range(0, N, BLOCK):
            rows = slice(first, min(first + BLOCK, N))
            X = self.features.array(rows)
            E = self._errors(X, self.labels.number[rows], head).astype(dtype)
            X1 = np.column_stack([X, np.ones(len(X), dtype)])
            if S is None:
                Z[rows] = (E[:, :, None] * X1[:, None, :]).reshape(len(X), -1)
            else:
                S.apply_outer(E, X1, out=Z[rows], n_threads=self.threads)
        return Z

    def _errors(self, X: Array, of: Array, head: Head) -> Floats:
        """(B, C) The gradients of the losses with respect to the outputs."""
        outputs = X.astype(np.float64) @ head.W + head.b
        if not self.labels.are_classes:
            errors: Floats = outputs - self.labels.values[of][:, None]
            return errors
        P: Floats = softmax(outputs, axis=1)
        P[np.arange(len(of)), of] -= 1.0
        return P


def _softmax_head(X: Floats, of: Array, weights: Floats, n_classes: int) -> Head:
    """Logistic regression by L-BFGS. Classes that S lacks keep small probabilities."""
    n, d = X.shape
    one_hot = np.zeros((n, n_classes))
    one_hot[np.arange(n), of] = 1.0

    def loss(flat: Floats) -> tuple[float, Floats]:
        W, b = flat[: d * n_classes].reshape(d, n_classes), flat[d * n_classes :]
        log_p = log_softmax(X @ W + b, axis=1)
        E = weights[:, None] * (np.exp(log_p) - one_hot)
        value = -(weights @ (log_p * one_hot).sum(axis=1)) + np.vdot(W, W) / (2 * SOFTNESS)
        return float(value), np.append((X.T @ E + W / SOFTNESS).ravel(), E.sum(axis=0))

    start = np.append(np.zeros(d * n_classes), np.log((one_hot.sum(axis=0) + 0.5) / n))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    W, b = found.x[: d * n_classes].reshape(d, n_classes), found.x[d * n_classes :]
    return Head(W, b)


def _ridge_head(X: Floats, y: Floats, weights: Floats) -> Head:
    """Ridge regression, its ridge the best of RIDGES by the error on left-out rows."""
    omega = weights / weights.sum()
    mean, level = omega @ X, float(omega @ y)
    root = np.sqrt(weights)[:, None]
    U, s, Vt = np.linalg.svd(root * (X - mean), full_matrices=False)
    target = U.T @ (root[:, 0] * (y - level))
    best, w = np.inf, np.zeros(X.shape[1])
    for ridge in RIDGES:
        shrink = s**2 / (s**2 + ridge)
        left_out = root[:, 0] * (y - level) - U @ (shrink * target)
        left_out /= np.maximum(1.0 - omega - U**2 @ shrink, 1e-9)  # 1 - the leverage of the row
        error = float(np.square(left_out).mean())
        if error < best:
            best, w = error, Vt.T @ (s / (s**2 + ridge) * target)
    return Head(w[:, None], np.array([level - mean @ w]))
