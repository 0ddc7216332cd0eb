"""The rows that `select` is given: checked, and made the Z that methods choose from."""

from __future__ import annotations

import os
import tempfile
from typing import Any, get_args

import numpy as np

from ._as_matrix import as_matrix
from ._support import arrays, checks, tensors
from ._support.float16_rows import ROUNDING, Float16Rows
from ._support.scratch import room
from ._support.side_by_side import SideBySide
from .pool.unit_rows import of_unit_norm, of_unit_norm_on_device
from .sketch.base import Sketch, sum_type
from .sketch.memmap import is_mapped
from .sketch.operators import KINDS, Kind
from .sketch.store import SketchStore

MAX_SKETCH_DIM = 512  # the widest sketch by default


def checked(name: str, X: Any) -> Any:
    """X as `as_matrix` makes it, checked; `Float16Rows` and `SideBySide` as they are. A store
    stands for its array."""
    rows = X.array() if isinstance(X, SketchStore) else X
    if isinstance(rows, (Float16Rows, SideBySide)):
        return rows
    return arrays.matrix(name, as_matrix(name, rows))


def entry_error(A: Any) -> float:
    """The `entry_error` (`RowMatrix`) of a checked A, and of its sketch."""
    if isinstance(A, SideBySide):
        return A.entry_error
    narrow = isinstance(A, np.ndarray) and A.dtype == np.float16
    return ROUNDING if narrow or isinstance(A, Float16Rows) else 0.0


def sketch_dim_for(r: int, n: int, sketch: str, sketch_dim: int | None) -> int:
    """The width m of the sketch, for rows of r entries of which n are chosen."""
    least = KINDS[checks.choice("sketch", sketch, get_args(Kind))].least_out_dim
    if sketch_dim is None:
        m = min(r, MAX_SKETCH_DIM, max(least, n // 2))
    else:
        m = min(r, checks.integer("sketch_dim", sketch_dim, 1))
    if m < min(r, least):
        raise ValueError(f"sketch_dim: expected at least {least} with {sketch!r}, got {m}")
    return m


def sketched(
    name: str,
    A: Any,
    S: Sketch | None,
    unit_rows: bool,
    threads: int,
    progress: bool = False,
    scratch_dir: str | os.PathLike[str] | None = None,
) -> Any:
    """Z = AΓ for a checked A, where Γ is S; A itself as a matrix of floats where S is None."""
    on_device = tensors.on_device(A)
    Z: Any
    if S is not None and A.shape[0] == 0:  # of a rank without rows
        return np.empty((0, S.out_dim), sum_type(A))
    if S is not None and isinstance(A, SideBySide):
        Z = room((len(A), S.out_dim), A.dtype, scratch_dir)
        finite = np.ones(len(A), np.bool_)
        for part in arrays.row_blocks(A):
            block = A[part]
            finite[part] = arrays.finite_rows(block)
            arrays.raise_not_finite(name, finite)
            S._apply(name, block, threads, Z[part])
    elif S is not None:
        in_file = scratch_dir is not None and not on_device
        rows = A.entries if isinstance(A, Float16Rows) else A
        out = room((A.shape[0], S.out_dim), sum_type(rows), scratch_dir) if in_file else None
        Z = S._apply(name, rows, threads, out, progress=progress)
        if isinstance(A, Float16Rows):
            A.multiply_by_scales(Z)
    elif on_device:
        Z = A.float() if A.dtype.itemsize == 2 else A
    elif isinstance(A, (Float16Rows, SideBySide)):
        Z = A
    elif isinstance(A, np.ndarray) and A.dtype == np.float16:
        Z = Float16Rows(A, scaled=False)
    else:
        Z = np.ascontiguousarray(arrays.widened(A) if isinstance(A, np.ndarray) else A.toarray())
    if not unit_rows:
        return Z
    if on_device:
        return of_unit_norm_on_device(Z, Z.new_empty(Z.shape) if Z is A else Z)
    if scratch_dir is None and is_mapped(Z):
        scratch_dir = tempfile.gettempdir()
    ours = S is not None or (isinstance(Z, np.ndarray) and not np.may_share_memory(Z, A))
    return of_unit_norm(name, Z, Z if ours else room(Z.shape, Z.dtype, scratch_dir))
