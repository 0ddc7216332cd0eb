"""Rows side by side: row i is that of each of several matrices, scaled, one after the other.

The matrices stay where they lie, perhaps in memory maps; some rows are joined where they are asked
for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .float16_rows import ROUNDING, Float16Rows
from .types import Array, Indices

Part = Array | Float16Rows


class SideBySide:
    """(N, Σ m_k) rows [s_1 a_i, s_2 b_i, ...]; indexing by rows gives an array.

    Parameters
    ----------
    parts : list of (N, m_k) arrays or Float16Rows
        Matrices of N rows each, of float32 or float64.
    scales : list of float
        s_k, a number for each.
    lengths : (N,) array of int64, optional
        How long the samples are, where that is known.
    """

    ndim = 2

    def __init__(
        self, parts: Sequence[Part], scales: Sequence[float], lengths: Indices | None = None
    ) -> None:
        self.parts = list(parts)
        self.scales = list(scales)
        self.lengths = lengths
        self.shape = (len(parts[0]), sum(part.shape[1] for part in parts))
        self.dtype = np.result_type(*(part.dtype for part in parts))

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        widths = " + ".join(str(part.shape[1]) for part in self.parts)
        return f"SideBySide({len(self)} x ({widths}))"

    def __getitem__(self, rows: Any) -> Array:
        """Some rows, or one."""
        if isinstance(rows, tuple):
            raise TypeError(f"rows: expected one index, of rows, got {len(rows)}")
        both = zip(self.parts, self.scales, strict=True)
        return np.concatenate([part[rows] * part.dtype.type(s) for part, s in both], axis=-1)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("copy: expected None or True, since rows are joined")
        return self[:].astype(dtype or self.dtype, copy=False)

    @property
    def entry_error(self) -> float:
        """The largest relative error of an entry, where some have 16 bits; else 0."""
        return ROUNDING if any(isinstance(part, Float16Rows) for part in self.parts) else 0.0

    def with_parts(self, of: Callable[[Part], Part]) -> SideBySide:
        """The same of other matrices: of(part) in the place of each."""
        return SideBySide([of(part) for part in self.parts], self.scales)  # lengths are others
