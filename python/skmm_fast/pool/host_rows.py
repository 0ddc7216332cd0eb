"""Passes over rows in host memory, or in a memory map, by the core."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from .. import _core
from .._support import arrays
from .._support.float16_rows import Float16Rows
from .._support.ranks import Ranks
from .._support.row_sets import RowSets
from .._support.scratch import room
from .._support.types import Array, Floats, Indices

GRAM_ROWS = 8192  # rows that `gram` holds in float64 at a time


@dataclass(frozen=True)
class HostRowMatrix:
    """A `RowMatrix` (pool/row_matrix.py, which says what each method returns)."""

    x: Array | Float16Rows
    entry_error: float = 0.0

    least_block: ClassVar[int] = 1

    @property
    def ranks(self) -> Ranks | None:
        return None

    @property
    def core(self) -> Any:
        return self.x.core if isinstance(self.x, Float16Rows) else self.x

    @property
    def shape(self) -> tuple[int, int]:
        return self.x.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.x.dtype

    def __len__(self) -> int:
        return len(self.x)

    def array(self, rows: Indices | slice) -> Array:
        return self.x[rows]

    def own(self, rows: Indices) -> Array:
        return self.x[rows]

    def take(self, rows: Indices) -> HostRowMatrix:
        return HostRowMatrix(self.x.take(rows, axis=0), self.entry_error)

    def like(self, x: Array | Float16Rows, entry_error: float = 0.0) -> HostRowMatrix:
        """The matrix of other entries x of these rows."""
        return HostRowMatrix(x, entry_error)

    def second_moment(
        self, s: Floats | None, threads: int, strips: _core.Strips | None = None
    ) -> Floats:
        return _core.second_moment(self.core, s, threads, None, strips)

    def row_norms(self, D: Floats, threads: int) -> Floats:
        return _core.row_norms(self.core, D, n_threads=threads)

    def column_squares(
        self, s: Floats | None, threads: int, strips: _core.Strips | None = None
    ) -> Floats:
        return _core.column_squares(self.core, s, threads, None, strips)

    def times(
        self,
        B: Floats,
        rows: Indices | None,
        threads: int,
        scratch_dir: str | os.PathLike[str] | None = None,
    ) -> HostRowMatrix:
        count = len(self.x) if rows is None else len(rows)
        out = room((count, B.shape[1]), self.dtype, scratch_dir)
        _core.multiply(self.core, np.ascontiguousarray(B), rows, out, threads)
        return self.like(out) if rows is None else HostRowMatrix(out)

    def times_rounded(self, B: Floats, rows: Indices | None, threads: int) -> HostRowMatrix:
        out = np.empty((len(self.x) if rows is None else len(rows), B.shape[1]), self.dtype)
        _core.multiply_rounded(self.core, np.ascontiguousarray(B), rows, out, threads)
        return HostRowMatrix(out)

    def gram(self, B: Floats, rows: Indices | None = None) -> Floats:
        total = np.zeros((B.shape[1], B.shape[1]))
        parts: Any = arrays.row_blocks(self.x)
        if rows is not None:
            parts = (rows[i : i + GRAM_ROWS] for i in range(0, len(rows), GRAM_ROWS))
        for part in parts:
            block = self.x[part].astype(np.float64) @ B
            total += block.T @ block
        return total

    def dots(self, u: Floats, threads: int) -> Floats:
        return _core.dots(self.core, u, threads)

    def square_dots(self, u: Floats, threads: int) -> Floats:
        return _core.square_dots(self.core, u, threads)

    def mean(self, rows: Indices | None = None) -> Floats:
        total = np.zeros(self.shape[1])
        parts: Any = arrays.row_blocks(self.x)
        if rows is not None:
            parts = (rows[i : i + GRAM_ROWS] for i in range(0, len(rows), GRAM_ROWS))
        for part in parts:
            total += self.x[part].sum(axis=0, dtype=np.float64)
        return total / (len(self) if rows is None else len(rows))

    def spherical_centres(
        self, sets: RowSets, seeds: npt.NDArray[np.uint64], sweeps: int, threads: int
    ) -> Floats:
        return _core.spherical_centres(
            self.core, sets.rows, sets.first, sets.first_centre, seeds, sweeps, threads
        )

    def nearest_centre(
        self, sets: RowSets, centres: Floats, threads: int
    ) -> tuple[Indices, Floats]:
        return _core.nearest_centre(
            self.core, sets.rows, sets.first, sets.first_centre, centres, threads
        )

    def sum_unit_rows(
        self, cell: Indices, cells: int, rows: Indices | None, threads: int
    ) -> Floats:
        return _core.sum_unit_rows(self.core, cell, cells, rows, threads)
