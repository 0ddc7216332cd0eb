"""A method of the user's: a function (Z, n, seed, **options) -> n distinct rows of Z."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from .._support import arrays
from .problem import Chosen, Problem

OwnFunction = Callable[..., Any]


def name_of(function: OwnFunction) -> str:
    return str(getattr(function, "__qualname__", type(function).__qualname__))


def run(problem: Problem, function: OwnFunction, options: dict[str, Any]) -> Chosen:
    """What the function chooses, held to the constraints. It gets Z read-only, and y where it has a
    parameter of this name."""
    Z = problem.pool.Z.array(slice(None)).view()
    Z.flags.writeable = False
    if "y" in inspect.signature(function).parameters:
        options = {"y": problem.y, **options}
    found = function(Z, problem.n, problem.seed, **options)
    rows = arrays.rows("method", found, problem.n_rows)
    problem.constraints.require("method", rows)
    return Chosen(rows)
