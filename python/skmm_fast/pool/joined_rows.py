"""Passes over rows that lie side by side in several matrices: a block of them is joined at a
time, and goes where an array goes. Results agree with those of the joined array to rounding."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from .. import _core
from .._support.row_sets import RowSets
from .._support.scratch import room
from .._support.side_by_side import SideBySide
from .._support.types import Array, Floats, Indices
from .host_rows import HostRowMatrix

BLOCK_BYTES = 1 << 21  # bytes of the rows that are joined at a time, which stay in a cache


@dataclass(frozen=True)
class JoinedRowMatrix:
    """A `RowMatrix` (pool/row_matrix.py, which says what each method returns).

    The core's solvers take it in place of an array, and call its methods.
    """

    x: SideBySide

    least_block: ClassVar[int] = 256

    @property
    def entry_error(self) -> float:
        return self.x.entry_error

    @property
    def ranks(self) -> None:
        return None

    @property
    def core(self) -> JoinedRowMatrix:
        return self

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
        return self.array(rows)

    def take(self, rows: Indices) -> HostRowMatrix:
        return HostRowMatrix(self.x[rows], self.entry_error)

    def second_moment(self, s: Floats | None, threads: int, strips: object = None) -> Floats:
        return self._sum(lambda part, Z: Z.second_moment(None if s is None else s[part], threads))

    def row_norms(self, D: Floats, threads: int = 1) -> Floats:
        return self._each_row(lambda Z: Z.row_norms(D, threads))

    def column_squares(self, s: Floats | None, threads: int = 1, strips: object = None) -> Floats:
        return self._sum(lambda part, Z: Z.column_squares(None if s is None else s[part], threads))

    def times(
        self,
        B: Floats,
        rows: Indices | None,
        threads: int,
        scratch_dir: str | os.PathLike[str] | None = None,
    ) -> HostRowMatrix:
        out = room((self._count(rows), B.shape[1]), self.dtype, scratch_dir)
        for part, Z in self._blocks(rows):
            _core.multiply(Z.core, np.ascontiguousarray(B), None, out[part], threads)
        return HostRowMatrix(out)

    def times_rounded(self, B: Floats, rows: Indices | None, threads: int) -> HostRowMatrix:
        out = np.empty((self._count(rows), B.shape[1]), self.dtype)
        for part, Z in self._blocks(rows):
            out[part] = Z.times_rounded(B, None, threads).x
        return HostRowMatrix(out)

    def gram(self, B: Floats, rows: Indices | None = None) -> Floats:
        return self._sum(lambda part, Z: Z.gram(B), rows)

    def dots(self, u: Floats, threads: int = 1) -> Floats:
        return self._each_row(lambda Z: Z.dots(u, threads))

    def square_dots(self, u: Floats, threads: int = 1) -> Floats:
        return self._each_row(lambda Z: Z.square_dots(u, threads))

    def mean(self, rows: Indices | None = None) -> Floats:
        return self._sum(lambda part, Z: len(Z) * Z.mean(), rows) / self._count(rows)

    def spherical_centres(
        self, sets: RowSets, seeds: npt.NDArray[np.uint64], sweeps: int, threads: int
    ) -> Floats:
        sampled = RowSets(np.arange(len(sets.rows)), sets.first, sets.first_centre)
        return self.take(sets.rows).spherical_centres(sampled, seeds, sweeps, threads)

    def nearest_centre(
        self, sets: RowSets, centres: Floats, threads: int
    ) -> tuple[Indices, Floats]:
        which, product = np.empty(len(sets.rows), np.int64), np.empty(len(sets.rows))
        for part, Z in self._blocks(sets.rows):
            # The sets that have rows in this block are g, ..., end - 1.
            g = int(np.searchsorted(sets.first, part.start, "right")) - 1
            end = int(np.searchsorted(sets.first, part.stop, "left"))
            first = np.clip(sets.first[g : end + 1], part.start, part.stop) - part.start
            centre = sets.first_centre[g : end + 1]
            here = RowSets(np.arange(len(Z)), first, centre - centre[0])
            which[part], product[part] = Z.nearest_centre(
                here, centres[centre[0] : centre[-1]], threads
            )
        return which, product

    def sum_unit_rows(
        self, cell: Indices, cells: int, rows: Indices | None, threads: int
    ) -> Floats:
        total = np.zeros((cells, self.shape[1]))
        for part, Z in self._blocks(rows):
            here, number = np.unique(cell[part], return_inverse=True)
            total[here] += Z.sum_unit_rows(number, len(here), None, threads)
        return total

    def _count(self, rows: Indices | None) -> int:
        return len(self) if rows is None else len(rows)

    def _blocks(self, rows: Indices | None = None) -> Iterator[tuple[slice, HostRowMatrix]]:
        """Pairs (part, Z) in order: a slice of the rows, and these rows joined."""
        count = self._count(rows)
        step = max(1, BLOCK_BYTES // (self.dtype.itemsize * self.shape[1]))
        for first in range(0, count, step):
            part = slice(first, min(first + step, count))
            yield part, HostRowMatrix(self.x[part if rows is None else rows[part]])

    def _sum(
        self, of_block: Callable[[slice, HostRowMatrix], Floats], rows: Indices | None = None
    ) -> Floats:
        """The sum of a function of each block of rows."""
        blocks = self._blocks(rows)
        total = of_block(*next(blocks))
        for block in blocks:
            total += of_block(*block)
        return total

    def _each_row(self, of_block: Callable[[HostRowMatrix], Floats]) -> Floats:
        """One number for each row, from a function of a block of rows."""
        return np.concatenate([of_block(Z) for _, Z in self._blocks()])
