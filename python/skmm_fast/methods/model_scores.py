"""One number a sample from what a model puts out; rows of the largest are chosen first.

(N, C) probabilities or logits come from a model that is trained already, at least a little: those
of a new head say nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .._support import checks
from .._support.checks import Array, Floats, Indices

IN_CACHE = 1 << 19  # bytes


def predicted(
    n_rows: int, method: str, probs: Any = None, logits: Any = None, dtype: Any = None
) -> Iterator[tuple[slice, Array]]:
    """Blocks of rows and their predicted probabilities (B, C), from these or from logits: exactly
    one must be given. In the type of what is given, or dtype.

    Raises TypeError or ValueError naming the argument, before the first block.
    """
    if (probs is None) == (logits is None):
        got = "neither" if probs is None else "both"
        raise ValueError(
            f"probs: expected predicted probabilities (N, C), or logits, with method {method!r}, "
            f"got {got}"
        )
    name, given = ("probs", probs) if logits is None else ("logits", logits)
    x = outputs(name, given, n_rows)
    if logits is None:
        for rows in checks.row_blocks(x, IN_CACHE):
            p = x[rows]
            off = np.flatnonzero((p.min(axis=1) < 0) | (np.abs(p.sum(axis=1) - 1) > 1e-3))
            if len(off):
                raise ValueError(
                    f"probs: expected rows of probabilities that sum to 1, got {p[off[0]]} in row "
                    f"{rows.start + off[0]}"
                )
    shares = _shares if logits is None else _softmax
    exact = x.dtype if dtype is None else dtype
    return (
        (rows, shares(x[rows].astype(exact, copy=False))) for rows in checks.row_blocks(x, IN_CACHE)
    )


def _shares(x: Array) -> Array:
    return np.asarray(x / x.sum(axis=1, keepdims=True))


def _softmax(x: Array) -> Array:
    return _shares(np.exp(x - x.max(axis=1, keepdims=True)))


def log(p: Array) -> Array:
    return np.asarray(np.log(np.maximum(p, np.finfo(p.dtype).tiny)))


def _beside(p: Array, c: Indices) -> Array:
    """p with 0 for class c_i in row i: 1 - p_c is the sum of what is left, to the last digit."""
    rest = p.copy()
    rest[np.arange(len(p)), c] = 0.0
    return rest


def outputs(name: str, x: Any, n_rows: int) -> Array:
    """(N, C) finite numbers, C > 1, from an array or a torch tensor on any device."""
    array = host_matrix(name, x)
    if len(array) != n_rows or array.shape[1] < 2:
        raise ValueError(f"{name}: expected shape ({n_rows}, C), C > 1, got {array.shape}")
    checks.raise_not_finite(name, checks.finite_rows(array))
    return array


def host_matrix(name: str, x: Any) -> Array:
    """An array or torch tensor, on any device, of floats; those of 16 bits as float32."""
    return checks.widened(checks.gradients(name, _host(x)))


def correctness(record: Any) -> Array:
    """The array of a `ForgettingRecord`, or of what can be made one."""
    if isinstance(record, ForgettingRecord):
        return record.array()
    try:
        return np.asarray(_host(record))
    except ValueError as error:
        raise ValueError(
            f"record: expected (T, N) bool, got {type(record).__name__}: {error}"
        ) from None


def entropy(p: Array) -> Array:
    """-Σ_c p_c log p_c (Shannon 1948; Settles 2009)."""
    rest = _beside(p, p.argmax(axis=1))
    unsure = rest.sum(axis=1)
    of_rest = (rest * log(rest)).sum(axis=1)
    return np.asarray(-of_rest - (1 - unsure) * np.log1p(-unsure))


def margin(p: Array) -> Array:
    """1 less the lead of the most likely class on the second (Scheffer et al. 2001)."""
    rest = _beside(p, p.argmax(axis=1))
    return np.asarray(rest.sum(axis=1) + rest.max(axis=1))


def least_confidence(p: Array) -> Array:
    """1 - max_c p_c (Lewis and Gale 1994)."""
    return np.asarray(_beside(p, p.argmax(axis=1)).sum(axis=1))


def el2n(p: Array, y: Indices) -> Array:
    """‖p - e_y‖₂ (Paul, Ganguli and Dziugaite 2021, arXiv 2107.07075)."""
    rest = _beside(p, y)
    return np.asarray(np.sqrt((rest * rest).sum(axis=1) + rest.sum(axis=1) ** 2))


def deepfool(logits: Array, head: Array) -> Floats:
    """Minus the distance of the features to where the class changes: min_k (f_c - f_k)/‖w_c - w_k‖
    for the predicted class c, exact for a linear head f = Wx + b (Moosavi-Dezfooli et al. 2016;
    Ducoffe and Precioso 2018). logits (N, C), head W (C, d)."""
    W = head.astype(np.float64)
    predicted = logits.argmax(axis=1)
    nearest = np.empty(len(logits))
    for c in range(len(W)):
        of_c = logits[predicted == c].astype(np.float64)
        lead, apart = of_c[:, c : c + 1] - of_c, np.linalg.norm(W[c] - W, axis=1)
        reached = np.full(lead.shape, np.inf)
        np.divide(lead, apart, out=reached, where=apart > 0)  # equal rows are never told apart
        nearest[predicted == c] = reached.min(axis=1)
    return -nearest


def forgetting(record: Array) -> Floats:
    """How often a sample was classified correctly in one epoch and wrongly in the next; infinite
    where it never was correct (Toneva et al. 2019). record (T, N), True where correct."""
    lost = record[:-1] & ~record[1:]
    return np.where(record.any(axis=0), lost.sum(axis=0), np.inf)


class ForgettingRecord:
    """Which samples were classified correctly in each epoch: call it in the training loop.

    >>> record = ForgettingRecord(n_samples=3)
    >>> for epoch in range(2):
    ...     for ids in ([0, 2], [1]):
    ...         record(ids, [True] * len(ids))
    >>> record.array().shape
    (2, 3)
    """

    def __init__(self, n_samples: int) -> None:
        self.n_samples = checks.integer("n_samples", n_samples, 1)
        self._seen = np.zeros(self.n_samples, np.int64)
        self._epochs: list[Array] = []

    def __call__(self, ids: Any, correct: Any) -> None:
        """ids (B,) distinct sample numbers, correct (B,) bool, arrays, tensors or lists. The t-th
        time that a sample comes is its epoch t."""
        rows = checks.vector("ids", _host(ids))
        checks.rows("ids", rows, self.n_samples)
        rows = rows.astype(np.int64)
        right = checks.vector("correct", _host(correct))
        if right.dtype != np.bool_ or right.shape != rows.shape:
            raise ValueError(
                f"correct: expected {len(rows)} bools, got shape {right.shape} of {right.dtype}"
            )
        for epoch in np.unique(self._seen[rows]):
            if epoch == len(self._epochs):
                self._epochs.append(np.zeros(self.n_samples, np.bool_))
            now = self._seen[rows] == epoch
            self._epochs[epoch][rows[now]] = right[now]
        self._seen[rows] += 1

    def array(self) -> Array:
        """(T, N) bool. Raises ValueError where some samples came less often than others."""
        if self._seen.min() < len(self._epochs) or not self._epochs:
            raise ValueError(
                f"record: expected every sample in each of {len(self._epochs)} epochs, got sample "
                f"{self._seen.argmin()} in {self._seen.min()}"
            )
        return np.array(self._epochs)


def _host(x: Any) -> Any:
    return x.cpu() if checks.on_device(x) else x
