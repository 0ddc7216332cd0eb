"""What methods make of the tasks of a target: each task counts the same, however many rows it
has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._support.types import Floats
from ..pool.pool import Pool


def tasks_of(name: str, target: Any) -> list[tuple[str, Any]]:
    """The names, in error messages, and the rows of the tasks of an argument that has those of one
    task, a list of such, or is None."""
    if target is None:
        return []
    if not isinstance(target, (list, tuple)):
        return [(name, target)]
    if not target:
        raise ValueError(f"{name}: expected the rows of at least one task, got {target!r}")
    return [(f"{name}[{i}]", rows) for i, rows in enumerate(target)]


def mean_gradient(tasks: Sequence[Pool]) -> Floats:
    """(m,) The mean of the tasks' mean rows."""
    return np.asarray(sum(task.Z.mean() for task in tasks) / len(tasks))


def second_moment(tasks: Sequence[Pool]) -> Floats:
    """(m, m) The mean of the tasks' second moments."""
    return np.asarray(sum(task.second_moment for task in tasks) / len(tasks))
