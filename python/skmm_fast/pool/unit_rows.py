"""Rows scaled to norm 1, whatever the range of their entries. Rows of zeros stay as they are."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .._support import arrays, tensors
from .._support.float16_rows import Float16Rows
from .._support.scratch import room
from .._support.side_by_side import SideBySide
from .._support.types import Array
from .host_rows import HostRowMatrix
from .row_matrix import RowMatrix, row_matrix

DEVICE_ROWS = 1 << 16  # rows of a device that are held in float64 at a time


def scaled_rows(
    name: str, Z: RowMatrix, scratch_dir: str | os.PathLike[str] | None = None
) -> RowMatrix:
    """The rows of Z scaled to norm 1, in a copy where Z lies or in a file of scratch_dir."""
    if tensors.on_device(Z.x):
        return row_matrix(name, of_unit_norm_on_device(Z.x, Z.x.new_empty(Z.x.shape)))
    out = of_unit_norm(name, Z.x, room(Z.x.shape, Z.dtype, scratch_dir))
    like = Z.like if isinstance(Z, HostRowMatrix) else HostRowMatrix
    return like(out, Z.entry_error)


def of_unit_norm(name: str, Z: Array | Float16Rows | SideBySide, out: Array) -> Array:
    """Writes the scaled rows of Z to `out`, which may be Z. Raises ValueError for NaN and Inf."""
    finite = np.empty(len(Z), np.bool_)
    for rows in arrays.row_blocks(Z):
        block = Z[rows].astype(np.float64)
        peak = np.abs(block).max(axis=1, keepdims=True)
        finite[rows] = np.isfinite(peak[:, 0])
        with np.errstate(invalid="ignore"):
            block /= np.where(peak > 0, peak, 1.0)
            norm = np.linalg.norm(block, axis=1, keepdims=True)
            out[rows] = block / np.where(norm > 0, norm, 1.0)
    arrays.raise_not_finite(name, finite)
    return out


def of_unit_norm_on_device(Z: Any, out: Any) -> Any:
    """Writes the scaled rows of a tensor to `out`, which may be Z. NaN and Inf stay."""
    for z, to in zip(Z.split(DEVICE_ROWS), out.split(DEVICE_ROWS), strict=True):
        block = z.double()
        for order in (float("inf"), 2):
            norm = block.norm(p=order, dim=1, keepdim=True)
            block = block / norm.where(norm > 0, norm + 1)
        to.copy_(block)
    return out
