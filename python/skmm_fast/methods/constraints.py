"""Which rows a selection may have, and how many of each class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from .._support import arrays, checks
from .._support.cached import cached_property
from .._support.ranks import Ranks
from .._support.rows_here import RowsHere
from .._support.types import Array, Floats, Indices
from .labels import Labels

POWERS = {"proportional": 1.0, "sqrt": 0.5, "balanced": 0.0}  # of class sizes, in per_class

# Each class has a row where n is at least so many times the number of classes: with fewer rows the
# counts would be those of a balanced draw, which lose accuracy.
ROWS_PER_CLASS = 2


@dataclass(frozen=True)
class FreeGroup:
    """Rows of a group that a selection may have or not."""

    part: slice | Indices  # the positions of those here among the free rows here, ascending
    size: int  # on all ranks
    count: int  # how many of them a selection has


@dataclass(frozen=True)
class Constraints:
    """A selection has counts[g] rows of each group g, those of `include` among them."""

    n_rows: int  # N
    counts: list[int]
    group: npt.NDArray[np.int32] | None  # of the rows here, -1: never chosen; None: all are 0
    include: Indices  # always chosen, ascending, on all ranks
    ranks: Ranks | None = None  # that have rows

    @cached_property
    def here(self) -> RowsHere:
        """The rows that this process has."""
        return RowsHere(self.n_rows, self.ranks)

    @cached_property
    def core(self) -> _core.Constraints:
        include = self.here.of(self.include).tolist()
        strips = None if self.ranks is None else self.here.strips
        return _core.Constraints(self.here.count, self.group, self.counts, include, strips)

    @property
    def n(self) -> int:
        """Rows of a selection."""
        return sum(self.counts)

    @property
    def constrained(self) -> bool:
        """Whether some n rows are no selection."""
        return self.group is not None or len(self.include) > 0

    @property
    def free(self) -> Indices:
        """Rows that are neither excluded nor of `include`, in the order in which the core sums over
        them; those of a group ascend. Of several ranks each has its own, counted from its first."""
        return self.free_rows.rows

    @cached_property
    def free_rows(self) -> _core.FreeRows:
        """The free rows and their groups, as the core takes them."""
        return self.core.free_rows(self.here.strips)

    @cached_property
    def groups(self) -> list[FreeGroup]:
        """The groups among the free rows."""
        free = self.free_rows
        if len(self.counts) == 1:
            return [FreeGroup(slice(0, len(free.rows)), free.sizes[0], free.counts[0])]
        return [
            FreeGroup(free.positions(g), free.sizes[g], free.counts[g])
            for g in range(len(self.counts))
        ]

    def among(self, active: Indices) -> Constraints:
        """These constraints, where of the free rows only those at these positions may be chosen."""
        group = np.full(self.here.count, -1, np.int32)
        rows = np.append(self.free[active], self.here.of(self.include))
        group[rows] = 0 if self.group is None else self.group[rows]
        return replace(self, group=group)

    def class_weights(self, rows: Indices) -> Floats:
        """(n,) ω of these rows of a selection, of mean 1: ω_g is in proportion to N_g / n_g, with
        N_g the rows of group g that a selection may have and n_g its count. So the weighted mean
        over a selection has each group in the share that it has of the pool."""
        if self.group is None or len(self.counts) == 1:
            return np.ones(len(rows))
        here = self.here
        sizes = here.summed(sizes_of(self.group, len(self.counts)))
        group = here.listed(rows, self.group[here.of(rows)])
        weights = (sizes / np.maximum(self.counts, 1))[group]
        scaled: Floats = weights / weights.mean()
        return scaled

    def never(self) -> Indices:
        """The rows here that no selection has."""
        return np.empty(0, np.int64) if self.group is None else np.flatnonzero(self.group < 0)

    def in_classes(self, labels: Labels, power: float) -> Constraints:
        """These constraints, with counts in proportion to the sizes of classes to this power: at
        least one of each class where these are at most half of n, and the rows of include."""
        group = labels.number.copy()
        group[self.never()] = -1
        sizes = np.bincount(group[group >= 0], minlength=len(labels.values))
        least = np.bincount(group[self.include], minlength=len(labels.values))
        once = np.maximum(least, 1)
        if ROWS_PER_CLASS * np.minimum(once, sizes).sum() <= self.n:
            least = once
        return Constraints(
            self.n_rows, power_counts(sizes, self.n, power, least), group, self.include
        )

    def require(self, name: str, rows: Indices) -> None:
        """Raises ValueError naming the argument where these distinct rows are no selection."""
        if len(rows) != self.n:
            raise ValueError(f"{name}: expected {self.n} rows, got {len(rows)}")
        if not np.isin(self.include, rows).all():
            raise ValueError(f"{name}: expected the rows of include among those it chooses")
        if self.group is None:
            return
        group = self.group[rows]
        if (group < 0).any():
            raise ValueError(f"{name}: expected no excluded row, got {rows[group < 0][0]}")
        if np.bincount(group, minlength=len(self.counts)).tolist() != self.counts:
            raise ValueError(f"{name}: expected as many rows of each class as per_class says")


def constraints_of(
    n_rows: int,
    n: int,
    labels: Labels | None,
    per_class: Any,
    include: Any,
    exclude: Any,
    ranks: Ranks | None = None,
) -> Constraints:
    """Constraints on n_rows rows of all ranks, with labels of those here. Raises TypeError or
    ValueError naming the argument, and the class that cannot have its count."""
    here = RowsHere(n_rows, ranks)
    included, excluded = _rows_left(n_rows, n, include, exclude)
    if per_class is not None and labels is None:
        raise ValueError("y: expected labels for per_class, got None")
    if per_class is None or labels is None:
        counts, group = [n], np.zeros(here.count, np.int32) if len(excluded) else None
        if group is not None:
            group[here.of(excluded)] = -1
        return Constraints(n_rows, counts, group, included, ranks)
    group = labels.number.copy()
    group[here.of(excluded)] = -1
    available = here.summed(sizes_of(group, len(labels.values))).astype(np.int64)
    counts = class_counts(per_class, labels.values, available, n)
    of_included = sizes_of(group[here.of(included)], len(counts))
    at_least = here.summed(of_included).astype(np.int64)
    for g, count in enumerate(counts):
        if not at_least[g] <= count <= available[g]:
            raise ValueError(
                f"per_class: expected between {at_least[g]} (included) and {available[g]} "
                f"(available) rows of class {labels.values[g]}, got a count of {count}"
            )
    return Constraints(n_rows, counts, group, included, ranks)


def sizes_of(group: npt.NDArray[np.int32], n_groups: int) -> Floats:
    """How many rows each group has; negative numbers are none."""
    return np.bincount(group[group >= 0], minlength=n_groups).astype(np.float64)


def class_counts(
    per_class: str | float | Mapping[Any, int], classes: Array, sizes: Indices, n: int
) -> list[int]:
    """How many rows of each class, of `sizes` available; they sum to n."""
    if isinstance(per_class, Mapping):
        unknown = set(per_class) - set(classes.tolist())
        if unknown:
            raise ValueError(f"per_class: expected classes that occur in y, got {unknown.pop()!r}")
        given = [checks.integer("per_class", per_class.get(c, 0), 0) for c in classes.tolist()]
        if sum(given) != n:
            raise ValueError(f"per_class: expected counts that sum to n = {n}, got {sum(given)}")
        return given
    if isinstance(per_class, str):
        power = POWERS[checks.choice("per_class", per_class, tuple(POWERS))]
    else:
        power = checks.real("per_class", per_class)
        if not 0 <= power <= 1:
            raise ValueError(f"per_class: expected a power in [0, 1], got {power}")
    if n < len(classes):
        raise ValueError(
            f"n: expected at least one row for each of {len(classes)} classes, got {n}"
        )
    return power_counts(sizes, n, power)


def power_counts(sizes: Indices, n: int, power: float, at_least: Indices | int = 0) -> list[int]:
    """Counts that sum to n, in proportion to the sizes to this power, each between `at_least` and
    its size; by largest remainders, ties to the first. Σ at_least <= n <= Σ sizes."""
    share, low, high = sizes.astype(np.float64) ** power, 0.0, 1.0
    least = np.minimum(at_least, sizes)

    def counts(scale: float) -> Floats:
        return np.minimum(np.maximum(scale * share, least), sizes)

    while counts(high).sum() < n:
        high *= 2
    while low < (middle := (low + high) / 2) < high:
        low, high = (low, middle) if counts(middle).sum() >= n else (middle, high)
    exact = counts(high)
    whole = np.floor(exact + 1e-9).astype(np.int64)
    order = np.argsort(np.round(whole - exact, 9), kind="stable")
    order = order[whole[order] < sizes[order]]
    whole[order[: n - whole.sum()]] += 1
    return [int(count) for count in whole]


def _rows_left(n_rows: int, n: int, include: Any, exclude: Any) -> tuple[Indices, Indices]:
    """include and exclude as row numbers that leave a selection of n rows possible."""
    included = arrays.rows("include", include, n_rows)
    excluded = arrays.rows("exclude", exclude, n_rows)
    both = np.intersect1d(included, excluded)
    if len(both):
        raise ValueError(f"exclude: expected no row of include, got row {both[0]} in both")
    if len(included) > n:
        raise ValueError(f"include: expected at most n = {n} rows, got {len(included)}")
    if n > n_rows - len(excluded):
        raise ValueError(
            f"exclude: expected to leave n = {n} rows, got {len(excluded)} of {n_rows} excluded"
        )
    return included, excluded
