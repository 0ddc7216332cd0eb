"""How many rows of each class, and which rows may count towards them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _validate
from ._validate import Array, Indices


def groups(
    n_rows: int,
    n: int,
    y: Any,
    per_class: str | Mapping[Any, int] | None,
    include: Indices,
    exclude: Indices,
) -> tuple[npt.NDArray[np.int32], list[int]]:
    """The group of every row (-1: never chosen) and the quota of each group; quotas sum to n.

    Raises ValueError naming the class that cannot have its count.
    """
    if per_class is None:
        group, quota = np.zeros(n_rows, np.int32), [n]
    else:
        if y is None:
            raise ValueError("y: expected labels for per_class, got None")
        classes, class_of = labels(y, n_rows)
        left = np.delete(class_of, exclude)
        quota = class_counts(per_class, classes, np.bincount(left, minlength=len(classes)), n)
        group = class_of.astype(np.int32)
    group[exclude] = -1
    available = np.bincount(group[group >= 0], minlength=len(quota))
    included = np.bincount(group[include], minlength=len(quota))
    for g, count in enumerate(quota):
        if not included[g] <= count <= available[g]:
            raise ValueError(
                f"per_class: expected between {included[g]} (included) and {available[g]} "
                f"(available) rows of class {classes[g]}, got a count of {count}"
            )
    return group, quota


def labels(y: Any, n_rows: int) -> tuple[Array, Indices]:
    """The distinct labels of (N,) y, and the number of the label of every row."""
    array = _validate.vector("y", y)
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
        given = [_validate.integer("per_class", per_class.get(c, 0), 0) for c in classes.tolist()]
        if sum(given) != n:
            raise ValueError(f"per_class: expected counts that sum to n = {n}, got {sum(given)}")
        return given
    _validate.choice("per_class", per_class, ("proportional", "balanced"))
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
            open_ = np.flatnonzero(counts < sizes)
            share = np.full(len(open_), left // len(open_))
            share[: left % len(open_)] += 1
            counts[open_] = np.minimum(counts[open_] + share, sizes[open_])
    return [int(count) for count in counts]
