"""Rows nearest to those of a target (RDS+: Ivison et al. 2025, arXiv 2503.01807)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count, islice

import numpy as np

from .._support.types import Floats
from ..pool.pool import Pool
from .groups import Picks, steady
from .problem import Chosen, Problem
from .sampling import largest

LISTED = 1 << 20  # rows in the lists of nearest rows, all lists together
TOGETHER = 1 << 22  # similarities that are held at a time


def rds(problem: Problem) -> Chosen:
    """The rows of the target take turns; each takes the row of X nearest to it, by cosine, that is
    not taken yet (Ivison et al. 2025). Several tasks take turns too, and within a task its rows.
    Ties go to the lowest row. Rows of zeros in the target are passed over.

    The paper's rows are features: a language model's hidden states, averaged over a sample's
    tokens. Gradients do as well.
    """
    directions = [_directions(task) for task in problem.targets]
    picks = Picks(problem.constraints)
    turns = list(islice(_turns([len(d) for d in directions]), problem.n - len(picks.rows)))
    used, turns_of_used = np.unique(np.array(turns, np.int64), return_inverse=True)
    queries, waiting = np.concatenate(directions)[used], turns_of_used.tolist()[::-1]
    while waiting:
        # The lists of nearest rows hold until one of them has no row left that may be picked.
        lists = [iter(near) for near in _nearest(problem, queries, picks, len(waiting))]
        while waiting:
            row = next((i for i in lists[waiting[-1]] if picks.open[i]), None)
            if row is None:
                break
            picks.take(row)
            waiting.pop()
    return Chosen(picks.chosen())


def _directions(task: Pool) -> Floats:
    """The rows of a task, scaled to norm 1, without those of zeros."""
    rows = task.Z.array(slice(None)).astype(np.float64)
    rows = rows[task.squared_norms > 0]
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def _turns(sizes: Sequence[int]) -> Iterator[int]:
    """Whose turn it is, without end: numbers of rows of all tasks, of which task t has sizes[t]."""
    first = np.cumsum([0, *sizes[:-1]]).tolist()
    for turn in count():
        for start, size in zip(first, sizes, strict=True):
            yield start + turn % size


def _nearest(problem: Problem, queries: Floats, picks: Picks, wanted: int) -> list[list[int]]:
    """For each query, rows that may be picked, nearest first: at most as many as are wanted, and
    in all lists together about LISTED."""
    pool, rows = problem.pool, np.flatnonzero(picks.open)
    length = min(wanted, len(rows), max(LISTED // len(queries), 1))
    norms = np.sqrt(pool.squared_norms[rows])
    unit = np.sqrt(pool.squared_norms.mean())  # products with the rows in this unit are in range
    near = []
    step = max(TOGETHER // len(rows), 1)
    for first in range(0, len(queries), step):
        by = queries[first : first + step].T / unit
        products = pool.Z.times(by, rows, problem.n_threads).array(slice(None))
        for product in products.T:
            cosine = steady(product * unit / np.where(norms > 0, norms, 1.0), unit=1.0)
            top = largest(cosine, length)
            near.append(rows[top[np.argsort(-cosine[top], kind="stable")]].tolist())
    return near
