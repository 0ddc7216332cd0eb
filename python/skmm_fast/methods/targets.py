"""What methods make of the tasks of a target: each task counts the same, however many rows it
has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._support.types import Floats
from ..pool.pool import Pool


def mean_gradient(tasks: Sequence[Pool]) -> Floats:
    """(m,) The mean of the tasks' mean rows."""
    return np.asarray(sum(task.Z.mean() for task in tasks) / len(tasks))


def second_moment(tasks: Sequence[Pool]) -> Floats:
    """(m, m) The mean of the tasks' second moments."""
    total = sum(
        (task.moments.eigenvectors * task.moments.eigenvalues) @ task.moments.eigenvectors.T
        for task in tasks
    )
    return np.asarray(total / len(tasks))
