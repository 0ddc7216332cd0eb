"""Samples that training forgets (Toneva et al. 2019)."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._support import arrays, checks
from .._support.types import Array, Floats, VectorLike
from .groups import largest_scores
from .model_outputs import on_host
from .problem import Chosen, Problem


class ForgettingRecord:
    """Which samples were classified correctly in each epoch: call it in the training loop.

    Parameters
    ----------
    n_samples : int
        N.

    Raises
    ------
    TypeError, ValueError
        n_samples that is no count.

    Examples
    --------
    >>> import skmm_fast as skmm
    >>> record = skmm.ForgettingRecord(n_samples=3)
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

    def __call__(self, ids: VectorLike, correct: VectorLike) -> None:
        """Take what became of a batch. The t-th time that a sample comes is its epoch t.

        Parameters
        ----------
        ids : (B,) row numbers
            Distinct samples.
        correct : (B,) bool
            Whether they were classified correctly; an array, tensor or list.

        Raises
        ------
        TypeError, ValueError
            ids that are no distinct samples, or as many bools are not given.

        Examples
        --------
        >>> import skmm_fast as skmm
        >>> record = skmm.ForgettingRecord(2)
        >>> record([1, 0], [True, False])
        """
        rows = arrays.vector("ids", on_host(ids))
        arrays.rows("ids", rows, self.n_samples)
        rows = rows.astype(np.int64)
        right = arrays.vector("correct", on_host(correct))
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
        """Which samples were correct in which epoch.

        Returns
        -------
        (T, N) array of bool

        Raises
        ------
        ValueError
            Some samples came less often than others.

        Examples
        --------
        >>> import skmm_fast as skmm
        >>> record = skmm.ForgettingRecord(2)
        >>> record([1, 0], [True, False])
        >>> record.array()
        array([[False,  True]])
        """
        if self._seen.min() < len(self._epochs) or not self._epochs:
            raise ValueError(
                f"record: expected every sample in each of {len(self._epochs)} epochs, got sample "
                f"{self._seen.argmin()} in {self._seen.min()}"
            )
        return np.array(self._epochs)


def forgetting(problem: Problem, record: ForgettingRecord | VectorLike | None = None) -> Chosen:
    """The samples most often forgotten (`forgetting_events`). record (T, N) bool, T > 1, as
    `ForgettingRecord` makes it."""
    if record is None:
        raise ValueError("record: expected (T, N) bool with method 'forgetting', got None")
    array, N = _correctness(record), problem.n_rows
    if array.dtype != np.bool_ or array.ndim != 2 or array.shape[1] != N or len(array) < 2:
        raise ValueError(
            f"record: expected bool of shape (T, {N}), T > 1, got {array.dtype} of shape "
            f"{array.shape}"
        )
    return Chosen(largest_scores(problem, forgetting_events(array)))


def forgetting_events(record: Array) -> Floats:
    """How often a sample was classified correctly in one epoch and wrongly in the next; infinite
    where it never was correct (Toneva et al. 2019). record (T, N), True where correct."""
    lost = record[:-1] & ~record[1:]
    return np.where(record.any(axis=0), lost.sum(axis=0), np.inf)


def _correctness(record: Any) -> Array:
    """The array of a `ForgettingRecord`, or of what can be made one."""
    if isinstance(record, ForgettingRecord):
        return record.array()
    try:
        return np.asarray(on_host(record))
    except ValueError as error:
        raise ValueError(
            f"record: expected (T, N) bool, got {type(record).__name__}: {error}"
        ) from None
