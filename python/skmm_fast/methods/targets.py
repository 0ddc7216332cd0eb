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


Named = list[tuple[str, Any]]


def labelled_tasks_of(name: str, target: Any) -> tuple[Named, Named]:
    """What `tasks_of` gives, and the same of the labels, of an argument that has a pair (rows,
    labels) for one task, a list of such pairs, or is None."""
    pairs = [(name, target)] if isinstance(target, tuple) else tasks_of(name, target)
    for task, pair in pairs:
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise ValueError(
                f"{task}: expected a pair (rows, labels) for pilot 'linear', got "
                f"{type(pair).__name__}"
            )
    rows, labels = ([(f"{task}[{i}]", pair[i]) for task, pair in pairs] for i in (0, 1))
    return rows, labels


def mean_gradient(tasks: Sequence[Pool]) -> Floats:
    """(m,) The mean of the tasks' mean rows."""
    return np.asarray(sum(task.Z.mean() for task in tasks) / len(tasks))


def second_moment(tasks: Sequence[Pool]) -> Floats:
    """(m, m) The mean of the tasks' second moments."""
    return np.asarray(sum(task.second_moment for task in tasks) / len(tasks))
