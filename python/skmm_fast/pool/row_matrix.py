"""The rows of Z as methods use them: every operation that costs O(N m), wherever Z lies.

Results are NumPy arrays: vectors of N, small matrices, some rows. `threads` is the number of
threads that the core may use, and `strips` say in which order it sums (by default as for all rows
of a matrix); rows on a device ignore both.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from .. import _core
from .._support import arrays, tensors
from .._support.float16_rows import ROUNDING, Float16Rows
from .._support.ranks import Ranks
from .._support.row_sets import RowSets
from .._support.side_by_side import SideBySide
from .._support.types import Array, Floats, Indices
from .host_rows import HostRowMatrix
from .joined_rows import JoinedRowMatrix


class RowMatrix(Protocol):
    """A matrix Z (N, m) of float32 or float64. Sums and products are float64."""

    least_block: ClassVar[int]  # rows that greedy additions choose per pass, at least

    @property
    def x(self) -> Any:
        """The rows themselves: an array, `Float16Rows`, `SideBySide` or a tensor."""

    @property
    def entry_error(self) -> float:
        """The relative error of the entries, where they were rounded to fewer digits than dtype
        has; else 0."""

    @property
    def ranks(self) -> Ranks | None:
        """Those that have its rows, where they are several (`RankRowMatrix`)."""

    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def core(self) -> Any:
        """What the solvers of the core take: an array, or an object whose methods they call."""

    def __len__(self) -> int: ...
    def array(self, rows: Indices | slice) -> Array:
        """These rows, in host memory; of several ranks, on each."""

    def own(self, rows: Indices) -> Array:
        """These of the rows here, in host memory."""

    def take(self, rows: Indices) -> RowMatrix:
        """A copy of these of the rows here, where Z lies."""

    def second_moment(
        self, s: Floats | None, threads: int, strips: _core.Strips | None = None
    ) -> Floats:
        """Σ_i s_i z_i z_iᵀ; s_i = 1 where None."""

    def row_norms(self, D: Floats, threads: int) -> Floats:
        """(N,) ‖Dᵀz_i‖²."""

    def column_squares(
        self, s: Floats | None, threads: int, strips: _core.Strips | None = None
    ) -> Floats:
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
        """(m,) The mean of these of the rows here, and of those of the other ranks; of all rows
        where None."""

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
    """The rows of a checked Z: a CUDA tensor, `Float16Rows` or `SideBySide` where it lies, anything
    else as a C-contiguous array, whose entries have this error. Errors call it `name`."""
    if isinstance(Z, Float16Rows):
        return HostRowMatrix(Z, ROUNDING)
    if isinstance(Z, SideBySide):
        return JoinedRowMatrix(Z)
    if tensors.on_device(Z):
        from ..device.row_matrix import TensorRowMatrix

        return TensorRowMatrix(tensors.device_matrix(name, Z))
    return HostRowMatrix(arrays.contiguous_matrix(name, Z), entry_error)
