"""Which rows a selection may have, and how many of each class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from .._support import arrays, checks
from .._support.cached import cached_property
from .._support.types import Array, Floats, Indices
from .labels import Labels

POWERS = {"proportional": 1.0, "sqrt": 0.5, "balanced": 0.0}  # of class sizes, in per_class

# Each class has a row where n is at least so many times the number of classes: with fewer rows the
# counts would be those of a balanced draw, which lose accuracy.
ROWS_PER_CLASS = 2


@dataclass(frozen=True)
class FreeGroup:
    """Rows of a group that a selection may have or not."""

    part: slice  # their positions among the free rows
    size: int
    count: int  # how many of them a selection has


@dataclass(frozen=True)
class Constraints:
    """A selection has counts[g] rows of each group g, those of `include` among them."""

    n_rows: int  # N
    counts: list[int]
    group: npt.NDArray[np.int32] | None  # (N,), -1: never chosen; None: all rows are of group 0
    include: Indices  # always chosen, ascending

    @cached_property
    def core(self) -> _core.Constraints:
        return _core.Constraints(self.n_rows, self.group, self.counts, self.include.tolist())

    @property
    def n(self) -> int:
        """Rows of a selection."""
        return sum(self.counts)

    @property
    def constrained(self) -> bool:
        """Whether some n rows are no selection."""
        return self.group is not None or len(self.include) > 0

    @cached_property
    def free(self) -> Indices:
        """Rows that are neither excluded nor of `include`: group after group, ascending in each."""
        return self._free.rows

    @cached_property
    def groups(self) -> list[FreeGroup]:
        """The groups among the free rows."""
        return [FreeGroup(slice(a, b), b - a, count) for a, b, count in self._free.groups]

    @cached_property
    def _free(self) -> _core.FreeRows:
        return self.core.free_rows()

    def class_weights(self, rows: Indices) -> Floats:
        """(n,) ω of these rows of a selection, of mean 1: ω_g is in proportion to N_g / n_g, with
        N_g the rows of group g that a selection may have and n_g its count. So the weighted mean
        over a selection has each group in the share that it has of the pool."""
        if self.group is None or len(self.counts) == 1:
            return np.ones(len(rows))
        sizes = np.bincount(self.group[self.group >= 0], minlength=len(self.counts))
        weights = (sizes / np.maximum(self.counts, 1))[self.group[rows]]
        scaled: Floats = weights / weights.mean()
        return scaled

    def never(self) -> Indices:
        """The rows that no selection has."""
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
    n_rows: int, n: int, labels: Labels | None, per_class: Any, include: Any, exclude: Any
) -> Constraints:
    """Raises TypeError or ValueError naming the argument, and the class that cannot have its
    count."""
    included, excluded = _rows_left(n_rows, n, include, exclude)
    if per_class is not None and labels is None:
        raise ValueError("y: expected labels for per_class, got None")
    if per_class is None or labels is None:
        counts, group = [n], np.zeros(n_rows, np.int32) if len(excluded) else None
        if group is not None:
            group[excluded] = -1
        return Constraints(n_rows, counts, group, included)
    group = labels.number.copy()
    group[excluded] = -1
    available = np.bincount(group[group >= 0], minlength=len(labels.values))
    counts = class_counts(per_class, labels.values, available, n)
    at_least = np.bincount(group[included], minlength=len(counts))
    for g, count in enumerate(counts):
        if not at_least[g] <= count <= available[g]:
            raise ValueError(
                f"per_class: expected between {at_least[g]} (included) and {available[g]} "
                f"(available) rows of class {labels.values[g]}, got a count of {count}"
            )
    return Constraints(n_rows, counts, group, included)


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
