"""Selections made group by group."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import _core
from .._support.types import Array, Floats, Indices
from .constraints import Constraints
from .problem import Problem

SUBSETS = 1 << 16  # numbers of the uniform draws of methods; the diagnosis has those below


def each_group(constraints: Constraints, choose: Callable[[Indices, int, int], Indices]) -> Indices:
    """A selection, ascending: the rows of include, and in each group g those that
    choose(free rows, count, g) takes."""
    chosen = [constraints.include]
    for g, group in enumerate(constraints.groups):
        if group.count:
            chosen.append(choose(constraints.free[group.part], group.count, g))
    return np.sort(np.concatenate(chosen))


def group_seed(seed: int, g: int) -> int:
    """A seed for the draw in group g, so that draws in groups are independent."""
    return seed ^ (g * 0x9E3779B97F4A7C15 % 2**64)


def draw_uniformly(rows: Indices, count: int, seed: int, g: int) -> Indices:
    """`count` of these rows of group g."""
    return rows[_core.draw_subset(len(rows), count, seed, SUBSETS + g)]


def steady(score: Array, unit: float = 0.0) -> Floats:
    """Scores as they are compared: float64 numbers of 30 significant bits, and multiples of
    2⁻⁴⁰ unit, for those whose error is in proportion to `unit`.

    The last bits of a score hang on the order of sums, which is another in each BLAS, on each
    processor and device. So scores that are equal but for rounding, as those of copies, would be in
    an order of chance. Rounded they tie, and the method says what becomes of ties. Two sums of one
    score, ε apart, still differ where a boundary of rounding lies between: with probability 2³⁰ ε,
    about 10⁻⁷ a row.
    """
    fraction, exponent = np.frexp(np.asarray(score, np.float64))
    kept = np.ldexp(np.round(np.ldexp(fraction, 30)), exponent - 30)
    if unit > 0:
        grid = unit * 2.0**-40
        kept = np.round(kept / grid) * grid
    return np.asarray(kept)


def largest_scores(problem: Problem, score: Array, unit: float = 0.0) -> Indices:
    """The rows of largest score (N,) in each group, as `steady` rounds them; ties are drawn, since
    the lowest rows of data that is sorted by class would be of one class."""
    score = steady(score, unit)

    def choose(rows: Indices, count: int, g: int) -> Indices:
        x = score[rows]
        least = np.partition(x, len(x) - count)[len(x) - count]
        above, ties = rows[x > least], rows[x == least]
        drawn = draw_uniformly(ties, count - len(above), problem.seed, g)
        return np.append(above, drawn)

    return each_group(problem.constraints, choose)


class Picks:
    """A selection made row by row: the rows of include are in it from the start."""

    def __init__(self, constraints: Constraints) -> None:
        self.rows: list[int] = constraints.include.tolist()
        self.open = np.zeros(constraints.n_rows, np.bool_)  # rows that may be picked next
        self._group = constraints.group
        self._left = [group.count for group in constraints.groups]
        for group, left in zip(constraints.groups, self._left, strict=True):
            self.open[constraints.free[group.part]] = left > 0

    def take(self, row: int) -> None:
        """Pick an open row. Its group closes when it has its count."""
        self.rows.append(row)
        self.open[row] = False
        g = 0 if self._group is None else int(self._group[row])
        self._left[g] -= 1
        if self._left[g] == 0:
            self.open[slice(None) if self._group is None else self._group == g] = False

    def chosen(self) -> Indices:
        """The rows picked, ascending."""
        return np.sort(np.array(self.rows, np.int64))
