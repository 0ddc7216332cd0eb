"""Gradient matching: a selection whose mean gradient is that of the pool, and that covers it.

Counts per class, cells of alike rows inside the classes, a draw that gives each cell its share, and
exchanges inside cells until the weighted mean gradient equals that of the pool. The pool's labels
are known, so its mean gradient ḡ is too. What a wrong mean adds to the error of a Newton step on
the selection, ‖Σ^(1/2) (Σ_S + λ)⁻¹ (ḡ_S - ḡ)‖, is zero where its right factor is; cells keep the
left one bounded.
"""

from __future__ import annotations

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
from .mean_matching import SWEEPS, WHOLE, Slots, exchange
from .pilots import pilot_of
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

    What is matched is the mean gradient of the pool or, with a target, the mean over its tasks of
    their mean gradients. With a pilot it matches twice: the gradients given (or, for a linear
    pilot, those at the best constant head), then those at the pilot that was finetuned on the first
    choice.
    """
    o = MatchingOptions(**options)
    for_target = bool(problem.make_targets)
    if not for_target:
        problem = problem.with_class_counts(POWER)
    weights_of = _equal_weights if for_target else problem.constraints.class_weights
    at_pilot = pilot_of(problem, weights_of)
    # Nothing asks the rows for a target to cover the pool, so their cells are random.
    slots = _random_cells(problem) if for_target else stratified(problem, o.rows_per_cell)
    included, omega = problem.constraints.include, weights_of(np.arange(problem.n_rows))
    judged = at_pilot(None)
    slots = matched(judged, replace(slots, weights=omega[slots.rows]), omega, o)
    if problem.pilot is not None:
        judged = at_pilot(np.sort(np.concatenate([included, slots.rows])))
        slots = matched(judged, slots, omega, o)
    chosen = np.sort(np.concatenate([included, slots.rows]))
    facts = {"cells": len(slots.begins) - 1}
    return Chosen(chosen, facts, weights=weights_of(chosen), judged=judged)


def _equal_weights(rows: Indices) -> Floats:
    return np.ones(len(rows))


def matched(problem: Problem, slots: Slots, omega: Floats, o: MatchingOptions) -> Slots:
    """The slots after exchanges that match the mean of the pool, or of the target; omega (N,) are
    the weights."""
    included = problem.constraints.include
    rows = exchange(
        problem.pool.Z, metric_of(problem, o.ridge), slots, o.sweeps, problem.seed,
        problem.n_threads, fixed=(included, omega[included]), progress=problem.progress,
    )  # fmt: skip
    return replace(slots, rows=rows)


def metric_of(problem: Problem, ridge: float = 1.0) -> MeanMetric:
    """The metric of the rows that a selection may have. Its goal is their mean z̄ or, with a target,
    a point on the way to the mean t over the tasks of their mean gradients. t is known from some
    rows only. By James and Stein (1961) the share of the way is 1 - noise/‖Rᵀ(t - z̄)‖², with the
    noise of so many rows of the pool."""
    pool, here, rows = problem.pool, problem.constraints.here, None
    never, moment = problem.constraints.never(), pool.second_moment
    n_never = int(here.summed(np.array([float(len(never))]))[0])
    if n_never:
        allowed = np.ones(here.count)
        allowed[never] = 0.0
        moment = pool.Z.second_moment(allowed, problem.n_threads) / (here.n_rows - n_never)
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
    none = np.empty(0, np.int64)
    rows = np.concatenate([*drawn, none])
    begins = np.append(0, np.cumsum([len(several) for several in members], dtype=np.int64))
    first = np.append(0, np.cumsum(counts, dtype=np.int64))
    return Slots(np.concatenate([*members, none]), begins, first, rows, np.ones(len(rows)))


def stratified(problem: Problem, rows_per_cell: int) -> Slots:
    """A draw of the free rows that gives each cell its share; cells are inside the groups."""
    pool, constraints, seed = problem.pool, problem.constraints, problem.seed
    groups = [(g, group) for g, group in enumerate(constraints.groups) if group.count > 0]
    all_found = cells_of(
        pool.Z,
        pool.squared_norms,
        [constraints.free[group.part] for _, group in groups],
        [-(-group.count // rows_per_cell) for _, group in groups],
        [group.count // 10 for _, group in groups],
        [group_seed(seed, g) for g, _ in groups],
        problem.n_threads,
    )
    members: list[Indices] = []
    counts: list[int] = []
    for (_, group), found in zip(groups, all_found, strict=True):
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
    return Cost(
        seconds=(tree + products) / speed.flops + sweeps / (speed.flops / 4),
        peak_bytes=work.copy if work.copy <= WHOLE else 0,
    )
