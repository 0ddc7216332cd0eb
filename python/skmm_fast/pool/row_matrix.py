"""The rows of Z as methods use them: every operation that costs O(N m), wherever Z lies.

Results are NumPy arrays: vectors of N, small matrices, some rows. `threads` is the number of
threads that the core may use; rows on a device ignore it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from .. import _core
from .._support import arrays, tensors
from .._support.float16_rows import ROUNDING, Float16Rows
from .._support.row_sets import RowSets
from .._support.scratch import room
from .._support.types import Array, Floats, Indices

GRAM_ROWS = 8192  # rows that `gram` holds in float64 at a time


class RowMatrix(Protocol):
    """A matrix Z (N, m) of float32 or float64. Sums and products are float64."""

    least_block: ClassVar[int]  # rows that greedy additions choose per pass, at least

    @property
    def x(self) -> Any:
        """The rows themselves: an array, `Float16Rows` or a tensor."""

    @property
    def entry_error(self) -> float:
        """The relative error of the entries, where they were rounded to fewer digits than dtype
        has; else 0."""

    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def core(self) -> Any:
        """What the solvers of the core take: an array, or an object whose methods they call."""

    def __len__(self) -> int: ...
    def array(self, rows: Indices | slice) -> Array:
        """These rows, in host memory."""

    def take(self, rows: Indices) -> RowMatrix:
        """A copy of these rows, where Z lies."""

    def second_moment(self, s: Floats | None, threads: int) -> Floats:
        """Σ_i s_i z_i z_iᵀ; s_i = 1 where None."""

    def row_norms(self, D: Floats, threads: int) -> Floats:
        """(N,) ‖Dᵀz_i‖²."""

    def column_squares(self, s: Floats | None, threads: int) -> Floats:
        """(m,) Σ_i s_i z_ij²; s_i = 1 where None."""

    def times(
        self,
        B: Floats,
        rows: Indices | None,
        threads: int,
        scratch_dir: str | os.PathLike[str] | None = None,
    ) -> RowMatrix:
        """Z[rows] B in the dtype of Z, where Z lies, or in a file of `scratch_dir`. All rows where
        rows is None."""

    def times_rounded(self, B: Floats, rows: Indices | None, threads: int) -> RowMatrix:
        """Z[rows] B like `times`, in the arithmetic of Z's dtype with B rounded to float32: for
        choices that need no more digits."""

    def gram(self, B: Floats, rows: Indices | None = None) -> Floats:
        """(Z_rows B)ᵀ (Z_rows B). Z_rows B comes first, which keeps digits where B is large."""

    def dots(self, u: Floats, threads: int) -> Floats:
        """(N,) ⟨z_i, u⟩."""

    def square_dots(self, u: Floats, threads: int) -> Floats:
        """(N,) Σ_j u_j z_ij²."""

    def mean(self, rows: Indices | None = None) -> Floats:
        """(m,) The mean of these rows; of all rows where None."""

    def spherical_centres(
        self, sets: RowSets, seeds: npt.NDArray[np.uint64], sweeps: int, threads: int
    ) -> Floats:
        """(centres, m) Centres of norm 1 of each set by spherical k-means; set g has the key
        seeds[g]."""

    def nearest_centre(
        self, sets: RowSets, centres: Floats, threads: int
    ) -> tuple[Indices, Floats]:
        """For each row z of the sets the number in its set of argmax_c ⟨z, c⟩ over the centres of
        the set, ties to the lowest, and that product, in the arithmetic of Z's dtype."""

    def sum_unit_rows(
        self, cell: Indices, cells: int, rows: Indices | None, threads: int
    ) -> Floats:
        """(cells, m) In row c, Σ z/‖z‖ over those of these rows whose cell is c. Rows of zeros are
        left out."""


def row_matrix(name: str, Z: Any, entry_error: float = 0.0) -> RowMatrix:
    """The rows of a checked Z: a CUDA tensor or `Float16Rows` where it lies, anything else as a
    C-contiguous array, whose entries have this error. Errors call it `name`."""
    if isinstance(Z, Float16Rows):
        return HostRowMatrix(Z, ROUNDING)
    if tensors.on_device(Z):
        from ..device.row_matrix import TensorRowMatrix

        return TensorRowMatrix(tensors.device_matrix(name, Z))
    return HostRowMatrix(arrays.contiguous_matrix(name, Z), entry_error)


@dataclass(frozen=True)
class HostRowMatrix:
    """Rows in host memory, or in a memory map."""

    x: Array | Float16Rows
    entry_error: float = 0.0

    least_block: ClassVar[int] = 1

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

    def take(self, rows: Indices) -> HostRowMatrix:
        return HostRowMatrix(self.x.take(rows, axis=0), self.entry_error)

    def second_moment(self, s: Floats | None, threads: int) -> Floats:
        return _core.second_moment(self.core, s, threads)

    def row_norms(self, D: Floats, threads: int) -> Floats:
        return _core.row_norms(self.core, D, n_threads=threads)

    def column_squares(self, s: Floats | None, threads: int) -> Floats:
        return _core.column_squares(self.core, s, threads)

    def times(
        self,
        B: Floats,
        rows: Indices | None,
        threads: int,
        scratch_dir: str | os.PathLike[str] | None = None,
    ) -> HostRowMatrix:
        count = len(self) if rows is None else len(rows)
        out = room((count, B.shape[1]), self.dtype, scratch_dir)
        _core.multiply(self.core, np.ascontiguousarray(B), rows, out, threads)
        return HostRowMatrix(out)

    def times_rounded(self, B: Floats, rows: Indices | None, threads: int) -> HostRowMatrix:
        out = np.empty((len(self) if rows is None else len(rows), B.shape[1]), self.dtype)
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
