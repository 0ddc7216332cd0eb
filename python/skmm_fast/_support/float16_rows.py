"""Rows of 16-bit floats, which the core reads as they lie.

A float16 has 11 binary digits, but only from 6e-5 to 65504. So a row may have a scale of its own,
the power of two that brings its largest entry near the end of this range: then none overflows, and
entries keep their digits down to 2⁻²⁸ of the largest. The exponent is kept behind the entries, as
one float16 more, so that a row is in one piece, and the rows of many files are one array.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core
from .types import Array, Floats, Indices

ROUNDING = 2.0**-11  # the largest relative error of an entry
LEAST_EXPONENT = -126  # of a scale: that of the least float32 with all its digits
LARGEST_EXPONENT = 113  # of a scale: that for the largest float32


class Float16Rows:
    """(N, m) rows of 16-bit floats; indexing by rows gives float32.

    Parameters
    ----------
    halves : (N, m) or (N, m + 1) array of float16
        Used where it lies, perhaps in a memory map, where its rows are aligned and follow each
        other without gaps; else copied.
    scaled : bool
        Whether a row is its first m numbers times 2^e, where e is the one behind them.
    """

    ndim = 2
    dtype = np.dtype(np.float32)  # of what indexing gives

    def __init__(self, halves: Array, scaled: bool) -> None:
        self.halves = np.require(halves, requirements=["C", "A"])  # they are, but in odd files
        self.scaled = scaled
        self.core = _core.HalfRows(self.halves, scaled)
        self.shape = (len(halves), halves.shape[1] - scaled)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"Float16Rows({self.shape[0]} x {self.shape[1]})"

    def __getitem__(self, rows: Any) -> Array:
        """Some rows, or one, in float32."""
        if isinstance(rows, tuple):
            raise TypeError(f"rows: expected one index, of rows, got {len(rows)}")
        halves = self.halves[rows]
        some = np.require(np.atleast_2d(halves), requirements=["C", "A"])
        out = np.empty((len(some), self.shape[1]), np.float32)
        _core.HalfRows(some, self.scaled).widen(out, 1)
        return out if halves.ndim == 2 else out[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("copy: expected None or True, since rows of 16 bits are widened")
        return self[:].astype(dtype or self.dtype, copy=False)

    @property
    def entries(self) -> Array:
        """(N, m) The numbers without their scales."""
        return self.halves[:, : self.shape[1]]

    def take(self, rows: Indices, axis: int = 0) -> Float16Rows:
        """A copy of these rows."""
        return Float16Rows(self.halves.take(rows, axis), self.scaled)

    def multiply_by_scales(self, Z: Array) -> None:
        """Multiply row i of Z (N, .) by the scale of row i."""
        if not self.scaled:
            return
        for i in range(0, len(Z), 1 << 16):
            exponent = np.fmax(self.halves[i : i + (1 << 16), -1:], LEAST_EXPONENT)
            exponent = np.fmin(exponent, -LEAST_EXPONENT + 1)  # as the core does
            Z[i : i + (1 << 16)] *= np.ldexp(np.float32(1), exponent.astype(np.int32))


def scaled_halves(Z: Array) -> tuple[Array, Indices]:
    """(n, m + 1) float16: the rows of Z (n, m) as `Float16Rows` takes them. And the rows that are
    none: whose largest entry is beyond the range of float32, on either side. Rows with NaN or Inf
    keep these."""
    n, m = Z.shape
    halves = np.empty((n, m + 1), np.float16)
    peak: Floats = np.abs(Z).max(axis=1).astype(np.float64)
    finite = np.isfinite(peak)
    exponent = np.where(finite, np.frexp(np.where(finite, peak, 0.0))[1] - 15, 0)
    exponent = np.maximum(exponent, LEAST_EXPONENT)
    with np.errstate(over="ignore", invalid="ignore"):
        halves[:, :m] = Z * np.ldexp(Z.dtype.type(1), -exponent)[:, None]
    halves[:, m] = exponent
    lost = finite & ((exponent > LARGEST_EXPONENT) | ((peak > 0) & ~halves[:, :m].any(axis=1)))
    return halves, np.flatnonzero(lost)
