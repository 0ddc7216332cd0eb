"""A problem at a pilot: a head or model that was finetuned on a first choice, and whose gradients
take the place of the rows given."""

from __future__ import annotations

from collections.abc import Callable

from .._support.types import Floats, Indices
from ..pool.pool import Pool
from .linear_pilot import LinearPilot
from .problem import Problem
from .targets import tasks_of

# From the rows that the pilot is finetuned on, or None before, to the problem at it.
AtPilot = Callable[[Indices | None], Problem]


def pilot_of(problem: Problem, weights_of: Callable[[Indices], Floats]) -> AtPilot:
    """The pilot of a problem; weights_of (rows of a selection) are those of a finetune on them.

    Before the finetune the problem at a linear pilot has the gradients at the best constant head;
    with another pilot, or without one, it is the problem as it was given.
    """
    if problem.pilot == "linear":
        return _linear(problem, weights_of)
    return lambda rows: problem if rows is None else _by_function(problem, rows)


def _linear(problem: Problem, weights_of: Callable[[Indices], Floats]) -> AtPilot:
    if problem.labels is None:
        raise ValueError("y: expected labels or numbers for pilot 'linear', got None")
    if len(problem.labels.values) < 2:
        only = problem.labels.values.tolist()[0]
        raise ValueError(f"y: expected at least two labels for pilot 'linear', got only {only!r}")
    pilot, *of_tasks = (
        LinearPilot(pool.Z, labels, problem.make_sketch, problem.n_threads)
        for pool, labels in zip(
            (problem.pool, *problem.targets),
            (problem.labels, *problem.target_labels),
            strict=True,
        )
    )

    def at_head(rows: Indices | None) -> Problem:
        head = pilot.constant() if rows is None else pilot.fitted(rows, weights_of(rows))
        pool, *tasks = (
            Pool.of(of_rows.gradients(head), name="pilot", n_threads=problem.n_threads)
            for of_rows in (pilot, *of_tasks)
        )
        return problem.at(pool, tasks)

    return at_head


def _by_function(problem: Problem, rows: Indices) -> Problem:
    """The problem with what the user's function returns: gradients of the samples or, with a
    target, a pair of these and those of the target's rows."""
    returned, tasks = problem.pilot(rows), []
    if problem.make_targets:
        if not isinstance(returned, tuple) or len(returned) != 2:
            got = type(returned).__name__
            raise ValueError(
                "pilot: expected a function that with a target returns a pair, the gradients of "
                f"the samples and those of the target's rows, got one that returns {got}"
            )
        returned, of_target = returned
        tasks = [rows for _, rows in tasks_of("pilot", of_target)]
    if len(tasks) != len(problem.make_targets):
        raise ValueError(
            f"pilot: expected gradients for {len(problem.make_targets)} tasks as in target, got "
            f"{len(tasks)}"
        )
    pool, *of_tasks = problem.pools_of("pilot", returned, *tasks)
    _require_rows(pool, problem.n_rows, "samples")
    for at_pilot, task in zip(of_tasks, problem.targets, strict=True):
        _require_rows(at_pilot, len(task.Z), "rows of the target")
    return problem.at(pool, of_tasks)


def _require_rows(pool: Pool, count: int, of_what: str) -> None:
    if len(pool.Z) != count:
        raise ValueError(f"pilot: expected a row for each of {count} {of_what}, got {len(pool.Z)}")
