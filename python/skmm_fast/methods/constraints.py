"""How many rows of each class, and which rows may count towards them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .._support import checks
from .._support.checks import Array, Indices


@dataclass(frozen=True)
class Quotas:
    """Which rows may be chosen, and how many of each group of them; the counts sum to n."""

    n: int
    group: npt.NDArray[np.int32]  # (N,), -1: never chosen
    counts: list[int]  # of each group, those of include among them
    include: Indices  # always chosen

    @property
    def constrained(self) -> bool:
        return len(self.counts) > 1 or len(self.include) > 0 or bool((self.group < 0).any())

    def free(self) -> tuple[Indices, list[tuple[int, int]]]:
        """The rows that may be chosen or not, group after group, ascending in each; the size of
        each group, and how many of it are to be chosen."""
        group = self.group.copy()
        group[self.include] = -1
        sizes = np.bincount(group[group >= 0], minlength=len(self.counts))
        taken = np.bincount(self.group[self.include], minlength=len(self.counts))
        order = np.argsort(group, kind="stable") if len(sizes) > 1 else np.flatnonzero(group >= 0)
        counts = [count - int(t) for count, t in zip(self.counts, taken, strict=True)]
        return order[len(order) - sizes.sum() :], list(zip(sizes.tolist(), counts, strict=True))


def quotas(
    n_rows: int,
    n: int,
    y: Any = None,
    per_class: str | Mapping[Any, int] | None = None,
    include: Any = None,
    exclude: Any = None,
) -> Quotas:
    """Raises TypeError or ValueError naming the argument, and the class that cannot have its
    count."""
    include, exclude = checks.constraints(n_rows, n, include, exclude)
    if per_class is None:
        group, counts = np.zeros(n_rows, np.int32), [n]
    else:
        if y is None:
            raise ValueError("y: expected labels for per_class, got None")
        classes, class_of = labels(y, n_rows)
        left = np.delete(class_of, exclude)
        counts = class_counts(per_class, classes, np.bincount(left, minlength=len(classes)), n)
        group = class_of.astype(np.int32)
    group[exclude] = -1
    available = np.bincount(group[group >= 0], minlength=len(counts))
    included = np.bincount(group[include], minlength=len(counts))
    for g, count in enumerate(counts):
        if not included[g] <= count <= available[g]:
            raise ValueError(
                f"per_class: expected between {included[g]} (included) and {available[g]} "
                f"(available) rows of class {classes[g]}, got a count of {count}"
            )
    return Quotas(n, group, counts, include)


def labels(y: Any, n_rows: int) -> tuple[Array, Indices]:
    """The distinct labels of (N,) y, and the number of the label of every row."""
    array = checks.vector("y", y)
    if len(array) != n_rows:
        raise ValueError(f"y: expected shape ({n_rows},), got {array.shape}")
    if array.dtype.kind == "f":
        missing = np.flatnonzero(np.isnan(array))
        if len(missing):
            raise ValueError(f"y: expected labels, got NaN first in row {missing[0]}")
    try:
        classes, class_of = np.unique(array, return_inverse=True)
    except TypeError:
        raise TypeError("y: expected labels that can be sorted, got a mixture of types") from None
    return classes, class_of


def class_counts(
    per_class: str | Mapping[Any, int], classes: Array, sizes: Indices, n: int
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
    checks.choice("per_class", per_class, ("proportional", "balanced"))
    if n < len(classes):
        raise ValueError(
            f"n: expected at least one row for each of {len(classes)} classes, got {n}"
        )
    if per_class == "proportional":  # by largest remainders
        share = n * sizes / sizes.sum()
        counts = np.floor(share).astype(np.int64)
        counts[np.argsort(counts - share, kind="stable")[: n - counts.sum()]] += 1
    else:  # equal, except that small classes give all they have
        counts = np.zeros(len(classes), np.int64)
        while (left := n - int(counts.sum())) > 0:
            open_ = np.flatnonzero(counts < sizes)  # all of one count
            each = min(left // len(open_), int((sizes - counts)[open_].min()))
            counts[open_ if each else open_[:left]] += max(each, 1)
    return [int(count) for count in counts]
