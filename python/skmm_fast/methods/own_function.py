"""A method of the user's: a function (Z, n, seed, **options) -> n distinct rows of Z."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from .._support import arrays
from .._support.types import Array
from ..pool.pool import Pool
from .problem import Chosen, Problem

OwnFunction = Callable[..., Any]


def name_of(function: OwnFunction) -> str:
    return str(getattr(function, "__qualname__", type(function).__qualname__))


def require_target(function: OwnFunction, given: bool) -> None:
    """Raises ValueError where a target is given to a function that has no parameter for it."""
    if given and "target" not in inspect.signature(function).parameters:
        raise ValueError(
            f"target: expected None with method {name_of(function)}, which has no parameter of "
            "this name, got rows"
        )


def run(problem: Problem, function: OwnFunction, options: dict[str, Any]) -> Chosen:
    """What the function chooses, held to the constraints. It gets Z read-only, and where it has
    parameters of these names y and target, a list of the tasks' rows (None without a target)."""
    Z = _read_only(problem.pool)
    parameters = inspect.signature(function).parameters
    if "y" in parameters:
        options = {"y": problem.y, **options}
    if "target" in parameters:
        options = {"target": [_read_only(task) for task in problem.targets] or None, **options}
    found = function(Z, problem.n, problem.seed, **options)
    rows = arrays.rows("method", found, problem.n_rows)
    problem.constraints.require("method", rows)
    return Chosen(rows)


def _read_only(pool: Pool) -> Array:
    """The rows of a pool in host memory."""
    Z = pool.Z.array(slice(None)).view()
    Z.flags.writeable = False
    return Z
