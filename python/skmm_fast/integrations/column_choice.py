"""A choice among the rows of a table, by a column whose entries are vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._as_matrix import as_matrix
from .._select import select
from .._selection import Selection
from .._support import arrays, checks
from .._support.types import Array


def matrix_of_column(name: str, values: Any) -> Array:
    """(N, c): a column of N vectors of one length, which some libraries hold as an array or list of
    arrays. An array (N, c) is given back as it is. Errors call the column `name`."""
    rows = values if isinstance(values, np.ndarray) else list(values)
    if isinstance(rows, np.ndarray) and rows.dtype != object:
        return rows
    vectors = [np.asarray(row) for row in rows]
    shapes = sorted({vector.shape for vector in vectors})
    if len(shapes) > 1:
        raise ValueError(f"{name}: expected vectors of one length, got shapes {shapes[:4]}")
    return np.stack(vectors)


def require_count_or_share(n: object) -> None:
    """Raises TypeError or ValueError unless n is a count >= 1 or a share in (0, 1)."""
    checks.count(n, 1 if isinstance(n, (float, np.floating)) else 2**62)


def choice(
    name: str, values: Any, n: int | float, y: Any, options: dict[str, Any]
) -> Selection | None:
    """The selection of n rows by the column `values`, called `name`; None, which stands for all
    rows, where there are no more than n."""
    size = len(values)
    if size == 0 or (not isinstance(n, (float, np.floating)) and size <= n):
        return None
    Z = arrays.gradients(name, as_matrix(name, matrix_of_column(name, values)))
    return select(Z, n, y=y, **options)
