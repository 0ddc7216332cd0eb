"""Gradient matching: a selection whose mean gradient is that of the pool, and that covers it.

Counts per class, cells of alike rows inside the classes, a draw that gives each cell its share, and
exchanges inside cells until the weighted mean gradient equals that of the pool. The pool's labels
are known, so its mean gradient ḡ is too. What a wrong mean adds to the error of a Newton step on
the selection, ‖Σ^(1/2) (Σ_S + λ)⁻¹ (ḡ_S - ḡ)‖, is zero where its right factor is; cells keep the
left one bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from .._support import checks
from .._support.types import Floats, Indices
from ..pool.mean_metric import MeanMetric, mean_metric
from ..pool.pool import Pool
from .constraints import power_counts
from .cost import Cost, Speed, Work
from .groups import SUBSETS, group_seed
from .linear_pilot import LinearPilot
from .mean_matching import SWEEPS, Slots, exchange
from .problem import Chosen, Problem
from .spherical_cells import cells_of
from .targets import mean_gradient

# The power of class sizes by which classes are counted where per_class is None. Smaller powers
# favour small classes, and lose accuracy where these are hard to tell from large ones.
POWER = 1.0
ROWS_PER_CELL = 4
# Rows of a squared norm above this many times the mean, which are a sixth at most, are chosen from
# coherent cells only.
USUAL = 6.0
SLOTS = 64  # rows of a selection to a random cell


@dataclass(frozen=True)
class MatchingOptions:
    """Options of gradient matching: those of `match_mean`, and about how many rows a cell gives."""

    ridge: float = 1.0
    sweeps: int = SWEEPS
    rows_per_cell: int = ROWS_PER_CELL

    def __post_init__(self) -> None:
        checks.real("ridge", self.ridge, above=0.0)
        checks.integer("sweeps", self.sweeps, 0)
        checks.integer("rows_per_cell", self.rows_per_cell, 1)


def run(problem: Problem, **options: Any) -> Chosen:
    """Gradient matching as a method of `select`. Its options are MatchingOptions.

    With a pilot it matches twice: the gradients given (or, for a linear pilot, those at the best
    constant head), then those at the pilot that was finetuned on the first choice.
    """
    o = MatchingOptions(**options)
    if problem.make_targets:
        return _for_targets(problem, o)
    problem = problem.with_class_counts(POWER)
    constraints, pilot = problem.constraints, _pilot_of(problem)
    omega = constraints.class_weights(np.arange(problem.n_rows))
    slots = stratified(problem, o.rows_per_cell)
    slots = replace(slots, weights=omega[slots.rows])
    pool = pilot(None)
    slots = matched(problem, pool, slots, omega, o)
    if problem.pilot is not None:
        pool = pilot(np.sort(np.concatenate([constraints.include, slots.rows])))
        slots = matched(problem, pool, slots, omega, o)
    chosen = np.sort(np.concatenate([constraints.include, slots.rows]))
    facts = {"cells": len(slots.members)}
    return Chosen(chosen, facts, weights=constraints.class_weights(chosen), pool=pool)


def _for_targets(problem: Problem, o: MatchingOptions) -> Chosen:
    """The mean gradient of the rows chosen near the mean over the tasks of their mean gradients, in
    the metric of the pool. Nothing asks the rows to cover the pool, so cells are random."""
    if problem.pilot is not None:
        raise ValueError("pilot: expected None with a target, whose rows are not at the pilot")
    pool = problem.pool
    slots = matched(problem, pool, _random_cells(problem), np.ones(problem.n_rows), o)
    chosen = np.sort(np.concatenate([problem.constraints.include, slots.rows]))
    return Chosen(chosen, weights=np.ones(len(chosen)))


def matched(
    problem: Problem,
    pool: Pool,
    slots: Slots,
    omega: Floats,
    o: MatchingOptions,
) -> Slots:
    """The slots after exchanges that match the mean of this pool, or of the target; omega (N,) are
    the weights."""
    included = problem.constraints.include
    rows = exchange(
        pool.Z, metric_of(problem, pool, o.ridge), slots, o.sweeps, problem.seed,
        problem.n_threads, fixed=(included, omega[included]), progress=problem.progress,
    )  # fmt: skip
    return replace(slots, rows=rows)


def _pilot_of(problem: Problem) -> Callable[[Indices | None], Pool]:
    """A function from the rows that the pilot is finetuned on, or None before, to the pool of the
    gradients at it."""
    if problem.pilot != "linear":
        return lambda rows: problem.pool if rows is None else _pool_of(problem, problem.pilot(rows))
    if problem.labels is None:
        raise ValueError("y: expected labels or numbers for pilot 'linear', got None")
    pilot = LinearPilot(problem.pool.Z, problem.labels, problem.make_sketch, problem.n_threads)

    def gradients(rows: Indices | None) -> Pool:
        head = pilot.constant()
        if rows is not None:
            head = pilot.fitted(rows, problem.constraints.class_weights(rows))
        return Pool.of(pilot.gradients(head), name="pilot", n_threads=problem.n_threads)

    return gradients


def _pool_of(problem: Problem, rows: object) -> Pool:
    """The pool of what a pilot returned."""
    pool = problem.pool_of("pilot", rows)
    if len(pool.Z) != problem.n_rows:
        raise ValueError(
            f"pilot: expected a row for each of {problem.n_rows} samples, got {len(pool.Z)}"
        )
    return pool


def metric_of(problem: Problem, pool: Pool, ridge: float = 1.0) -> MeanMetric:
    """The metric of the rows that a selection may have. Its goal is their mean z̄ or, with a target,
    a point on the way to the mean t over the tasks of their mean gradients. t is known from some
    rows only. By James and Stein (1961) the share of the way is 1 - noise/‖Rᵀ(t - z̄)‖², with the
    noise of so many rows of the pool."""
    never, moment, rows = problem.constraints.never(), pool.second_moment, None
    if len(never):
        allowed = np.ones(problem.n_rows)
        allowed[never] = 0.0
        moment = pool.Z.second_moment(allowed, problem.n_threads) / allowed.sum()
        rows = np.flatnonzero(allowed)
    metric = mean_metric(pool.Z, moment, rows, ridge)
    if not problem.targets:
        return metric
    way = mean_gradient(problem.targets) - metric.mean
    noise = metric.square * float(np.mean([1 / len(task.Z) for task in problem.targets]))
    noise /= len(problem.targets)
    length = float(np.square(way @ metric.R).sum())
    share = max(0.0, 1 - noise / length) if length > 0 else 0.0
    return replace(metric, goal=metric.mean + share * way)


def usual_rows(pool: Pool, rows: Indices) -> npt.NDArray[np.bool_]:
    """Whether the norm of each of these rows is no outlier, beside the rows that are not zero."""
    squares = pool.squared_norms
    mask: npt.NDArray[np.bool_] = squares[rows] <= USUAL * squares[squares > 0].mean()
    return mask


def _random_cells(problem: Problem) -> Slots:
    """A uniform draw of usual free rows in random cells of about SLOTS rows of a selection each."""
    pool, constraints, seed = problem.pool, problem.constraints, problem.seed
    members: list[Indices] = []
    counts: list[int] = []
    for g, group in enumerate(constraints.groups):
        free = constraints.free[group.part]
        usual = free[usual_rows(pool, free)]
        several = usual if len(usual) >= group.count else free
        parts = -(-group.count // SLOTS)
        if parts == 0:
            continue
        order = _core.random_order(len(several), group_seed(seed, g))
        cells = [np.sort(several[part]) for part in np.array_split(order, parts)]
        members += cells
        counts += power_counts(np.array([len(cell) for cell in cells]), group.count, 1.0)
    return _drawn(members, counts, seed)


def _drawn(members: list[Indices], counts: list[int], seed: int) -> Slots:
    """Slots with a uniform draw in each cell."""
    drawn = [
        several[_core.draw_subset(len(several), count, seed, SUBSETS + c)]
        for c, (several, count) in enumerate(zip(members, counts, strict=True))
    ]
    rows = np.concatenate([*drawn, np.empty(0, np.int64)])
    return Slots(members, np.append(0, np.cumsum(counts)), rows, np.ones(len(rows)))


def stratified(problem: Problem, rows_per_cell: int) -> Slots:
    """A draw of the free rows that gives each cell its share; cells are inside the groups."""
    pool, constraints, seed = problem.pool, problem.constraints, problem.seed
    members: list[Indices] = []
    counts: list[int] = []
    for g, group in enumerate(constraints.groups):
        if group.count == 0:
            continue
        free = constraints.free[group.part]
        found = cells_of(
            pool.Z, pool.squared_norms, free, -(-group.count // rows_per_cell), group.count // 10,
            group_seed(seed, g), problem.n_threads,
        )  # fmt: skip
        kept = usual_rows(pool, found.rows) | np.repeat(found.coherent, found.sizes)
        several = found.without(~kept)
        if len(several.rows) < group.count:
            several = found
        members += np.split(several.rows, several.first[1:-1])
        counts += several.counts(group.count)
    return _drawn(members, counts, seed)


def cost(work: Work, speed: Speed) -> Cost:
    """Cells, products with the metric, and sweeps over the rows chosen."""
    N, m, n = work.n_rows, work.dim, work.n
    levels = max(1.0, np.log(max(n / ROWS_PER_CELL, 2)) / np.log(32))
    tree = levels * 2 * N * m * 32 * 2
    candidates = min(N, SWEEPS * 16 * n)
    products, sweeps = 2 * candidates * m * m, SWEEPS * 16 * n * m * 2 * 4
    return Cost(seconds=(tree + products) / speed.flops + sweeps / (speed.flops / 4))
