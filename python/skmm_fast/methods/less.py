"""Rows whose gradients point the way of a target's (LESS: Xia et al. 2024, arXiv 2402.04333)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._support import arrays
from .._support.types import Floats, Matrix, VectorLike
from ..pool.pool import Pool
from .groups import largest_scores
from .problem import Chosen, Problem
from .targets import tasks_of

MakePool = Callable[[], Pool]


def less(
    problem: Problem,
    checkpoints: Sequence[Matrix] = (),
    target_checkpoints: Sequence[Matrix | Sequence[Matrix]] = (),
    learning_rates: VectorLike | None = None,
) -> Chosen:
    """The largest influence on a task of the target: the cosine of a row and the mean gradient of
    the task, averaged over checkpoints (Xia et al. 2024). Ties are drawn.

    X and target are the gradients at one checkpoint of a warm-up. `checkpoints` has those (N, r) of
    the same samples at others, and `target_checkpoints` those of the target, with the same tasks.
    `learning_rates`, positive numbers, that of X first, weight the average; by default all are
    equal.

    Gradients are used as they are given. Where the finetune is by Adam the paper takes its updates
    for the samples of the pool, which `GradientSketcher(scale=optimizer)` sketches, and plain
    gradients for the target.
    """
    others = _other_checkpoints(problem, checkpoints, target_checkpoints)
    rate, *rates = _weights(learning_rates, 1 + len(others))
    influence = rate * _cosines(problem.pool, problem.targets)
    for rate, (make_pool, make_targets) in zip(rates, others, strict=True):
        influence += rate * _cosines(make_pool(), [make() for make in make_targets])
    return Chosen(largest_scores(problem, influence.max(axis=0), unit=1.0))


def _cosines(pool: Pool, tasks: Sequence[Pool]) -> Floats:
    """(tasks, N) The cosine of each row and the mean of each task, 0 where one of them is 0."""
    norms = np.sqrt(pool.squared_norms)
    found = np.empty((len(tasks), len(pool.Z)))
    for cosine, task in zip(found, tasks, strict=True):
        mean = task.Z.mean()
        length = np.linalg.norm(mean)
        along = pool.Z.dots(mean / (length if length > 0 else 1.0), pool.n_threads)
        cosine[:] = along / np.where(norms > 0, norms, 1.0)
    return found


def _other_checkpoints(
    problem: Problem, checkpoints: Any, target_checkpoints: Any
) -> list[tuple[MakePool, list[MakePool]]]:
    """What makes the pool and the tasks at each checkpoint but that of X, all checked."""
    for name, given in (("checkpoints", checkpoints), ("target_checkpoints", target_checkpoints)):
        if not isinstance(given, (list, tuple)):
            raise TypeError(f"{name}: expected a list or tuple, got {type(given).__name__}")
    if len(target_checkpoints) != len(checkpoints):
        raise ValueError(
            f"target_checkpoints: expected {len(checkpoints)}, as many as checkpoints, got "
            f"{len(target_checkpoints)}"
        )
    n_tasks, found = len(problem.make_targets), []
    for i, (rows, target) in enumerate(zip(checkpoints, target_checkpoints, strict=True)):
        name, tasks = f"target_checkpoints[{i}]", tasks_of(f"target_checkpoints[{i}]", target)
        if len(tasks) != n_tasks:
            raise ValueError(f"{name}: expected {n_tasks} tasks as in target, got {len(tasks)}")
        pool = problem.like_pool(f"checkpoints[{i}]", rows, problem.n_rows)
        found.append((pool, [problem.like_pool(task, rows, None) for task, rows in tasks]))
    return found


def _weights(learning_rates: Any, count: int) -> Floats:
    """(count,) positive weights that sum to 1."""
    if learning_rates is None:
        return np.full(count, 1 / count)
    rates = arrays.vector("learning_rates", learning_rates)
    if rates.dtype.kind not in "fiu" or rates.shape != (count,):
        raise ValueError(
            f"learning_rates: expected {count} numbers, one for X and each of checkpoints, got "
            f"shape {rates.shape} of {rates.dtype}"
        )
    if not np.all((rates > 0) & (rates < np.inf)):
        raise ValueError(f"learning_rates: expected positive numbers, got {rates}")
    relative = rates.astype(np.float64) / float(rates.max())
    return np.asarray(relative / relative.sum())
