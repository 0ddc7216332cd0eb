"""A linear head on features: its gradients, how it is trained, and what it is worth on a test."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import f1_score

CLASSIFICATION = {"accuracy": "high", "macro-F1": "high"}
REGRESSION = {"RMSE": "low"}
EPOCHS = 10


def score_of_classes(
    X: Any,
    y: np.ndarray,
    X_test: Any,
    y_test: np.ndarray,
    C: float,
    weights: np.ndarray | None = None,
) -> dict[str, float]:
    """Trained on (X, y) with ‖W‖² / 2C beside the sum of the losses, each times its weight: weights
    are scaled to a mean of 1."""
    if len(np.unique(y)) > 1:
        model = LogisticRegression(C=C, max_iter=500).fit(X, y, _of_mean_one(weights))
        predicted = model.predict(X_test)
    else:
        predicted = np.full(len(y_test), y[0])
    return {
        "accuracy": float((predicted == y_test).mean()),
        "macro-F1": float(f1_score(y_test, predicted, average="macro")),
    }


def score_of_targets(
    X: np.ndarray,
    y: np.ndarray,
    X_test: np.ndarray,
    y_test: np.ndarray,
    alpha: float,
    weights: np.ndarray | None = None,
) -> dict[str, float]:
    """The same with alpha ‖w‖² beside the sum of the squares; in standard deviations of y_test."""
    model = Ridge(alpha).fit(X, y, _of_mean_one(weights))
    error = model.predict(X_test) - y_test
    return {"RMSE": float(np.sqrt((error**2).mean()) / y_test.std())}


def _of_mean_one(weights: np.ndarray | None) -> np.ndarray | None:
    return None if weights is None else weights / weights.mean()


def proxy(
    X: Any, y: np.ndarray, n_classes: int, rate: float, rng: np.random.Generator, batch: int = 256
) -> dict[str, Any]:
    """Inputs of the uncertainty methods: a linear head after EPOCHS epochs of SGD on all rows."""
    W, record = np.zeros((X.shape[1], n_classes), np.float32), []
    for _ in range(EPOCHS):
        order = rng.permutation(len(y))
        for i in range(0, len(y), batch):
            rows = order[i : i + batch]
            W -= rate / len(rows) * (X[rows].T @ less_one_hot(softmax(X[rows] @ W), y[rows]))
        logits = X @ W
        record.append(logits.argmax(1) == y)
    return outputs(logits, W.T, record)


def outputs(logits: np.ndarray, head: np.ndarray, record: list[np.ndarray]) -> dict[str, Any]:
    head = np.ascontiguousarray(head)
    return {"logits": logits, "probs": softmax(logits), "head": head, "record": np.array(record)}


def new_head(width: int, n_classes: int, rng: np.random.Generator) -> np.ndarray:
    """(width, n_classes), as torch.nn.Linear begins."""
    return rng.uniform(-1, 1, (width, n_classes)).astype(np.float32) / np.float32(np.sqrt(width))


def drawn_classes(P: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A class for each row of probabilities, drawn with these."""
    return (rng.random((len(P), 1)) > P.cumsum(1)[:, :-1]).sum(1)


def softmax(logits: np.ndarray) -> np.ndarray:
    P = np.exp(logits - logits.max(1, keepdims=True))
    return P / P.sum(1, keepdims=True)


def less_one_hot(P: np.ndarray, y: np.ndarray) -> np.ndarray:
    """p - e_y: the gradients of the cross-entropy with respect to the logits."""
    P = P.copy()
    P[np.arange(len(y)), y] -= 1
    return P


def outer(E: np.ndarray, X: np.ndarray) -> np.ndarray:
    """Rows e ⊗ x, (N, C d)."""
    return (E[:, :, None] * X[:, None, :]).reshape(len(E), -1)


def outer_csr(E: np.ndarray, X: sp.csr_array) -> sp.csr_array:
    """The same of sparse x."""
    n_classes, lengths = E.shape[1], np.diff(X.indptr)
    indptr = n_classes * X.indptr.astype(np.int64)
    data, indices = np.empty(indptr[-1], np.float32), np.empty(indptr[-1], np.int32)
    columns = X.shape[1] * np.arange(n_classes, dtype=np.int32)[:, None]
    for i in np.flatnonzero(lengths):
        x = slice(X.indptr[i], X.indptr[i + 1])
        g = slice(indptr[i], indptr[i + 1])
        data[g] = np.outer(E[i], X.data[x]).ravel()
        indices[g] = (columns + X.indices[x]).ravel()
    return sp.csr_array((data, indices, indptr), shape=(len(E), n_classes * X.shape[1]))
